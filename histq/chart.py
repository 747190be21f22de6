"""A series as a chart: its prices in bins of time, its coverage in cells of the calendar. Pure."""

import datetime
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from histq.errors import Usage
from histq.gaps import Coverage, coverage, gaps
from histq.ledger import ACCEPTED
from histq.model import DAY_MS, HOUR_MS, Interval, Series, Span, State, Window
from histq.stores import Bar


class Look(StrEnum):
    """What a cell of the heat map shows."""

    COMPLETE = "complete"
    HOLED = "with a confirmed hole"
    QUEUED = "queued"
    PARTIAL = "partly lacking"
    EMPTY = "confirmed empty"
    LACKING = "lacking"


class Cell(msgspec.Struct, frozen=True):
    """A stretch of the calendar and its slots of the grid, by what is known of them."""

    start: int
    end: int
    slots: int
    stored: int
    queued: int
    accepted: int
    lacking: int
    look: Look


class Row(msgspec.Struct, frozen=True):
    """One line of the heat map: None where nothing is drawn, or no candle opens."""

    label: str
    share: float | None
    cells: list[Cell | None]


class HeatMap(msgspec.Struct, frozen=True):
    """`row` and `column` name the units of the calendar; cells are counted from `first`."""

    row: str
    column: str
    first: int
    rows: list[Row]


class Blank(msgspec.Struct, frozen=True):
    """A stretch without a stored candle: confirmed empty, lacking, or still queued."""

    start: int
    end: int
    look: Look


class Point(msgspec.Struct, frozen=True):
    timestamp: int
    price: float


class Chart(msgspec.Struct, frozen=True):
    """What is drawn. The four points are None where the stretch holds no candle."""

    source: str
    symbol: str
    interval: str
    start: int
    end: int
    candles: int
    open: Point | None
    high: Point | None
    low: Point | None
    close: Point | None
    bins: list[Bar]
    blanks: list[Blank]
    coverage: HeatMap


def stretch(series: Series, spans: Sequence[Span], since: int | None, until: int | None) -> Window:
    """What to draw of a series: all that is known of it, within these bounds.

    What its source has confirmed to be empty before the first and after the last is left out.
    Raises Usage where nothing is known.
    """
    if not spans:
        raise Usage(f"nothing is known of {series} yet; histq fetch asks for it")
    known = _trimmed(spans)
    start = known.start if since is None else max(since, known.start)
    end = known.end if until is None else min(until, known.end)
    if start >= end:
        raise Usage(f"{series} is known for {known} only; choose --from and --to within")
    return Window(start, end)


def _trimmed(spans: Sequence[Span]) -> Window:
    told = [s for s in spans if s.seen < ACCEPTED] or spans
    return Window(told[0].start, told[-1].end)


def bins(interval: Interval, window: Window, most: int) -> list[Window]:
    """The window in at most so many parts of whole slots."""
    start, end = window
    slots = interval.slots(start, end) if interval.gridded else (end - start) // HOUR_MS
    count = max(1, min(most, slots))
    if interval.gridded:
        first = interval.ceil(start)
        edges = [interval.next(first, slots * k // count) for k in range(count)]
    else:
        edges = [start + (end - start) * k // count for k in range(count)]
    return [Window(*pair) for pair in pairwise([start, *edges[1:], end])]


def adjoining(interval: Interval, before: Bar, after: Bar) -> bool:
    """Whether no candle is missing between the last of one bar and the first of the other."""
    if not interval.gridded:  # about hourly: two hours without are a hole
        return after.first - before.last <= 2 * HOUR_MS
    return after.first < interval.next(before.last, 2)


def blanks(series: Series, spans: Sequence[Span], window: Window) -> list[Blank]:
    """Where the window holds nothing; what is lacking comes last, as the graver news."""
    found = [Blank(span.start, span.end, Look.QUEUED) for span in spans if _queued(span)]
    for gap in gaps(series, spans):
        found.append(Blank(gap.start, gap.end, Look.EMPTY if gap.explained else Look.LACKING))
    within = (one for one in found if one.start < window.end and window.start < one.end)
    return sorted(within, key=lambda one: one.look is Look.LACKING)


def _queued(span: Span) -> bool:
    return span.state is State.QUEUED


class _Calendar(NamedTuple):
    row: str
    column: str
    cell: Interval
    columns: int
    first: int


_HOURS: Final = _Calendar("day", "hour", Interval("1h"), 24, 0)
_DAYS: Final = _Calendar("month", "day", Interval("1d"), 31, 1)
_WEEKS: Final = _Calendar("year", "week", Interval("1w"), 54, 0)
_MONTHS: Final = _Calendar("year", "month", Interval("1M"), 12, 1)


def heat_map(series: Series, spans: Sequence[Span], window: Window) -> HeatMap:
    """The coverage by hours, days, weeks or months, so that it stays within two dozen lines."""
    calendar = _calendar(Interval(series.interval), window)
    rows: dict[str, list[Cell | None]] = {}
    for cell in _cells(series, spans, window, calendar.cell):
        label, column = _place(calendar, cell.start)
        rows.setdefault(label, [None] * calendar.columns)[column] = cell
    made = [Row(label, _share(cells), cells) for label, cells in rows.items()]
    return HeatMap(calendar.row, calendar.column, calendar.first, made)


def _calendar(interval: Interval, window: Window) -> _Calendar:
    """The finest that a cell of holds a candle at least, and that is not too long."""
    span = window.end - window.start
    if interval.step_ms <= HOUR_MS and span <= 16 * DAY_MS:
        return _HOURS
    if interval.step_ms <= DAY_MS and span <= 731 * DAY_MS:
        return _DAYS
    return _WEEKS if interval.step_ms <= _WEEKS.cell.step_ms else _MONTHS


def _place(calendar: _Calendar, start: int) -> tuple[str, int]:
    """Line and column of the cell that starts then."""
    day = _day(start)
    if calendar is _HOURS:
        return day.isoformat(), start % DAY_MS // HOUR_MS
    if calendar is _DAYS:
        return f"{day:%Y-%m}", day.day - 1
    if calendar is _MONTHS:
        return f"{day:%Y}", day.month - 1
    return f"{day:%Y}", int(f"{day:%W}")  # 0 are the days before the first Monday


def _cells(series: Series, spans: Sequence[Span], window: Window, unit: Interval) -> Iterator[Cell]:
    starts, ends = [span.start for span in spans], [span.end for span in spans]
    start = window.start
    while start < window.end:
        within = Window(start, min(unit.next(start), _new_year(start), window.end))
        near = spans[bisect_right(ends, within.start) : bisect_left(starts, within.end)]
        found = coverage(series, near, within)
        if found.slots:
            yield _cell(found, within)
        start = within.end


def _new_year(instant: int) -> int:
    return _MONTHS.cell.next(instant, 13 - _day(instant).month)


def _day(instant: int) -> datetime.date:
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=instant // DAY_MS)


def _cell(found: Coverage, within: Window) -> Cell:
    figures = found.slots, found.stored, found.queued, found.accepted, found.lacking
    return Cell(*within, *figures, look(found))


def look(found: Coverage) -> Look:
    if found.lacking:
        return Look.PARTIAL if found.stored or found.queued else Look.LACKING
    if found.queued:
        return Look.QUEUED
    if found.accepted:
        return Look.HOLED if found.stored else Look.EMPTY
    return Look.COMPLETE


def _share(cells: Sequence[Cell | None]) -> float | None:
    there = sum(cell.stored + cell.queued for cell in cells if cell)
    wanted = sum(cell.slots - cell.accepted for cell in cells if cell)
    return there / wanted if wanted else None
