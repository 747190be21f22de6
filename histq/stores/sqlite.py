"""The store in a SQLite file: bulk `insert or ignore`, counters and ledger in one transaction."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from itertools import starmap
from typing import Final

from histq.db import Database
from histq.findings import Finding
from histq.host import Clock, is_dead, wall_clock
from histq.ledger import overlay
from histq.model import FIELDS, WIDTH, Candle, Interval, Series, Span, State, Window
from histq.page import MOST, Flat, flatten, timestamps
from histq.stores import (
    Applied,
    Bar,
    Batch,
    History,
    Remembered,
    Revision,
    Run,
    SeriesStats,
    Tally,
    Throughput,
    Written,
)
from histq.stores.sqlite_alerts import SqliteAlerts
from histq.stores.sqlite_audit import audit
from histq.stores.sqlite_bars import bars
from histq.stores.sqlite_coverage import coverage, lasts
from histq.stores.sqlite_history import SqliteHistory
from histq.stores.sqlite_revisions import SqliteRevisions
from histq.stores.sqlite_runs import SqliteRuns

ROWS_A_STATEMENT: Final = 100
"""Binding many rows at once doubles the speed; past a hundred nothing more is gained."""

ROWS_A_READ: Final = 5_000

_COLUMNS = ", ".join(FIELDS)
_STATES = {state.value: state for state in State}  # a tenth of what State(text) takes
_SPAN = 'start, "end", state, seen, asked_at, reason, via'


class SqliteStore:
    """`clock` dates what is written; tests replace it, and `dead`."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock = wall_clock,
        dead: Callable[[str], bool] = is_dead,
    ) -> None:
        self._db = database
        self._clock = clock
        self._revisions = SqliteRevisions(database, clock)
        self._history = SqliteHistory(database, dead)
        self._alerts = SqliteAlerts(database, clock)
        self._runs = SqliteRuns(database, clock)

    @property
    def database(self) -> Database:
        return self._db

    @property
    def alerts(self) -> SqliteAlerts:
        return self._alerts

    def transaction(self) -> AbstractContextManager[None]:
        return self._db.transaction()

    def write(self, series: Series, page: Flat) -> Written:
        if not page:
            return Written(0, 0, 0)
        with self._db.transaction():
            series_id, off_grid = self._register(series)
            interval, times = Interval(series.interval), timestamps(page)
            off_grid = off_grid or not interval.holds(times)
            doubled = self._doubled(series_id, interval, times) if off_grid else 0
            inserted = self._insert(series_id, page)
            total = len(page) // WIDTH
            revised = self._revisions.record(series_id, page) if inserted < total else 0
            if off_grid:
                doubled = self._doubled(series_id, interval, times) - doubled
            self._db.change(
                "update series set points = points + :inserted,"
                " first = min(coalesce(first, :first), :first),"
                " last = max(coalesce(last, :last), :last),"
                " off_grid = :off_grid, doubled = doubled + :doubled where id = :id",
                {
                    "inserted": inserted,
                    "first": min(times),
                    "last": max(times),
                    "off_grid": off_grid,
                    "doubled": doubled,
                    "id": series_id,
                },
            )
        return Written(inserted, total - inserted, revised)

    def _doubled(self, series_id: int, interval: Interval, times: Sequence[int]) -> int:
        """Stored candles past the first of their slot, in the slots that `times` span."""
        found = self._db.rows(
            "select timestamp from prices where series_id = ? and timestamp >= ? and timestamp < ?",
            (series_id, interval.floor(min(times)), interval.next(max(times))),
        )
        return len(found) - len({interval.floor(time) for (time,) in found})

    def _insert(self, series_id: int, page: Flat) -> int:
        inserted = 0
        names, values = _rows(series_id, self._clock(), page)
        chunk = ROWS_A_STATEMENT * len(names)
        for i in range(0, len(values), chunk):
            part = values[i : i + chunk]
            inserted += self._db.change(_insert_sql(names, len(part) // len(names)), part)
        return inserted

    def revise(self, series: Series, pairs: Sequence[tuple[Candle, Candle]]) -> None:
        if not pairs:
            return
        with self._db.transaction():
            series_id, _ = self._register(series)
            # One by one: those of one batch may lie years apart, and repeat an open time.
            for _, later in pairs:
                self._revisions.record(series_id, flatten([later]))

    def revisions(
        self, series: Sequence[Series], limit: int, ids: Sequence[int] | None = None
    ) -> list[Revision]:
        return self._revisions.newest(series, limit, ids)

    def waiting_revisions(self, series: Sequence[Series], after: int, limit: int) -> list[int]:
        return self._revisions.waiting(series, after, limit)

    def apply_revisions(self, ids: Sequence[int], *, dry_run: bool = False) -> Applied:
        with nullcontext() if dry_run else self._db.transaction():
            return self._revisions.apply(ids, dry_run=dry_run)

    def candles(self, series: Series, window: Window, limit: int | None = None) -> Iterator[Candle]:
        # A read of bounded length each: an open cursor would keep the WAL from being checkpointed.
        start, end = window
        left = MOST if limit is None else limit
        while found := self._db.rows(
            f"select {_COLUMNS} from prices where series_id = (select id from series"
            " where source = ? and symbol = ? and interval = ?)"
            " and timestamp >= ? and timestamp < ? order by timestamp limit ?",
            (*series, start, end, min(left, ROWS_A_READ)),
        ):
            yield from starmap(Candle, found)
            start = found[-1][0] + 1
            left -= len(found)

    def bars(self, series: Series, windows: Sequence[Window]) -> list[Bar]:
        return bars(self._db, series, windows)

    def series(self) -> list[Series]:
        found = self._db.rows(
            "select source, symbol, interval from series order by source, symbol, interval"
        )
        return [Series(*row) for row in found]

    def spans(self, series: Series) -> list[Span]:
        found = self._db.rows(
            f"select {_SPAN} from spans"
            " where series_id = (select id from series where source = ? and symbol = ?"
            " and interval = ?) order by start",
            series,
        )
        return [Span(row[0], row[1], _STATES[row[2]], *row[3:]) for row in found]

    def record(self, series: Series, spans: Iterable[Span]) -> None:
        news = [span for span in spans if span.start < span.end]
        if not news:
            return
        with self._db.transaction():
            series_id, _ = self._register(series)
            start, end = min(span.start for span in news), max(span.end for span in news)
            # Neighbours that only touch are read too: they may merge. A span's end is not in the
            # key, so the one that reaches into the stretch is looked up from its start.
            old = self._db.rows(
                f"select {_SPAN} from spans"
                " where series_id = :id and start <= :end and start >= coalesce((select"
                " max(start) from spans where series_id = :id and start < :start), :start)"
                ' and "end" >= :start',
                {"id": series_id, "start": start, "end": end},
            )
            before = [Span(row[0], row[1], _STATES[row[2]], *row[3:]) for row in old]
            after = overlay(before, news)
            for span in set(before) - set(after):
                self._db.change(
                    "delete from spans where series_id = ? and start = ?", (series_id, span.start)
                )
            for span in set(after) - set(before):
                self._db.change(
                    f"insert into spans (series_id, {_SPAN}) values (?, ?, ?, ?, ?, ?, ?, ?)",
                    (series_id, *span),
                )

    def _register(self, series: Series) -> tuple[int, bool]:
        """The series' id, and whether it has candles off the grid. A transaction is open."""
        for series_id, off_grid in self._db.rows(
            "select id, off_grid from series where source = ? and symbol = ? and interval = ?",
            series,
        ):
            return series_id, bool(off_grid)
        series_id = self._db.insert(
            "insert into series (source, symbol, interval, created_at) values (?, ?, ?, ?)",
            (*series, self._clock()),
        )
        return series_id, False

    def log_batch(self, run_id: int, batch: Batch) -> None:
        self._runs.log_batch(run_id, batch)

    def batches(self, limit: int) -> list[Batch]:
        return self._runs.batches(limit)

    def tallies(self, after: int) -> tuple[int, list[Tally]]:
        return self._runs.tallies(after)

    def history(self, window: Window, step_ms: int) -> list[tuple[int, Tally]]:
        return self._runs.history(window, step_ms)

    def throughput(self, latest: int) -> list[Throughput]:
        return self._runs.throughput(latest)

    def start_run(self, command: str, owner: str) -> int:
        return self._runs.start_run(command, owner)

    def end_run(self, run_id: int, exit_code: int, summary: str) -> None:
        self._runs.end_run(run_id, exit_code, summary)

    def runs(self, limit: int) -> list[Run]:
        return self._runs.runs(limit)

    def last_run(self, command: str) -> int | None:
        return self._runs.last_run(command)

    def coverage(self) -> list[SeriesStats]:
        return coverage(self._db)

    def lasts(self) -> dict[Series, int]:
        return lasts(self._db)

    def count_before(self, before: Mapping[History, int]) -> dict[History, int]:
        return self._history.count(before)

    def forget(
        self,
        kind: History,
        before: int,
        limit: int,
        keep: Callable[[Sequence[Remembered]], None],
    ) -> int:
        with self._db.transaction():
            return self._history.forget(kind, before, limit, keep)

    def audit(self, tell: Callable[[int, int], None]) -> Iterator[Finding]:
        return audit(self._db, tell)

    def close(self) -> None:
        self._db.close()


def _rows(series_id: int, now: int, page: Flat) -> tuple[tuple[str, ...], Flat]:
    """The columns of the table that the page says anything of, and its rows of these, flat.

    What is null throughout is left to the table: Python looks for an adapter for every None that it
    binds, and that takes as long as ten numbers.
    """
    count = len(page) // WIDTH
    columns: dict[str, Flat] = {"series_id": [series_id] * count, "created_at": [now] * count}
    for place, name in enumerate(FIELDS):
        column = page[place::WIDTH]
        if column[0] is not None or column.count(None) < count:
            columns[name] = column
    values: Flat = [None] * (count * len(columns))
    for place, column in enumerate(columns.values()):
        values[place :: len(columns)] = column
    return tuple(columns), values


@cache
def _insert_sql(names: tuple[str, ...], count: int) -> str:
    """For `count` rows that bind flat, without a tuple a candle.

    Plain question marks, though all rows share two values: Python 3.12 and newer look up the name
    of every parameter that they bind, and `?1` is one. That took 12 to 27 µs a row instead of 0.8.
    """
    row = f"({', '.join('?' * len(names))})"
    return f"insert or ignore into prices ({', '.join(names)}) values {', '.join([row] * count)}"
