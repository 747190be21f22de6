"""Speed, measured: python -m bench.

Queue and consumer move the same rows into the same table as a bare `executemany`, in turns, in one
process, each into a new file. Ratios hold on any machine; absolute figures are of this one.
"""

import platform
import statistics
import tempfile
import time
from pathlib import Path

from sqlite_utils.utils import sqlite3

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

ROUNDS = 5
ROWS_A_TRANSACTION = 10_000
ROWS_A_STATEMENT = 100
Page = tuple[int, Flat]


class Unwatched:
    """Nobody looks on."""

    def waiting_points(self, points: int) -> None: ...

    def stored(self, report: ConsumeReport) -> None: ...

    def idle(self, why: str) -> None: ...


def bare(folder: Path, tuples: list[tuple[object, ...]]) -> float:
    """Seconds for `executemany`: the ceiling of a careful loop of one's own."""
    with _prepared(folder / "bare.db") as database:
        sql = f"insert or ignore into prices values ({', '.join('?' * (WIDTH + 2))})"
        began = time.perf_counter()
        for i in range(0, len(tuples), ROWS_A_TRANSACTION):
            with database.transaction():
                database.change_many(sql, tuples[i : i + ROWS_A_TRANSACTION])
        return time.perf_counter() - began


def many_a_statement(folder: Path, tuples: list[tuple[object, ...]]) -> float:
    """Seconds with a hundred rows bound to a statement: the ceiling of the table itself."""
    row = f"({', '.join('?' * (WIDTH + 2))})"
    sql = f"insert or ignore into prices values {', '.join([row] * ROWS_A_STATEMENT)}"
    flat = [value for values in tuples for value in values]
    size = ROWS_A_STATEMENT * (WIDTH + 2)
    with _prepared(folder / "many.db") as database:
        began = time.perf_counter()
        for i in range(0, len(tuples), ROWS_A_TRANSACTION):
            with database.transaction():
                start, stop = i * (WIDTH + 2), (i + ROWS_A_TRANSACTION) * (WIDTH + 2)
                for j in range(start, min(stop, len(flat) - size + 1), size):
                    database.change(sql, flat[j : j + size])
        return time.perf_counter() - began


def _prepared(path: Path) -> Database:
    database = Database.open(path)
    with database.transaction():
        for number in range(rows.SERIES):
            database.change(
                "insert into series (source, symbol, interval, created_at) values (?, ?, ?, 0)",
                rows.series(number),
            )
    return database


def ours(folder: Path, pages: list[Page], workers: int) -> tuple[float, float]:
    """Seconds for putting all pages, and for consuming them."""
    flags = {"database": {"path": str(folder / "histq.db")}}
    opener = Opener(load(flags, plain=True).settings, "bench:0:0:0:0")
    with opener.open(create=True) as backends:
        began = time.perf_counter()
        for number, flat in pages:
            times = timestamps(flat)
            window = Window(times[0], times[-1] + rows.STEP_MS)
            series = Series(*rows.series(number))
            backends.queue.put([Draft(series, window, len(times), pack(flat))])
        put_s = time.perf_counter() - began
        began = time.perf_counter()
        runs = RunLog("bench", "bench")
        report = consume(ConsumeJob(opener, workers, runs, stop=Stop(), watcher=Unwatched()))
        consume_s = time.perf_counter() - began
    expected = sum(len(flat) // WIDTH for _, flat in pages)
    if report.inserted != expected:
        raise SystemExit(f"stored {report.inserted} of {expected} points: no figure is worth this")
    return put_s, consume_s


def main() -> None:
    """Prints a row a contender."""
    pages = rows.pages()
    tuples = rows.tuples(pages)
    count = len(tuples)
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}, SQLite {sqlite3.sqlite_version}: medians of {ROUNDS} rounds")
    print(f"{count:,} rows of {rows.SERIES} series")
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, seconds in _round(pages, tuples).items():
            found.setdefault(name, []).append(seconds)
    base = found["bare executemany"]
    print(f"{'':28}{'points/s':>12}{'ratio to bare':>16}")
    for name, runs in found.items():
        ratio = statistics.median(b / s for b, s in zip(base, runs, strict=True))
        print(f"{name:28}{count / statistics.median(runs):>12,.0f}{ratio:>16.2f}")


def _round(pages: list[Page], tuples: list[tuple[object, ...]]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {"bare executemany": bare(folder, tuples)}
        put_s, consume_s = ours(folder, pages, workers=1)
        found |= {"put": put_s, "consume": consume_s, "put and consume": put_s + consume_s}
    with tempfile.TemporaryDirectory() as name:
        found["consume, 5 workers"] = ours(Path(name), pages, workers=5)[1]
        found["100 rows a statement"] = many_a_statement(Path(name), tuples)
    return found


if __name__ == "__main__":
    main()
