"""Compares stored series two by two, each pair over the time that both reach over."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from histq.compare import PRICES, VOLUME, Comparison, Difference, FieldFigures, compare
from histq.export import resample
from histq.model import Candle, Interval, Series, Window
from histq.pipeline.audit import Tell
from histq.pipeline.pairs import LeftOut, Pair, Pairs
from histq.pipeline.reading import Reading, untold
from histq.stores import Store

FOUND_SOMETHING: Final = 3
VOLUME_WHY: Final = "every source counts its own trades; --volume compares it all the same"


class Measure(NamedTuple):
    """What is compared, how exactly, and how many differences of a pair are told."""

    window: Window
    tolerance: float
    volume: bool
    limit: int


class Side(msgspec.Struct, frozen=True):
    """One series of a pair, and the open times that it holds and the other does not.

    `incomplete` counts merged candles that lack a part; they are as good as not held.
    """

    source: str
    symbol: str
    interval: str
    only: int
    incomplete: int

    def __str__(self) -> str:
        return f"{self.source}/{self.symbol}/{self.interval}"


class NotCompared(msgspec.Struct, frozen=True):
    fields: list[str]
    why: str


class PairReport(msgspec.Struct, frozen=True):
    """Two series at `interval` from `start` to `end`, both None where they share no time.

    `as_usd` are the quotes that were taken for dollars: all figures of the pair depend on that.
    """

    left: Side
    right: Side
    interval: str
    as_usd: list[str]
    start: int | None
    end: int | None
    both: int
    beyond: int
    fields: list[FieldFigures]
    not_compared: list[NotCompared]
    differences: list[Difference]


class CompareReport(msgspec.Struct, frozen=True):
    """`tolerance` and all differences are shares of the larger value: 0.01 is 1 %."""

    tolerance: float
    beyond: int
    pairs: list[PairReport]
    not_compared: list[LeftOut]

    @property
    def exit_code(self) -> int:
        """3 where something lies beyond the tolerance, or not one candle could be compared."""
        compared = any(pair.both for pair in self.pairs)
        return FOUND_SOMETHING if self.beyond or not compared else 0


def compare_pairs(
    store: Store, pairs: Pairs, measure: Measure, tell: Tell = untold
) -> CompareReport:
    """What `tell` raises ends it."""
    reach = {
        Series(one.source, one.symbol, one.interval): (one.first, one.last)
        for one in store.coverage()
    }
    reading = Reading(store, tell)
    met = [(pair, _common(pair, reach, measure.window)) for pair in pairs.pairs]
    for pair, window in met:
        if window is not None:
            reading.expect(pair.left, window)
            reading.expect(pair.right, window)
    reports = [_compare(reading, pair, window, measure) for pair, window in met]
    beyond = sum(report.beyond for report in reports)
    return CompareReport(measure.tolerance, beyond, reports, pairs.left_out)


def _common(
    pair: Pair, reach: dict[Series, tuple[int | None, int | None]], asked: Window
) -> Window | None:
    """The time from the later beginning to the earlier end, within what was asked for."""
    start, end = asked
    for series in (pair.left, pair.right):
        first, last = reach[series]
        if first is None or last is None:
            return None
        start = max(start, pair.interval.floor(first))
        end = min(end, pair.interval.next(last))
    if {pair.left.interval, pair.right.interval} != {pair.interval.name}:
        # A merged candle is in where it opens, like any other, and is then read to its end.
        start, end = pair.interval.ceil(start), pair.interval.ceil(end)
    return Window(start, end) if start < end else None


class _OneSide:
    """Its candles at the pair's interval; counts what cannot be merged."""

    def __init__(self, reading: Reading, series: Series, pair: Pair) -> None:
        self._reading = reading
        self._series = series
        self._interval = pair.interval
        self._doing = f"comparing {pair.left}"
        self.incomplete = 0

    def candles(self, window: Window | None) -> Iterator[Candle]:
        if window is None:
            return
        own = Interval(self._series.interval)
        candles = self._reading.candles(self._series, window, self._doing)
        if own == self._interval:
            yield from candles
            return
        for candle, complete in resample(candles, own, self._interval):
            if complete:
                yield candle
            else:
                self.incomplete += 1

    def side(self, only: int) -> Side:
        return Side(*self._series, only, self.incomplete)


def _compare(reading: Reading, pair: Pair, window: Window | None, measure: Measure) -> PairReport:
    left = _OneSide(reading, pair.left, pair)
    right = _OneSide(reading, pair.right, pair)
    fields = (*PRICES, VOLUME) if measure.volume else PRICES
    candles = left.candles(window), right.candles(window)
    found = compare(*candles, fields, measure.tolerance, measure.limit)
    start, end = window or (None, None)
    return PairReport(
        left=left.side(found.left_only),
        right=right.side(found.right_only),
        interval=pair.interval.name,
        as_usd=list(pair.as_usd),
        start=start,
        end=end,
        both=found.both,
        beyond=found.beyond,
        fields=found.fields,
        not_compared=_not_compared(pair, found),
        differences=found.differences,
    )


def _not_compared(pair: Pair, found: Comparison) -> list[NotCompared]:
    """The fields that are not, by reason; none where there is no candle at all."""
    reasons: dict[str, list[str]] = {}
    for one in found.fields:
        if found.both and not one.compared:
            lacking = ((pair.left, one.left_lacks), (pair.right, one.right_lacks))
            silent = " and ".join(str(series) for series, lacks in lacking if lacks)
            reasons.setdefault(f"not told by {silent}", []).append(one.field)
    made = [NotCompared(fields, why) for why, fields in reasons.items()]
    if all(one.field != VOLUME for one in found.fields):
        made.append(NotCompared([VOLUME], VOLUME_WHY))
    return made
