"""Whether the store in SQLite notices that it does not add up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.db import Database
from histq.findings import Finding
from histq.model import HOUR_MS, Series, Span, State
from histq.stores import Store
from histq.stores.sqlite import SqliteStore
from tests.stores import BTC, page


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "histq.db") as database:
        yield database


@pytest.fixture
def store(db: Database) -> SqliteStore:
    """Four hours of Bitcoin, the third of which the provider says to be empty."""
    made = SqliteStore(db, clock=lambda: 9)
    made.write(BTC, page(0, 1, 3))
    made.record(BTC, [hours(0, 2, State.STORED), hours(2, 3, State.EMPTY)])
    made.record(BTC, [hours(3, 4, State.STORED)])
    return made


def hours(start: float, end: float, state: State) -> Span:
    return Span(round(start * HOUR_MS), round(end * HOUR_MS), state)


def found(store: Store) -> list[Finding]:
    return list(store.audit(lambda done, all_: None))


def only(store: Store) -> Finding:
    (finding,) = found(store)
    return finding


@pytest.mark.parametrize(
    ("change", "what", "repair"),
    [
        ("points = 4", "points is 4 and counted 3", "points = 3"),
        ("first = 5", "first is 5 and counted 0", "first = 0"),
        ("last = null", "last is None and counted 10800000", "last = 10800000"),
        ("off_grid = 1", "off_grid is 1 and counted 0", "off_grid = 0"),
        ("doubled = 2", "doubled is 2 and counted 0", "doubled = 0"),
    ],
    ids=["points", "first", "last", "off grid", "doubled"],
)
def test_a_counter_that_is_wrong_is_found_with_what_sets_it_right(
    change: str, what: str, repair: str, store: SqliteStore, db: Database
) -> None:
    db.rows(f"update series set {change}")

    finding = only(store)
    db.rows(f"update series set {repair} where id = 1")

    assert (finding.where, finding.what) == ("binance/BTCUSDT/1h", what)
    assert finding.advice == f'run sqlite3 with "update series set {repair} where id = 1"'
    assert found(store) == []


def test_candles_in_one_slot_are_counted_again(store: SqliteStore, db: Database) -> None:
    store.write(BTC, page(0.25, 0.5))
    assert found(store) == []
    db.rows("update series set doubled = 0")

    assert only(store).what == "doubled is 0 and counted 2"


def test_a_stored_slot_without_a_candle_is_found(store: SqliteStore, db: Database) -> None:
    db.rows("delete from prices where timestamp = ?", [HOUR_MS])
    db.rows("update series set points = 2")

    finding = only(store)

    assert finding.what == "1 slots that the ledger calls stored hold no candle"
    assert finding.advice == (
        "histq fetch BTCUSDT -s binance -i 1h --refetch --from 1970-01-01T01:00Z"
        " --to 1970-01-01T02:00Z asks for them again"
    )


def test_the_holes_of_a_long_stretch_are_told_from_the_first_to_the_last(
    store: SqliteStore, db: Database
) -> None:
    store.write(BTC, page(*range(100, 400)))
    store.record(BTC, [hours(100, 400, State.STORED)])
    for hour in (137, 138, 290):
        db.rows("delete from prices where timestamp = ?", [hour * HOUR_MS])
    db.rows("update series set points = points - 3")

    finding = only(store)

    assert finding.what.startswith("3 slots")
    assert "--from 1970-01-06T17:00Z --to 1970-01-13T03:00Z" in finding.advice


def test_a_stretch_of_observations_may_hold_none(store: SqliteStore) -> None:
    spot = Series("coingecko", "BTCUSD", "spot")
    store.record(spot, [hours(0, 24, State.STORED)])

    assert found(store) == []


def test_a_slot_whose_candle_is_off_the_grid_is_filled(store: SqliteStore) -> None:
    store.write(BTC, page(5.5))
    store.record(BTC, [hours(5, 6, State.STORED)])

    assert found(store) == []


def test_a_candle_that_the_ledger_does_not_know_is_found(store: SqliteStore) -> None:
    store.write(BTC, page(8, 9))

    finding = only(store)

    assert finding.what == "the ledger knows nothing of 2 candles"
    assert "--from 1970-01-01T08:00Z --to 1970-01-01T10:00Z" in finding.advice


@pytest.mark.parametrize("state", [State.QUEUED, State.FAILED, State.DEAD, State.EMPTY])
def test_a_candle_may_be_where_the_ledger_says_something_else(
    state: State, store: SqliteStore
) -> None:
    store.record(BTC, [hours(1, 2, state)])

    assert found(store) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ('"end" = 9000000 where start = 0', "the stretches at 1970-01-01 and 1970-01-01T02:00Z"),
        ('"end" = 0 where start = 0', "the stored stretch at 1970-01-01 ends before it begins"),
    ],
    ids=["overlap", "backwards"],
)
def test_a_ledger_in_disorder_is_found(
    change: str, what: str, store: SqliteStore, db: Database
) -> None:
    db.rows(f"update spans set {change}")

    finding = only(store)

    assert finding.what.startswith(what)
    assert "delete from spans where series_id = 1" in finding.advice


def test_an_interval_that_nobody_knows_is_found(store: SqliteStore, db: Database) -> None:
    db.rows("update series set interval = '7h'")

    assert only(store).what.startswith("no interval '7h'")


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        (
            "insert into prices (series_id, timestamp, close, created_at) values (7, 0, 1, 0)",
            "prices",
            "rows of series that do not exist (ids 7)",
        ),
        (
            "insert into spans (series_id, start, \"end\", state) values (8, 0, 1, 'empty')",
            "spans",
            "rows of series that do not exist (ids 8)",
        ),
        (
            "insert into revisions (series_id, timestamp, seen_at, old, new)"
            " values (1, 7, 0, '{}', '{}')",
            "revisions",
            "1 have no candle (ids 1)",
        ),
        (
            "insert into revisions (series_id, timestamp, seen_at, old, new)"
            " values (1, 0, 0, '{', '{}')",
            "revisions",
            "1 are no JSON objects (ids 1)",
        ),
        (
            "insert into ingestion_stats values (1, 5, 'binance', 0, 1, 1, 1, 0, 0, 0, 1, 1)",
            "ingestion_stats",
            "1 rows of no run (ids 1)",
        ),
    ],
    ids=["prices", "spans", "revision without candle", "revision of nonsense", "statistics"],
)
def test_a_row_that_belongs_to_nothing_is_found(
    change: str, where: str, what: str, store: SqliteStore, db: Database
) -> None:
    db.rows(change)

    finding = only(store)

    assert (finding.where, finding.what) == (where, what)
