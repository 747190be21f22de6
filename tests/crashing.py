"""Does one thing with a database in a process that ends (os._exit) at a chosen point.

A point lies before or after one statement of a write transaction. `python -m tests.crashing` is
ordered about as `tests/killable.py` is; what it tells are the statements that it came to.
"""

import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlite_utils.utils import sqlite3

from histq.client import Answer
from histq.config import load
from histq.db import Database
from histq.errors import Poison, StorageFailed
from histq.host import owner_id, wall_clock
from histq.model import HOUR_MS, Candle, Series, Window
from histq.page import Flat
from histq.pipeline import letters
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.fetch import FetchJob
from histq.pipeline.planning import Piece, SeriesPlan
from histq.pipeline.record import Recorder
from histq.pipeline.runs import RunLog
from histq.pipeline.targets import select
from histq.plan import Wish
from histq.queues.sqlite import SqliteQueue
from histq.stop import Stop
from histq.stores import Written
from histq.stores.sqlite import SqliteStore
from tests.killable import serve
from tests.pipeline import Quiet

CRASHED: Final = 77
START: Final = 1_704_067_200_000  # 2024-01-01

_connect: Any = sqlite3.connect


class Point(NamedTuple):
    """`number` counts the statements of write transactions from 1; 0 is nowhere.

    Those of the first so many transactions are not counted.
    """

    number: int = 0
    after: bool = False
    skipped: int = 0


class Watch:
    """Sees every statement of every connection of this process."""

    def __init__(self, point: Point, told: Path) -> None:
        self._point = point
        self._told = told
        self._transactions = 0
        self.statements: list[str] = []

    def connect(self, *arguments: Any, **named: Any) -> sqlite3.Connection:
        """What histq gets for sqlite3.connect in this process."""
        connection: Watched = _connect(*arguments, factory=Watched, **named)
        connection.watch = self
        return connection

    def before(self, sql: str, in_transaction: bool) -> bool:
        """Whether the statement counts."""
        begins = sql.startswith("begin")
        self._transactions += begins
        if not (begins or in_transaction) or self._transactions <= self._point.skipped:
            return False
        self.statements.append(sql)
        self._end_if(after=False)
        return True

    def after(self) -> None:
        self._end_if(after=True)

    def _end_if(self, *, after: bool) -> None:
        if len(self.statements) == self._point.number and after == self._point.after:
            self.tell()
            os._exit(CRASHED)

    def tell(self) -> None:
        self._told.write_text(json.dumps([sql[:60] for sql in self.statements]))


class Watched(sqlite3.Connection):
    watch: Watch

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        counts = self.watch.before(sql, self.in_transaction)
        cursor = super().execute(sql, *parameters)
        if counts:
            self.watch.after()
        return cursor

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        counts = self.watch.before(sql, self.in_transaction)
        cursor = super().executemany(sql, *parameters)
        if counts:
            self.watch.after()
        return cursor


class FaultyStore(SqliteStore):
    """A store that cannot take ETHUSDT, for the reason that is its fault."""

    def __init__(self, database: Database, fault: str) -> None:
        super().__init__(database)
        self._fault = fault

    def write(self, series: Series, page: Flat) -> Written:
        written = super().write(series, page)
        if self._fault and series.symbol == "ETHUSDT":
            raise {"storage": StorageFailed, "poison": Poison}[self._fault](self._fault)
        return written


class LaterOpener(Opener):
    """Opens the queue as it is some hours later, and a store with a fault, or with none."""

    fault = ""
    hours = 0

    def open(self, *, create: bool) -> Backends:
        opened = Opener(self.settings, self.owner).open(create=create)
        store = FaultyStore(opened.database, self.fault)
        queue = SqliteQueue(opened.database, owner=self.owner, clock=later)
        return opened._replace(queue=queue, store=store)


def later() -> int:
    return wall_clock() + LaterOpener.hours * HOUR_MS


def opener() -> Opener:
    settings = load({"database": {"path": "histq.db"}}, plain=True).settings
    return LaterOpener(settings, owner_id())


def candles(first: int, count: int) -> list[Candle]:
    opens = range(START + first * HOUR_MS, START + (first + count) * HOUR_MS, HOUR_MS)
    return [Candle(opened, open=2.0, high=9.0, low=1.0, close=2.0) for opened in opens]


def put() -> None:
    """An answer of a provider, as a fetch records it, and one that is still to come."""
    opened = opener()
    (target,) = select(opened.settings, ["BTCUSDT"], ["binance"], ["1h"]).targets
    windows = [Window(START + first * HOUR_MS, START + (first + 3) * HOUR_MS) for first in (0, 3)]
    recorder = Recorder(
        FetchJob(
            opener=opened,
            selection=select(opened.settings),
            wish=Wish(),
            runs=RunLog("fetch", opened.owner),
            stop=Stop(),
            watcher=Silent(),
            state_folder=Path.cwd(),
        )
    )
    plan = SeriesPlan(
        target, [Piece(window) for window in windows], recorder.spans(target.series), wanted=True
    )
    recorder.keep(plan, Answer(windows[0], candles(0, 3)), windows[0].end)
    recorder.close()


class Silent:
    """Watches nothing of a fetch."""

    def planned(self, series: Series, slots: int) -> None: ...

    def answered(self, series: Series, slots: int, reached: int) -> None: ...

    def retrying(self, source: str, why: str, wait_s: float) -> None: ...

    def failed(self, source: str, why: str) -> None: ...

    def waiting(self, why: str) -> None: ...


def lease() -> None:
    with opener().open(create=False) as backends:
        backends.queue.lease(100, 10_000, 60)


def settle() -> None:
    """All that a consumer does with what waits, by one worker that waits for nothing."""
    opened = opener()
    runs = RunLog("consume", opened.owner)
    consume(ConsumeJob(opened, 1, runs, Stop(), Quiet(), wait=False, clock=later))


def redrive() -> None:
    with opener().open(create=False) as backends:
        letters.redrive(backends, backends.queue.letters(), later())


JOBS: Final = {job.__name__: job for job in (put, lease, settle, redrive)}


def _child(order: dict[str, Any], told: Path) -> None:
    watch = Watch(Point(*order["point"]), told)
    sqlite3.connect = watch.connect  # type: ignore[assignment]
    LaterOpener.fault, LaterOpener.hours = order["fault"], order["hours"]
    JOBS[order["job"]]()
    watch.tell()
    os._exit(0)


if __name__ == "__main__":
    serve(_child)
