"""Binance's archive of files beside its API, over real HTTP, by real processes."""

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archived import QUARTER_MS, Binance, Row, candle, csv_of, zipped
from tests.conftest import Ended, Histq, source_at
from tests.loopback import Asked, Loopback, Says
from tests.recorded import Recorded

JANUARY, FEBRUARY, MARCH = 1_704_067_200_000, 1_706_745_600_000, 1_709_251_200_000  # 2024
LISTED = 1_600_000_200_000
FETCH = ("fetch", "BTC", "-s", "binance", "-i", "15m", "--json")
TWO_MONTHS = ("--from", "2024-01-01", "--to", "2024-03-01")
FILES = ("BTCUSDT-15m-2024-01.zip", "BTCUSDT-15m-2024-02.zip")


def quarters(start: int, end: int) -> list[Row]:
    """What the market did, both bounds included, as the API has it: nothing before its listing."""
    first = max(LISTED, -(-start // QUARTER_MS) * QUARTER_MS)
    last = min(end, first + 1000 * QUARTER_MS)
    return [candle(opened) for opened in range(first, last + 1, QUARTER_MS)]


def month(start: int, end: int) -> list[Row]:
    return [candle(opened) for opened in range(start, end, QUARTER_MS)]


@pytest.fixture
def binance() -> Binance:
    found = Binance(quarters)
    found.add(FILES[0], csv_of(month(JANUARY, FEBRUARY)))
    found.add(FILES[1], csv_of(month(FEBRUARY, MARCH)))
    return found


@pytest.fixture
def server(binance: Binance) -> Iterator[Loopback]:
    with Loopback(binance) as serving:
        yield serving


@pytest.fixture
def at(server: Loopback) -> dict[str, str]:
    """The environment in which both lie there."""
    return {**source_at("binance", server.url), **source_at("binance_archive", server.url)}


def files_asked(log: list[Asked]) -> list[str]:
    return [asked.path.rpartition("/")[2] for asked in log if asked.path.startswith("/data/")]


def pages_asked(log: list[Asked]) -> list[int]:
    """The first open times of the pages that the API was asked for, in order."""
    asked = [one.query for one in log if one.path == "/api/v3/klines" and "endTime" in one.query]
    return sorted(int(query["startTime"]) for query in asked)


def stored(place: Path, name: str = "histq.db") -> list[tuple[object, ...]]:
    with sqlite3.connect(place / name) as database:
        return database.execute(
            "select symbol, timestamp, open, high, low, close, volume, quote_volume, trades,"
            " taker_buy_volume, taker_buy_quote_volume, close_time, source, interval"
            " from historical_prices order by source, symbol, timestamp"
        ).fetchall()


def vias(place: Path) -> set[str | None]:
    with sqlite3.connect(place / "histq.db") as database:
        found = database.execute("select distinct via from spans where state = 'stored'").fetchall()
    return {via for (via,) in found}


def consumed(histq: Histq) -> Ended:
    return histq("consume", "--json")


def test_whole_months_come_from_files_and_the_rest_from_the_api(
    histq: Histq, place: Path, server: Loopback, at: dict[str, str]
) -> None:
    fetched = histq(*FETCH, "--from", "2024-01-01", "--to", "2024-03-03", **at)
    consumed(histq)

    assert fetched.code == 0
    assert [(one["source"], one["requests"]) for one in fetched.document["sources"]] == [
        ("binance", 1 + 1),  # the first candle of all, and two days of March
        ("binance-archive", 4),
    ]
    assert sorted(files_asked(server.log)) == sorted(
        [*FILES, *(f"{name}.CHECKSUM" for name in FILES)]
    )
    assert pages_asked(server.log) == [MARCH]
    rows = stored(place)
    assert [row[1] for row in rows] == list(range(JANUARY, MARCH + 2 * 86_400_000, QUARTER_MS))
    assert {row[12] for row in rows} == {"binance"}
    assert {via and via.partition(" sha256:")[0] for via in vias(place)} == {None, *FILES}


def test_a_file_says_what_the_api_says(histq: Histq, place: Path, at: dict[str, str]) -> None:
    histq(*FETCH, *TWO_MONTHS, "--db", "files.db", **at)
    histq("consume", "--db", "files.db")
    histq(*FETCH, *TWO_MONTHS, "--no-archive", "--db", "pages.db", **at)
    histq("consume", "--db", "pages.db")

    assert len(stored(place, "files.db")) == 5760
    assert stored(place, "files.db") == stored(place, "pages.db")


def test_what_is_held_from_files_is_not_asked_for_again(
    histq: Histq, server: Loopback, at: dict[str, str]
) -> None:
    histq(*FETCH, *TWO_MONTHS, **at)
    consumed(histq)
    before = len(server.log)

    again = histq(*FETCH, *TWO_MONTHS, **at)

    assert (again.code, again.document["requests"]) == (0, 0)
    assert len(server.log) == before


def test_no_archive_asks_the_api_for_all_of_it(
    histq: Histq, server: Loopback, at: dict[str, str]
) -> None:
    fetched = histq(*FETCH, *TWO_MONTHS, "--no-archive", **at)

    assert fetched.document["queued_points"] == 5760
    assert files_asked(server.log) == []


def test_a_source_at_an_address_of_its_own_is_another_market_and_has_no_archive(
    histq: Histq, server: Loopback
) -> None:
    fetched = histq(*FETCH, *TWO_MONTHS, **source_at("binance", server.url))

    assert fetched.document["queued_points"] == 5760
    assert [one["source"] for one in fetched.document["sources"]] == ["binance"]


def test_an_archive_that_is_not_enabled_is_not_asked(
    histq: Histq, server: Loopback, at: dict[str, str]
) -> None:
    fetched = histq(*FETCH, *TWO_MONTHS, **at, HISTQ_SOURCES__BINANCE_ARCHIVE__ENABLED="false")

    assert fetched.document["queued_points"] == 5760
    assert files_asked(server.log) == []


def test_a_dry_run_prices_files_and_pages_apart(histq: Histq, at: dict[str, str]) -> None:
    planned = histq(*FETCH, "--dry-run", "--from", "2024-01-01", "--to", "2024-03-03", **at)

    assert planned.code == 0
    assert [(one["source"], one["requests"]) for one in planned.document["sources"]] == [
        ("binance", 1),
        ("binance-archive", 4),
    ]
    assert planned.document["requests"] == 5
    assert planned.document["points"] == 5760 + 192


def test_what_is_not_published_yet_comes_from_the_api(
    histq: Histq, place: Path, binance: Binance, server: Loopback, at: dict[str, str]
) -> None:
    del binance.files[FILES[1]]

    fetched = histq(*FETCH, *TWO_MONTHS, **at)
    consumed(histq)

    assert (fetched.code, fetched.err.count("archive")) == (0, 0)
    assert pages_asked(server.log) == [FEBRUARY + n * 1000 * QUARTER_MS for n in range(3)]
    assert len(stored(place)) == 5760


def test_a_wrong_checksum_is_refused_and_retried(
    histq: Histq, place: Path, binance: Binance, server: Loopback, at: dict[str, str]
) -> None:
    damaged = zipped(csv_of(month(JANUARY, FEBRUARY)[:-1]), "BTCUSDT-15m-2024-01.csv")
    answers = iter([Says(damaged)])

    def once_damaged(asked: Asked) -> Says:
        if asked.path.endswith(FILES[0]):
            return next(answers, None) or binance(asked)
        return binance(asked)

    server.answer_with(once_damaged)
    patient = {**at, **source_at("binance_archive", server.url, max_wait_s=30)}
    fetched = histq(*FETCH, *TWO_MONTHS, **patient)
    consumed(histq)

    assert fetched.code == 0
    assert "its CHECKSUM says" in fetched.err
    assert files_asked(server.log).count(FILES[0]) == 2
    assert pages_asked(server.log) == []
    assert len(stored(place)) == 5760


def truncated(body: bytes) -> bytes:
    return body[: len(body) // 2]


def test_nothing_of_a_truncated_file_is_stored_and_its_months_come_from_the_api(
    histq: Histq, place: Path, binance: Binance, server: Loopback, at: dict[str, str]
) -> None:
    binance.files[FILES[0]] = truncated(binance.files[FILES[0]])

    fetched = histq(*FETCH, *TWO_MONTHS, **at)
    consumed(histq)

    assert fetched.code == 0
    assert "asking binance itself instead" in fetched.err
    assert pages_asked(server.log) == [JANUARY + n * 1000 * QUARTER_MS for n in range(3)]
    assert len(stored(place)) == 5760
    assert {via and via.partition(" ")[0] for via in vias(place)} == {None, FILES[1]}


@pytest.mark.parametrize("right_checksum", [False, True], ids=["checksum", "zip"])
def test_the_archive_alone_leaves_what_it_cannot_give_as_failed(
    histq: Histq, place: Path, binance: Binance, at: dict[str, str], right_checksum: bool
) -> None:
    body = binance.files[FILES[0]] = truncated(binance.files[FILES[0]])
    if right_checksum:
        binance.checksums[FILES[0]] = hashlib.sha256(body).hexdigest()

    fetched = histq("fetch", "BTC", "-s", "binance-archive", "-i", "15m", *TWO_MONTHS, **at)
    consumed(histq)
    gaps = histq("gaps", "--json")

    assert fetched.code == 3
    assert FILES[0] in fetched.err
    assert {row[1] for row in stored(place)} == set(range(FEBRUARY, MARCH, QUARTER_MS))
    assert [(gap["start"], gap["end"], gap["why"]) for gap in gaps.document["gaps"]] == [
        (JANUARY, FEBRUARY, "failed")
    ]


def test_a_dead_archive_costs_no_data(
    histq: Histq, place: Path, server: Loopback, at: dict[str, str]
) -> None:
    nowhere = source_at("binance_archive", "http://127.0.0.1:9")

    fetched = histq(*FETCH, *TWO_MONTHS, **{**at, **nowhere})
    consumed(histq)

    assert fetched.code == 0
    assert len(stored(place)) == 5760


def test_a_file_that_was_replaced_is_fetched_again_and_its_changes_are_revisions(
    histq: Histq, place: Path, binance: Binance, server: Loopback, at: dict[str, str]
) -> None:
    histq(*FETCH, *TWO_MONTHS, **at)
    consumed(histq)
    changed = month(JANUARY, FEBRUARY)
    changed[7][5] = "13.00000000"
    binance.add(FILES[0], csv_of(changed))
    before = len(server.log)

    fetched = histq(*FETCH, *TWO_MONTHS, "--refetch", **at)
    told = consumed(histq)
    revisions = histq("revisions", "list", "--json")

    assert files_asked(server.log[before:]).count(FILES[0]) == 1
    assert files_asked(server.log[before:]).count(FILES[1]) == 0  # only its checksum was asked for
    assert fetched.document["queued_points"] == 2976
    assert (told.document["inserted"], told.document["revised"]) == (0, 1)
    (revision,) = revisions.document["revisions"]
    assert revision["timestamp"] == JANUARY + 7 * QUARTER_MS
    assert (revision["old"], revision["new"]) == ({"volume": 12.5}, {"volume": 13.0})
    assert stored(place)[7][6] == 12.5


def test_the_first_candle_is_asked_for_before_years_of_files_that_never_were(
    histq: Histq, server: Loopback, at: dict[str, str]
) -> None:
    fetched = histq(*FETCH, "--from", "2017-01-01", "--to", "2020-09-20", **at)
    consumed(histq)
    gaps = histq("gaps", "--all", "--json")

    assert fetched.code == 0
    assert (len(files_asked(server.log)), pages_asked(server.log)) == (0, [LISTED])
    assert gaps.code == 0
    assert [(gap["end"], gap["why"], gap["explained"]) for gap in gaps.document["gaps"]] == [
        (LISTED, "before listing", True)
    ]


def test_the_recorded_months_enter_with_the_values_of_the_api(
    histq: Histq, place: Path, realdata: Path
) -> None:
    archive = Binance(lambda start, end: [])
    for name in ("2024-11", "2024-12", "2025-01"):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            csv = realdata / f"binance/vision_spot_1h/{symbol}-1h-{name}.csv"
            archive.add(f"{symbol}-1h-{name}.zip", csv.read_bytes())
    span = ("--from", "2024-11-01", "--to", "2025-02-01")

    with Loopback(archive) as files, Loopback(Recorded(realdata)) as api:
        at_files = source_at("binance_archive", files.url)
        fetched = histq(
            *("fetch", "BTC", "ETH", "-s", "binance-archive", *span, "--db", "files.db"), **at_files
        )
        at_api = source_at("binance", api.url)
        histq("fetch", "BTC", "ETH", "-s", "binance", *span, "--db", "api.db", **at_api)
    histq("consume", "--db", "files.db")
    histq("consume", "--db", "api.db")

    rows = stored(place, "files.db")
    # 2,208 hours each. The API's last candle was open when it was recorded, the file's is not.
    assert (fetched.code, len(rows)) == (0, 2 * 2208)
    assert set(stored(place, "api.db")) <= set(rows)
    assert len(stored(place, "api.db")) >= 2 * 2206
    bitcoin = [row[1] for row in rows if row[0] == "BTCUSDT"]
    assert bitcoin == list(range(1_730_419_200_000, 1_738_368_000_000, 3_600_000))
    assert {row[11] for row in rows} == {None}  # every close time is the regular one
