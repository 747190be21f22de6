"""The store in a SQLite file: what its views show, and what a reader leaves alone."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.db import Database
from histq.model import FIELDS, Candle
from histq.page import flatten
from histq.stores.sqlite import SqliteStore
from tests.stores import BTC, ETH, EVER, T0, candle, page


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "histq.db") as database:
        yield database


@pytest.fixture
def store(db: Database, clock: Clock) -> SqliteStore:
    return SqliteStore(db, clock=clock)


def test_a_candle_is_shown_as_it_was_told(store: SqliteStore, db: Database) -> None:
    full = Candle(0, 1.5, 3.5, 0.5, 2.5, 10.25, 20.5, 7, 4.25, 8.5, 3_599_998)
    store.write(BTC, flatten([full, candle(1)]))

    found = db.rows(
        f"select source, symbol, interval, {', '.join(FIELDS)} from historical_prices"
        " order by timestamp"
    )

    assert found == [
        (*BTC, 0, 1.5, 3.5, 0.5, 2.5, 10.25, 20.5, 7, 4.25, 8.5, 3_599_998),
        (*BTC, 3_600_000, None, None, None, 1.5, *[None] * 6),
    ]


def test_a_candle_is_dated_when_it_is_first_written(
    store: SqliteStore, db: Database, clock: Clock
) -> None:
    store.write(BTC, page(0))
    clock.now = T0 + 99

    store.write(BTC, page(0, 1))

    found = db.rows("select timestamp, created_at from historical_prices order by timestamp")
    assert found == [(0, T0), (3_600_000, T0 + 99)]


def test_a_reader_that_takes_its_time_does_not_hold_the_log(
    store: SqliteStore, tmp_path: Path
) -> None:
    store.write(BTC, page(*range(6_000)))
    reading = store.candles(BTC, EVER)
    next(reading)
    store.write(ETH, page(1))

    other = sqlite3.connect(tmp_path / "histq.db")
    (busy, _, _) = other.execute("pragma wal_checkpoint(truncate)").fetchone()
    other.close()

    assert busy == 0
    assert len(list(reading)) == 5_999
