"""Two histories of one market against each other, candle by candle. Pure, in constant memory.

What lies between two values is told as a share of the larger one, as `math.isclose` does it: the
same whichever comes first, 0 where they are equal, and defined where one of them is zero.
"""

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Final

import msgspec

from histq.model import Candle

PRICES: Final = ("open", "high", "low", "close")
VOLUME: Final = "volume"


class Difference(msgspec.Struct, frozen=True):
    """One field of one candle; `share` is above 0 where the right side says more.

    `irregular` where one of the two candles did not close when it should, as in an outage: it then
    tells of another time than the other.
    """

    timestamp: int
    field: str
    left: float
    right: float
    share: float
    irregular: bool = False


class FieldFigures(msgspec.Struct, frozen=True):
    """How far apart one field is, where both sides say it: compared = equal + within + beyond.

    `mean` and `median` are of the sizes of the shares, the median to three digits; `bias` is the
    mean with signs. `largest` is the earliest of the largest, None where all are equal. Where a
    side holds the candle and says nothing of the field, that side `lacks` it.
    """

    field: str
    compared: int
    equal: int
    within: int
    beyond: int
    left_lacks: int
    right_lacks: int
    mean: float | None
    median: float | None
    bias: float | None
    largest: Difference | None


class Comparison(msgspec.Struct, frozen=True):
    """Open times that both hold and that one holds alone; the largest differences, largest first.

    What one side lacks is no difference. Those in `differences` lie beyond the tolerance.
    """

    both: int
    left_only: int
    right_only: int
    fields: list[FieldFigures]
    differences: list[Difference]

    @property
    def beyond(self) -> int:
        return sum(figures.beyond for figures in self.fields)


def compare(
    left: Iterable[Candle],
    right: Iterable[Candle],
    fields: Sequence[str],
    tolerance: float,
    limit: int,
) -> Comparison:
    """Both ascend by open time. `tolerance` is a share; at most `limit` differences are listed."""
    tallies = [_Tally(field, tolerance) for field in fields]
    worst = _Worst(limit)
    both = left_only = right_only = 0
    for one, other in side_by_side(left, right):
        if other is None:
            left_only += 1
        elif one is None:
            right_only += 1
        else:
            both += 1
            for tally in tallies:
                if (found := tally.add(one, other)) is not None:
                    worst.add(found)
    figures = [tally.figures() for tally in tallies]
    return Comparison(both, left_only, right_only, figures, worst.in_order())


def side_by_side(
    left: Iterable[Candle], right: Iterable[Candle]
) -> Iterator[tuple[Candle | None, Candle | None]]:
    """The candles of each open time, None for a side without one. Both sides ascend."""
    ones, others = iter(left), iter(right)
    one, other = next(ones, None), next(others, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.timestamp < other.timestamp):
            yield one, None
            one = next(ones, None)
        elif one is None or other.timestamp < one.timestamp:
            yield None, other
            other = next(others, None)
        else:
            yield one, other
            one, other = next(ones, None), next(others, None)


def share_between(left: float, right: float) -> float:
    """Of the larger one, with sign: 0.01 from 99 to 100, -1 from 5 to 0. Neither is negative."""
    return 0.0 if left == right else (right - left) / max(left, right)


class _Tally:
    """The running figures of one field."""

    def __init__(self, field: str, tolerance: float) -> None:
        self._field = field
        self._tolerance = tolerance
        self._value = attrgetter(field)
        self._equal = self._beyond = self._left_lacks = self._right_lacks = 0
        self._sum = self._signed_sum = 0.0
        self._largest: Difference | None = None
        # Sizes in three digits are a few thousand at most, however many candles there are.
        self._sizes: Counter[str] = Counter()

    def add(self, one: Candle, other: Candle) -> Difference | None:
        """Counts a candle of both; the difference where it lies beyond the tolerance."""
        left, right = self._value(one), self._value(other)
        if left is None or right is None:
            self._left_lacks += left is None
            self._right_lacks += right is None
            return None
        share = share_between(left, right)
        size = abs(share)
        self._sizes[f"{size:.2e}"] += 1
        self._equal += not size
        self._sum += size
        self._signed_sum += share
        beyond = size > self._tolerance
        self._beyond += beyond
        larger = size > (0.0 if self._largest is None else abs(self._largest.share))
        if not (beyond or larger):
            return None
        irregular = one.close_time is not None or other.close_time is not None
        found = Difference(one.timestamp, self._field, left, right, share, irregular)
        if larger:
            self._largest = found
        return found if beyond else None

    def figures(self) -> FieldFigures:
        compared = self._sizes.total()
        return FieldFigures(
            field=self._field,
            compared=compared,
            equal=self._equal,
            within=compared - self._equal - self._beyond,
            beyond=self._beyond,
            left_lacks=self._left_lacks,
            right_lacks=self._right_lacks,
            mean=self._sum / compared if compared else None,
            median=_median(self._sizes) if compared else None,
            bias=self._signed_sum / compared if compared else None,
            largest=self._largest,
        )


def _median(sizes: Counter[str]) -> float:
    """Of so many of each; the mean of the two in the middle where their number is even."""
    told = sorted((float(text), count) for text, count in sizes.items())
    passed = list(accumulate(count for _, count in told))
    middle = ((passed[-1] - 1) // 2, passed[-1] // 2)
    return sum(told[bisect_right(passed, place)][0] for place in middle) / 2


class _Worst:
    """The `limit` largest differences seen; of equal ones the earlier."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen = 0
        self._heap: list[tuple[float, int, int, Difference]] = []

    def add(self, found: Difference) -> None:
        self._seen += 1
        # The count makes every entry another, so that no two differences are compared themselves.
        entry = (abs(found.share), -found.timestamp, -self._seen, found)
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
        elif self._heap:
            heapq.heappushpop(self._heap, entry)

    def in_order(self) -> list[Difference]:
        return [entry[-1] for entry in sorted(self._heap, reverse=True)]
