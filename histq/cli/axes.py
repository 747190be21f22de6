"""The ticks of a chart's axes, and prices as people write them."""

import datetime
import math
from collections.abc import Iterator
from decimal import Context, Decimal
from itertools import takewhile
from typing import Final, NamedTuple

from histq.model import DAY_MS, HOUR_MS, MINUTE_MS, MONDAY_MS, SECOND_MS, WEEK_MS, Interval, Window

LONGEST: Final = 20
"""Characters of a price; a longer one is written with an exponent."""

_DIGITS: Final = Context(prec=10)

_NICE: Final = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_FLAT: Final = 1e-9


class Range(NamedTuple):
    """What the price axis spans; never of no height."""

    low: float
    high: float

    @classmethod
    def of(cls, low: float, high: float) -> "Range":
        """One percent to either side where the price does not move."""
        if high - low > _FLAT * high:
            return cls(low, high)
        room = abs(high) / 100 or 1.0
        return cls(low - room, high + room)

    def share(self, price: float) -> float:
        """0 at the low end, 1 at the high."""
        return (price - self.low) / (self.high - self.low)


class Tick(NamedTuple):
    at: float
    label: str


def price(value: float) -> str:
    """To ten digits, as 0.00004668 and 97,000 rather than 4.668e-05 and 97000.0."""
    return _written(Decimal(repr(value)).normalize(_DIGITS))


def _written(value: Decimal) -> str:
    text = f"{value:,f}"
    return text if len(text) <= LONGEST else f"{value:.6g}"


def price_ticks(span: Range, most: int) -> list[Tick]:
    """Round prices within the range, about so many, all with as many digits as the step has."""
    # As written, not as stored: from 99.98 to 100.02 are exactly two steps of 0.02.
    low, high = Decimal(repr(span.low)), Decimal(repr(span.high))
    step = _step((high - low) / most)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [Tick(float(n * step), _written(n * step)) for n in range(first, last + 1)]


def _step(least: Decimal) -> Decimal:
    """The first of 1, 2, 2.5, 5, 10, 20, 25, ... and their tenths that is not below."""
    steps = (nice.scaleb(least.adjusted()) for nice in _NICE)
    return next(step for step in steps if step >= least)


class _Step(NamedTuple):
    """A distance of time ticks: so many ms, or so many calendar months."""

    ms: int = 0
    months: int = 0
    width: int = 10  # of its longest label


_STEPS: Final = (
    *(_Step(n * SECOND_MS) for n in (1, 5, 10, 30)),
    *(_Step(n * MINUTE_MS) for n in (1, 5, 10, 30)),
    *(_Step(n * HOUR_MS) for n in (1, 2, 3, 6, 12)),
    *(_Step(n * DAY_MS) for n in (1, 2, 7)),
    *(_Step(months=n, width=7) for n in (1, 2, 3, 6)),
    *(_Step(months=12 * n, width=4) for n in (1, 2, 5, 10, 20, 50)),
)


def time_ticks(window: Window, columns: int) -> list[Tick]:
    """Round instants of the window, so far apart that their labels fit into so many columns."""
    room = (window.end - window.start) / columns
    fitting = (s for s in _STEPS if (s.ms or s.months * 30 * DAY_MS) >= room * (s.width + 2))
    step = next(fitting, _STEPS[-1])
    within = takewhile(lambda at: at < window.end, _instants(step, window.start))
    return [Tick(at, _label(step, at)) for at in within]


def _instants(step: _Step, start: int) -> Iterator[int]:
    month = Interval("1M")
    if step.ms:
        anchor = MONDAY_MS if step.ms == WEEK_MS else 0
        at = start + (anchor - start) % step.ms
        while True:
            yield at
            at += step.ms
    at = month.ceil(start)
    while True:
        day = _moment(at)
        if (day.year * 12 + day.month - 1) % step.months == 0:
            yield at
        at = month.next(at)


def _moment(instant: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=instant)


def _label(step: _Step, at: int) -> str:
    moment = _moment(at)
    if step.months:
        return f"{moment:%Y}" if step.months % 12 == 0 else f"{moment:%Y-%m}"
    if at % DAY_MS == 0:
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%H:%M:%S}" if step.ms < MINUTE_MS else f"{moment:%H:%M}"
