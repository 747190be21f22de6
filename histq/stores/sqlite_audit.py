"""Whether the SQLite store adds up: counters, ledger and prices, each against the others.

The prices are read once. What must hold: counters equal recounts; spans are in order and free of
overlaps; every slot that the ledger calls stored holds a candle; the ledger knows something of
every candle. A candle outside the stored stretches is no fault: a later answer for its slot may
have been lost, or its dead letter dropped, and then it is only asked for again.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from histq.db import Database
from histq.errors import Usage
from histq.findings import Finding, some
from histq.model import Interval, Series, State, Window, iso

TIMES_A_READ: Final = 50_000

_COUNTERS: Final = ("points", "first", "last", "off_grid", "doubled")


class _Count(NamedTuple):
    """Of the candles in a stretch; `off_grid` how many open between two slots."""

    points: int
    first: int | None
    last: int | None
    off_grid: int


class _Stretch(NamedTuple):
    """What the ledger says of a stretch, None where it says nothing."""

    window: Window
    state: State | None


def audit(db: Database, tell: Callable[[int, int], None]) -> Iterator[Finding]:
    """What does not add up; `tell` gets the candles looked at so far, and all by the counters."""
    said, read = db.value("select coalesce(sum(points), 0) from series"), 0

    def counted(points: int) -> None:
        nonlocal read
        read += points
        tell(read, said)

    for id_, source, symbol, name, *counters in db.rows(
        f"select id, source, symbol, interval, {', '.join(_COUNTERS)} from series order by id"
    ):
        try:
            interval = Interval.parse(name)
        except Usage as error:
            yield Finding(f"series {id_}", str(error), "histq cannot use it; restore a backup")
            continue
        series = Series(source, symbol, name)
        yield from _SeriesAudit(db, id_, series, interval, counted).findings(counters)
    yield from _orphans(db)


class _SeriesAudit:
    def __init__(
        self,
        db: Database,
        id_: int,
        series: Series,
        interval: Interval,
        tell: Callable[[int], None],
    ) -> None:
        self._db = db
        self._id = id_
        self._series = series
        self._interval = interval
        self._tell = tell

    def findings(self, counters: Sequence[int | None]) -> Iterator[Finding]:
        spans = [
            _Stretch(Window(start, end), State(state))
            for start, end, state in self._db.rows(
                'select start, "end", state from spans where series_id = ? order by start',
                (self._id,),
            )
        ]
        if wrong := _disorder(spans):
            advice = (
                f'run sqlite3 with "delete from spans where series_id = {self._id}", then histq'
                " fetch with --from: it asks for all of the series again"
            )
            yield Finding(str(self._series), wrong, advice)
            spans = []
        counted = [(stretch, self._count(stretch.window)) for stretch in _partition(spans)]
        yield from self._counters(counters, [count for _, count in counted])
        if not wrong:
            yield from self._unknown(counted)
            yield from self._holes(counted)

    def _count(self, window: Window) -> _Count:
        interval = self._interval
        if interval.name == "1M":  # months have no one length, and there are few of them
            times = list(self._times(window))
            off_grid = sum(time != interval.floor(time) for time in times)
            count = _Count(len(times), min(times, default=None), max(times, default=None), off_grid)
        else:
            (row,) = self._db.rows(
                "select count(*), min(timestamp), max(timestamp),"
                " coalesce(sum((timestamp - :anchor) % :step <> 0), 0) from prices"
                " where series_id = :id and timestamp >= :start and timestamp < :end",
                {
                    "id": self._id,
                    "start": window.start,
                    "end": window.end,
                    "anchor": interval.floor(0),
                    "step": interval.step_ms if interval.gridded else 1,
                },
            )
            count = _Count(*row)
        self._tell(count.points)
        return count

    def _times(self, window: Window) -> Iterator[int]:
        """Open times in the window, in order."""
        start = window.start
        while found := self._db.rows(
            "select timestamp from prices where series_id = ? and timestamp >= ? and timestamp < ?"
            " order by timestamp limit ?",
            (self._id, start, window.end, TIMES_A_READ),
        ):
            yield from (time for (time,) in found)
            start = found[-1][0] + 1

    def _filled(self, window: Window) -> int:
        """Slots that open in the window and hold a candle."""
        interval, last, filled = self._interval, None, 0
        # A candle off the grid may lie past the end of the window and still be in its last slot.
        for time in self._times(Window(interval.ceil(window.start), interval.ceil(window.end))):
            slot = interval.floor(time)
            filled += slot != last
            last = slot
        return filled

    def _counters(self, said: Sequence[int | None], counts: Sequence[_Count]) -> Iterator[Finding]:
        points = sum(count.points for count in counts)
        first = min((c.first for c in counts if c.first is not None), default=None)
        last = max((c.last for c in counts if c.last is not None), default=None)
        off_grid, doubled = any(count.off_grid for count in counts), 0
        if off_grid and first is not None and last is not None:
            whole = Window(self._interval.floor(first), self._interval.next(last))
            doubled = points - self._filled(whole)
        counted = (points, first, last, int(off_grid), doubled)
        differing = [
            (name, old, new)
            for name, old, new in zip(_COUNTERS, said, counted, strict=True)
            if old != new
        ]
        if differing:
            what = ", ".join(f"{name} is {old} and counted {new}" for name, old, new in differing)
            sets = ", ".join(f"{n} = {'null' if v is None else v}" for n, _, v in differing)
            advice = f'run sqlite3 with "update series set {sets} where id = {self._id}"'
            yield Finding(str(self._series), what, advice)

    def _unknown(self, counted: Sequence[tuple[_Stretch, _Count]]) -> Iterator[Finding]:
        found = [count for stretch, count in counted if stretch.state is None and count.points]
        if found:
            points = sum(count.points for count in found)
            what = f"the ledger knows nothing of {points:,} candles"
            first, last = found[0].first, found[-1].last
            assert first is not None
            assert last is not None
            yield Finding(str(self._series), what, self._fetch(first, last, ""))

    def _holes(self, counted: Sequence[tuple[_Stretch, _Count]]) -> Iterator[Finding]:
        if not self._interval.gridded:
            return  # a stretch without observations may well be stored: there were none
        lacking = 0
        holes: list[Window] = []
        for stretch, count in counted:
            if stretch.state is State.STORED and (lack := self._lack(stretch.window, count)):
                lacking += lack
                holes.append(stretch.window)
        if holes:
            first, last = self._hole(holes[0]), self._hole(holes[-1], from_end=True)
            what = f"{lacking:,} slots that the ledger calls stored hold no candle"
            yield Finding(str(self._series), what, self._fetch(first, last, " --refetch"))

    def _lack(self, window: Window, count: _Count) -> int:
        slots = self._interval.slots(*window)
        exact = self._interval.name != "1M" and not count.off_grid and count.points == slots
        return 0 if exact else slots - self._filled(window)

    def _hole(self, window: Window, *, from_end: bool = False) -> int:
        """The open time of the first slot in the window without a candle, or of the last."""
        interval = self._interval
        start, slots = interval.ceil(window.start), interval.slots(*window)
        while slots > 1:
            middle = interval.next(start, slots // 2)
            halves = [(start, slots // 2), (middle, slots - slots // 2)]
            if from_end:
                halves.reverse()
            start, slots = next(
                (s, n) for s, n in halves if self._filled(Window(s, interval.next(s, n))) < n
            )
        return start

    def _fetch(self, first: int, last: int, option: str) -> str:
        source, symbol, interval = self._series
        start, end = iso(self._interval.floor(first)), iso(self._interval.next(last))
        return (
            f"histq fetch {symbol} -s {source} -i {interval}{option} --from {start} --to {end}"
            " asks for them again"
        )


def _disorder(spans: Sequence[_Stretch]) -> str:
    """What is wrong with the ledger of a series; empty where it is sound."""
    for (start, end), state in spans:
        if start >= end:
            return f"the {state} stretch at {iso(start)} ends before it begins"
    for (before, _), (after, _) in pairwise(spans):
        if before.end > after.start:
            return f"the stretches at {iso(before.start)} and {iso(after.start)} overlap"
    return ""


def _partition(spans: Sequence[_Stretch]) -> Iterator[_Stretch]:
    """All of time: the spans, and what lies between them."""
    reached = -(2**63)
    for span in spans:
        if reached < span.window.start:
            yield _Stretch(Window(reached, span.window.start), None)
        yield span
        reached = span.window.end
    if reached < 2**63 - 1:
        yield _Stretch(Window(reached, 2**63 - 1), None)


def _orphans(db: Database) -> Iterator[Finding]:
    gone = "restore a backup, or delete these rows with sqlite3"
    known = {id_ for (id_,) in db.rows("select id from series")}
    for name in ("prices", "spans", "revisions"):
        if lost := [id_ for id_ in _series_of(db, name) if id_ not in known]:
            yield Finding(name, f"rows of series that do not exist (ids {some(lost)})", gone)
    for what, found in (
        (
            "have no candle",
            _revisions(
                db,
                "not exists (select 1 from prices p where"
                " p.series_id = r.series_id and p.timestamp = r.timestamp)",
            ),
        ),
        (
            "are no JSON objects",
            _revisions(
                db,
                "json_type(iif(json_valid(old), old, '0')) <>"
                " 'object' or json_type(iif(json_valid(new), new, '0')) <> 'object'",
            ),
        ),
    ):
        if found:
            yield Finding("revisions", f"{len(found)} {what} (ids {some(found)})", gone)
    lost = [
        row[0]
        for row in db.rows(
            "select id from ingestion_stats where run_id not in (select id from runs)"
        )
    ]
    if lost:
        yield Finding("ingestion_stats", f"{len(lost)} rows of no run (ids {some(lost)})", gone)


def _series_of(db: Database, table: str) -> Iterator[int]:
    """The series that the rows of the table name, by one jump in its key each."""
    last = -(2**63)
    while (
        id_ := db.value(f"select min(series_id) from {table} where series_id > ?", (last,))
    ) is not None:
        yield id_
        last = id_


def _revisions(db: Database, flaw: str) -> list[int]:
    return [id_ for (id_,) in db.rows(f"select id from revisions r where {flaw} order by id")]
