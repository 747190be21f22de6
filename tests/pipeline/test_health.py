"""How everything is, read from a real database and the budgets of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.config import load
from histq.http import open_budget
from histq.model import DeadLetter, Draft, Kind, Reason, Series, Window
from histq.page import pack
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.health import Health, health
from histq.pipeline.targets import Target, select
from histq.settings import Settings
from histq.stores import Batch

HOUR = 3_600_000
NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
HOURLY = Series("binance", "BTCUSDT", "1h")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"database": {"path": str(tmp_path / "histq.db")}}, plain=True).settings


@pytest.fixture
def backends(settings: Settings) -> Iterator[Backends]:
    with Opener(settings, "test:0:0:0:0").open(create=True) as opened:
        yield opened


def targets(settings: Settings) -> list[Target]:
    return select(settings, ["BTCUSDT"], ["binance"], ["1h"]).targets


def look(backends: Backends, settings: Settings, tmp_path: Path, now: int = NOON + 1) -> Health:
    return health(backends, targets(settings), settings, tmp_path / "state", now)


def store_hour(backends: Backends, opened: int) -> None:
    backends.store.write(HOURLY, [opened, 1.0, 2.0, 0.5, 1.5, *[None] * 6])


def test_a_series_with_its_last_closed_candle_is_fresh(
    backends: Backends, settings: Settings, tmp_path: Path
) -> None:
    store_hour(backends, NOON - HOUR)

    (found,) = look(backends, settings, tmp_path).series

    assert (found.last, found.due) == (NOON - HOUR, NOON - HOUR)
    assert (found.late_s, found.stale) == (0, False)


@pytest.mark.parametrize(
    ("hours", "stale"), [pytest.param(2, False, id="twice"), pytest.param(3, True, id="more")]
)
def test_a_series_is_stale_when_more_than_two_intervals_are_lacking(
    backends: Backends, settings: Settings, tmp_path: Path, hours: int, stale: bool
) -> None:
    store_hour(backends, NOON - (hours + 1) * HOUR)

    (found,) = look(backends, settings, tmp_path).series

    assert (found.late_s, found.stale) == (hours * 3600, stale)


def test_a_series_that_was_never_stored_is_stale(
    backends: Backends, settings: Settings, tmp_path: Path
) -> None:
    (found,) = look(backends, settings, tmp_path).series

    assert (found.last, found.late_s, found.stale) == (None, None, True)


def test_the_failure_rate_is_that_of_the_latest_twenty_batches(
    backends: Backends, settings: Settings, tmp_path: Path
) -> None:
    assert look(backends, settings, tmp_path).failure_rate is None

    for _ in range(5):
        backends.store.log_batch(1, Batch("binance", 1, 100, 0, 0, 0, 100, 1.0))
    for _ in range(18):
        backends.store.log_batch(1, Batch("binance", 1, 100, 100, 0, 0, 0, 1.0))

    assert look(backends, settings, tmp_path).failure_rate == 0.1


def test_the_queue_is_counted(backends: Backends, settings: Settings, tmp_path: Path) -> None:
    body = pack([NOON, 1.0, 2.0, 0.5, 1.5, *[None] * 6])
    backends.queue.put([Draft(HOURLY, Window(NOON, NOON + HOUR), 1, body)])

    found = look(backends, settings, tmp_path).queue

    assert (found.messages, found.points, found.ready) == (1, 1, 1)


def test_the_newest_dead_letter_says_when_it_was_buried(
    backends: Backends, settings: Settings, tmp_path: Path
) -> None:
    assert look(backends, settings, tmp_path).buried_at is None

    window = Window(NOON, NOON + HOUR)
    for failed_at in (NOON + 5, NOON + 7):
        letter = DeadLetter(
            *(0, Kind.PAGE, HOURLY, window, 1, Reason.POISON, "no price"),
            *(0, 1, NOON, failed_at, "[]"),
        )
        backends.queue.keep([letter])

    assert look(backends, settings, tmp_path).buried_at == NOON + 7


def test_a_host_says_what_is_left_of_its_minute_and_how_long_it_wants_silence(
    backends: Backends, settings: Settings, tmp_path: Path
) -> None:
    (target, *_) = targets(settings)
    budget = open_budget(target.provider, target.settings, tmp_path / "state", clock=lambda: NOON)
    budget.take()
    budget.silence(30)

    hosts = {host.source: host for host in look(backends, settings, tmp_path, NOON).hosts}

    assert set(hosts) == {"binance", "binance-archive"}
    assert hosts["binance"].host == "data-api.binance.vision"
    # A slice of 40 of 2,400 a minute is out.
    assert hosts["binance"].left == pytest.approx(1 - 40 / 2400)
    assert (hosts["binance"].silent_s, hosts["binance-archive"].silent_s) == (30, 0)
    assert hosts["binance-archive"].left == 1


def test_the_disk_is_measured_and_writable(
    backends: Backends, settings: Settings, tmp_path: Path
) -> None:
    found = look(backends, settings, tmp_path).disk

    assert 0 < found.free_bytes <= found.total_bytes
    assert found.unwritable == ""
