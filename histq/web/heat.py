"""How complete every series is over time: a row a series, a cell a stretch of the calendar. Pure.

Shares are of time, not of slots: that is arithmetic alone, and the same to the eye.
"""

import datetime
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from histq.gaps import EXPLAINED, why_of
from histq.model import DAY_MS, Interval, Span, State
from histq.pipeline.ledgers import Ledger

MOST_COLUMNS: Final = 40
"""What would need more of full length is drawn in the next coarser unit."""


class HeatRow(msgspec.Struct, frozen=True):
    """One share a column, 0 to 1: of the time that should hold candles, what does, or is queued.

    None where nothing should: never asked for, before the listing, confirmed to be empty.
    """

    source: str
    symbol: str
    interval: str
    shares: list[float | None]


class Heat(msgspec.Struct, frozen=True):
    """`starts` are those of the columns, ms. Both are empty where nothing is known."""

    unit: str
    starts: list[int]
    rows: list[HeatRow]


class _Piece(NamedTuple):
    """A stretch that should hold candles, and whether it does."""

    start: int
    end: int
    held: bool


class _Unit(NamedTuple):
    interval: Interval
    times: int = 1

    @property
    def longest_ms(self) -> int:
        return self.times * self.interval.step_ms

    def floor(self, instant: int) -> int:
        """Where the unit starts that holds the instant; quarters and years begin with January."""
        start = self.interval.floor(instant)
        month = (datetime.date(1970, 1, 1) + datetime.timedelta(days=start // DAY_MS)).month
        return self.interval.next(start, -((month - 1) % self.times))

    def next(self, start: int) -> int:
        return self.interval.next(start, self.times)


_COARSEST: Final = "year"
_UNITS: Final = {
    "day": _Unit(Interval("1d")),
    "week": _Unit(Interval("1w")),
    "month": _Unit(Interval("1M")),
    "quarter": _Unit(Interval("1M"), 3),
    _COARSEST: _Unit(Interval("1M"), 12),
}


def heat(ledgers: Sequence[Ledger]) -> Heat:
    """All of them side by side, from the first instant that anyone wanted to the last."""
    pieces = [(ledger.series, list(_pieces(ledger.spans))) for ledger in ledgers]
    known = [piece for _, of_one in pieces for piece in of_one]
    if not known:
        return Heat("day", [], [])
    unit, edges = _edges(min(p.start for p in known), max(p.end for p in known))
    rows = [HeatRow(*series, _shares(of_one, edges)) for series, of_one in pieces if of_one]
    return Heat(unit, edges[:-1], rows)


def _pieces(spans: Sequence[Span]) -> Iterator[_Piece]:
    reached = spans[0].start if spans else 0
    for span in spans:
        if reached < span.start:
            yield _Piece(reached, span.start, held=False)  # nobody has asked for it
        held = span.state in (State.STORED, State.QUEUED)
        if held or why_of(span, spans[-1].end) not in EXPLAINED:
            yield _Piece(span.start, span.end, held)
        reached = span.end


def _edges(start: int, end: int) -> tuple[str, list[int]]:
    """The finest unit with few enough columns; their starts, and where the last one ends."""
    able = (name for name, unit in _UNITS.items() if end - start <= MOST_COLUMNS * unit.longest_ms)
    name = next(able, _COARSEST)
    edges = [_UNITS[name].floor(start)]
    while edges[-1] < end:
        edges.append(_UNITS[name].next(edges[-1]))
    return name, edges


def _shares(pieces: Sequence[_Piece], edges: Sequence[int]) -> list[float | None]:
    wanted, held = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    for start, end, holds in pieces:
        column = bisect_right(edges, start) - 1
        while start < end:
            stop = min(end, edges[column + 1])
            wanted[column] += stop - start
            held[column] += (stop - start) * holds
            start, column = stop, column + 1
    return [there / total if total else None for there, total in zip(held, wanted, strict=True)]
