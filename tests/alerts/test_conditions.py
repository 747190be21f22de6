"""Past which figures something is wrong, and past which it is right again."""

from pathlib import Path

import pytest

from histq.alerts.conditions import CONDITIONS, database, readings
from histq.alerts.facts import Facts
from histq.alerts.hysteresis import Level, Reading
from histq.pipeline.health import DiskHealth, Health
from histq.stores.alerts import Severity
from tests.alerts.samples import NOON, depth, disk, health, host, series, settings_at

WRONG, UNSURE, RIGHT = Level.WRONG, Level.UNSURE, Level.RIGHT
NOTHING_KNOWN = Facts()


def read(
    tmp_path: Path, name: str, seen: Health, facts: Facts = NOTHING_KNOWN, subject: str = ""
) -> Reading:
    found = [
        one
        for one in readings(seen, facts, settings_at(tmp_path))
        if one.name == name and subject in ("", one.subject)
    ]
    assert len(found) == 1, found
    return found[0]


def test_nothing_is_wrong_where_all_is_well(tmp_path: Path) -> None:
    facts = Facts({"consume": ""}, {"fetch": ""}, {"binance": ""})

    found = list(readings(health(), facts, settings_at(tmp_path)))

    assert {one.level for one in found} == {RIGHT}
    assert {one.name for one in found} == set(CONDITIONS)


@pytest.mark.parametrize(
    ("points", "level"),
    [(0, RIGHT), (8_000, RIGHT), (8_001, UNSURE), (10_000, UNSURE), (10_001, WRONG)],
)
def test_a_queue_is_deep_past_alert_depth_and_until_four_fifths_of_it(
    tmp_path: Path, points: int, level: Level
) -> None:
    found = read(tmp_path, "queue_deep", health(queue=depth(points)))

    assert (found.subject, found.level) == ("queue", level)
    assert (found.start_after_s, found.end_after_s) == (60, 60)


def test_a_deep_queue_says_how_deep_and_what_to_do(tmp_path: Path) -> None:
    found = read(tmp_path, "queue_deep", health(queue=depth(12_345)))

    assert found.text == (
        "12,345 points wait in the queue; queue.alert_depth is 10,000; histq stats shows whether"
        " histq consume keeps up"
    )


@pytest.mark.parametrize(
    ("age_s", "level"),
    [(None, RIGHT), (450, RIGHT), (451, UNSURE), (900, UNSURE), (901, WRONG)],
)
def test_a_queue_is_slow_when_its_oldest_page_waits_for_a_quarter_of_an_hour(
    tmp_path: Path, age_s: float | None, level: Level
) -> None:
    found = read(tmp_path, "queue_slow", health(queue=depth(oldest_age_s=age_s)))

    assert (found.level, found.start_after_s) == (level, 60)


@pytest.mark.parametrize(
    ("rate", "level"),
    [(None, RIGHT), (0.05, RIGHT), (0.06, UNSURE), (0.10, UNSURE), (0.11, WRONG)],
)
def test_failures_are_too_many_past_a_tenth(
    tmp_path: Path, rate: float | None, level: Level
) -> None:
    found = read(tmp_path, "failures", health(failure_rate=rate))

    assert (found.level, found.severity) == (level, Severity.CRITICAL)


@pytest.mark.parametrize(
    ("buried_at", "level"),
    [
        (None, RIGHT),
        (NOON - 3_600_000, RIGHT),
        (NOON - 3_599_999, WRONG),
        (NOON, WRONG),
        pytest.param(NOON + 3_600_000, RIGHT, id="by a clock that was set back since"),
    ],
)
def test_dead_letters_are_new_for_an_hour(
    tmp_path: Path, buried_at: int | None, level: Level
) -> None:
    found = read(tmp_path, "dead_letters", health(queue=depth(dead=3), buried_at=buried_at))

    assert found.level is level
    assert found.text.startswith("3 dead letters, ")


@pytest.mark.parametrize(
    ("late_s", "level"),
    [(0, RIGHT), (3600, RIGHT), (3601, UNSURE), (7200, UNSURE), (7201, WRONG), (None, WRONG)],
)
def test_a_series_is_stale_past_twice_its_interval(
    tmp_path: Path, late_s: float | None, level: Level
) -> None:
    found = read(tmp_path, "series_stale", health(series=[series(late_s)]))

    assert (found.subject, found.level) == ("binance/BTCUSDT/1h", level)


@pytest.mark.parametrize(("interval", "patience_s"), [("1m", 60), ("1h", 900), ("1d", 900)])
def test_a_stale_series_has_time_to_catch_up(
    tmp_path: Path, interval: str, patience_s: float
) -> None:
    found = read(tmp_path, "series_stale", health(series=[series(None, interval)]))

    assert found.start_after_s == patience_s


def test_a_stale_series_says_what_it_has_and_how_to_ask(tmp_path: Path) -> None:
    found = read(tmp_path, "series_stale", health(series=[series(3 * 3600)]))

    assert found.text == (
        "binance/BTCUSDT/1h has nothing after 2023-11-15T08:00Z; 2023-11-15T11:00Z is due, and 2"
        " intervals are waited for; histq fetch BTCUSDT -s binance -i 1h says what is wrong"
    )


@pytest.mark.parametrize(
    ("left", "level"), [(1.0, RIGHT), (0.2, RIGHT), (0.19, UNSURE), (0.1, UNSURE), (0.09, WRONG)]
)
def test_the_requests_of_a_minute_are_low_under_a_tenth_that_lasts(
    tmp_path: Path, left: float, level: Level
) -> None:
    found = read(tmp_path, "budget_low", health(hosts=[host(left)]), subject="binance/minute")

    assert (found.level, found.start_after_s, found.end_after_s) == (level, 300, 60)


@pytest.mark.parametrize(
    ("left", "level"), [(10_000, RIGHT), (2_000, RIGHT), (1_000, UNSURE), (999, WRONG), (0, WRONG)]
)
def test_credits_are_low_under_a_tenth_at_once(tmp_path: Path, left: int, level: Level) -> None:
    seen = health(hosts=[host(credits_left=left)])

    found = read(tmp_path, "budget_low", seen, subject="binance/month")

    assert (found.level, found.start_after_s) == (level, 0)
    assert f"{left:,} of 10,000 credits of this month are left until 2023-12-01" in found.text


@pytest.mark.parametrize(
    ("silent_s", "said", "level"),
    [
        pytest.param(0, "", RIGHT, id="it answered"),
        pytest.param(0, None, UNSURE, id="nobody asked since the start"),
        pytest.param(299, "", UNSURE, id="a short silence"),
        pytest.param(300, "", WRONG, id="a long silence"),
        pytest.param(0, "binance: HTTP 451", WRONG, id="it refused"),
    ],
)
def test_a_source_refuses_when_it_says_so_or_wants_a_long_silence(
    tmp_path: Path, silent_s: float, said: str | None, level: Level
) -> None:
    facts = Facts(sources={"binance": said})

    found = read(tmp_path, "source_refuses", health(hosts=[host(silent_s=silent_s)]), facts)

    assert (found.subject, found.level) == ("binance", level)


def test_a_source_of_which_nothing_is_named_is_not_known(tmp_path: Path) -> None:
    assert read(tmp_path, "source_refuses", health()).level is UNSURE


@pytest.mark.parametrize(
    ("said", "level"), [(None, UNSURE), ("", RIGHT), ("ValueError: no", WRONG)]
)
def test_workers_and_jobs_are_as_they_were_last_heard_of(
    tmp_path: Path, said: str | None, level: Level
) -> None:
    facts = Facts({"consume": said}, {"fetch binance": said})

    crashed = read(tmp_path, "worker_crashed", health(), facts)
    overran = read(tmp_path, "job_overran", health(), facts)

    assert (crashed.subject, crashed.level, crashed.end_after_s) == ("consume", level, 300)
    assert (overran.subject, overran.level) == ("fetch binance", level)


@pytest.mark.parametrize(
    ("free_gib", "total_gib", "level"),
    [
        pytest.param(1.9, 1000, WRONG, id="under 2 GiB of a large disk"),
        pytest.param(2.1, 1000, UNSURE, id="just past it"),
        pytest.param(2.5, 1000, RIGHT, id="a fifth past it"),
        pytest.param(0.49, 10, WRONG, id="under 5 % of a small disk"),
        pytest.param(0.51, 10, UNSURE, id="just past that"),
        pytest.param(0.61, 10, RIGHT, id="a fifth past that"),
    ],
)
def test_a_disk_is_low_under_a_twentieth_or_two_gibibytes(
    tmp_path: Path, free_gib: float, total_gib: float, level: Level
) -> None:
    found = read(tmp_path, "disk_low", health(disk=disk(free_gib, total_gib)))

    assert (found.level, found.severity) == (level, Severity.CRITICAL)


def test_a_small_disk_is_low_where_a_fetch_stops_for_want_of_room(tmp_path: Path) -> None:
    # A twentieth of it is 51.2 MiB; a fetch stops at database.min_free_bytes, 64 MiB.
    found = read(tmp_path, "disk_low", health(disk=disk(60 / 1024, total_gib=1)))

    assert found.level is WRONG
    assert found.text == (
        "60.0 MiB are free where the database lies, less than 64.0 MiB; make room, or histq stops"
        " when it is full"
    )


def test_a_database_that_cannot_be_written_is_wrong_at_once(tmp_path: Path) -> None:
    seen = health(disk=DiskHealth(10**12, 10**12, "may not write to /srv/histq.db"))

    found = read(tmp_path, "database_failing", seen)

    assert (found.level, found.start_after_s) == (WRONG, 0)
    assert "may not write to /srv/histq.db" in found.text
    assert database("").level is RIGHT
