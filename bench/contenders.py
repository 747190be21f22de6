"""The same rows into the table `prices` of a new file: by hand, and through queue and consumer."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import rows
from histq.config import load
from histq.db import Database
from histq.model import WIDTH, Draft, Series, Window
from histq.page import Flat, pack, timestamps
from histq.pipeline.backends import Opener
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop

ROWS_A_TRANSACTION: Final = 10_000
ROWS_A_STATEMENT: Final = 100
INSERT: Final = f"insert or ignore into prices values ({', '.join('?' * (WIDTH + 2))})"

Page = tuple[int, Flat]
Row = Sequence[object]


class Unwatched:
    """Nobody looks on."""

    def waiting_points(self, points: int) -> None: ...

    def stored(self, report: ConsumeReport) -> None: ...

    def idle(self, why: str) -> None: ...


def bare(folder: Path, tuples: Sequence[Row]) -> float:
    """Seconds for `executemany`: the ceiling of a careful loop of one's own."""
    with prepared(folder / "bare.db") as database:
        began = time.perf_counter()
        for i in range(0, len(tuples), ROWS_A_TRANSACTION):
            store(database, tuples[i : i + ROWS_A_TRANSACTION])
        return time.perf_counter() - began


def store(database: Database, tuples: Sequence[Row]) -> None:
    """One transaction of the bare loop."""
    with database.transaction():
        database.change_many(INSERT, tuples)


def many_a_statement(folder: Path, tuples: Sequence[Row]) -> float:
    """Seconds with a hundred rows bound to a statement: the ceiling of the table itself."""
    row = f"({', '.join('?' * (WIDTH + 2))})"
    sql = f"insert or ignore into prices values {', '.join([row] * ROWS_A_STATEMENT)}"
    flat = [value for values in tuples for value in values]
    size = ROWS_A_STATEMENT * (WIDTH + 2)
    with prepared(folder / "many.db") as database:
        began = time.perf_counter()
        for i in range(0, len(tuples), ROWS_A_TRANSACTION):
            with database.transaction():
                start, stop = i * (WIDTH + 2), (i + ROWS_A_TRANSACTION) * (WIDTH + 2)
                for j in range(start, min(stop, len(flat) - size + 1), size):
                    database.change(sql, flat[j : j + size])
        return time.perf_counter() - began


def prepared(path: Path) -> Database:
    """A new database that knows the series of `rows`."""
    database = Database.open(path)
    with database.transaction():
        for number in range(rows.SERIES):
            database.change(
                "insert into series (source, symbol, interval, created_at) values (?, ?, ?, 0)",
                rows.series(number),
            )
    return database


def opener(path: Path) -> Opener:
    """Default settings, and a process that is nobody."""
    flags = {"database": {"path": str(path)}}
    return Opener(load(flags, plain=True).settings, "bench:0:0:0:0")


def draft(page: Page) -> Draft:
    number, flat = page
    times = timestamps(flat)
    window = Window(times[0], times[-1] + rows.STEP_MS)
    return Draft(Series(*rows.series(number)), window, len(times), pack(flat))


def ours(folder: Path, pages: Sequence[Page], workers: int = 1) -> tuple[float, float]:
    """Seconds for putting all pages, and for consuming them."""
    open_bench = opener(folder / "histq.db")
    with open_bench.open(create=True) as backends:
        began = time.perf_counter()
        for page in pages:
            backends.queue.put([draft(page)])
        put_s = time.perf_counter() - began
        began = time.perf_counter()
        runs = RunLog("bench", "bench")
        report = consume(ConsumeJob(open_bench, workers, runs, stop=Stop(), watcher=Unwatched()))
        consume_s = time.perf_counter() - began
    expected = sum(len(flat) // WIDTH for _, flat in pages)
    if report.inserted != expected:
        raise SystemExit(f"stored {report.inserted} of {expected} points: no figure is worth this")
    return put_s, consume_s
