"""The nouns: intervals, candles, series, windows, spans, messages. No I/O and no clock."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from typing import Final, NamedTuple, Self

import msgspec

from histq.errors import Usage

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
MONDAY_MS: Final = 4 * DAY_MS  # 1970-01-05 was the first Monday
SPOT: Final = "spot"

MICROSECONDS_FROM: Final = 10**14
"""No instant in milliseconds is this large before the year 5138; one in microseconds always is."""

_UNITS = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": WEEK_MS}
_NAMES = (
    *("1s", "1m", "3m", "5m", "15m", "30m"),
    *("1h", "2h", "4h", "6h", "8h", "12h"),
    *("1d", "3d", "1w", "1M", SPOT),
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A candle's length by its Binance name, and the grid of open times that it spans.

    `1M` is a calendar month. `spot` has no grid: its observations come when they come, about
    hourly, so an hour is its nominal slot for planning and progress.
    """

    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The interval of that name; case counts, 1m is not 1M. Raises Usage."""
        if text not in _NAMES:
            raise Usage(f"no interval {text!r}; known: {', '.join(_NAMES)}")
        return cls(text)

    @property
    def gridded(self) -> bool:
        return self.name != SPOT

    @property
    def step_ms(self) -> int:
        """The length in ms; of a month, the longest one's."""
        return _step_ms(self.name)

    def floor(self, instant: int) -> int:
        """The open time of the slot that holds `instant`."""
        if self.name == "1M":
            return _month_start(_month_of(instant))
        anchor = MONDAY_MS if self.name == "1w" else 0
        return instant - (instant - anchor) % self.step_ms

    def ceil(self, instant: int) -> int:
        """The first open time that is not before `instant`."""
        floor = self.floor(instant)
        return floor if floor == instant else self.next(floor)

    def holds(self, times: Sequence[int]) -> bool:
        """Whether all of them are open times of the grid; trivially so where there is none."""
        if not self.gridded or (self.in_a_row(times) and times[0] == self.floor(times[0])):
            return True
        if self.name in ("1w", "1M"):
            return all(time == self.floor(time) for time in times)
        return not any(map(self.step_ms.__rmod__, times))

    def in_a_row(self, times: Sequence[int]) -> bool:
        """Whether each is one length after the one before. Always no for months: theirs vary."""
        if not times or self.name == "1M":
            return False
        first, last, step = times[0], times[-1], self.step_ms
        if last - first != (len(times) - 1) * step:
            return False
        return list(times) == list(range(first, last + 1, step))

    def next(self, open_time: int, slots: int = 1) -> int:
        """The open time `slots` after the one of the slot that holds `open_time`."""
        if self.name == "1M":
            return _month_start(_month_of(open_time) + slots)
        return self.floor(open_time) + slots * self.step_ms

    def close_time(self, open_time: int) -> int:
        """When a candle that opened then regularly closes: the last ms before the next opens."""
        if self.name == "1M":
            return self.next(open_time) - 1
        return open_time + self.step_ms - 1

    def closes_at(self, candle: "Candle") -> int:
        """When the candle closed, or will; an observation without a grid at its own instant."""
        if candle.close_time is not None:
            return candle.close_time
        return self.close_time(candle.timestamp) if self.gridded else candle.timestamp

    def slots(self, start: int, end: int) -> int:
        """How many open times lie in start <= t < end."""
        if end <= start:
            return 0
        if self.name == "1M":
            return _month_of(self.ceil(end)) - _month_of(self.ceil(start))
        return (self.ceil(end) - self.ceil(start)) // self.step_ms


@cache  # a ledger asks for the same one thousands of times
def _step_ms(name: str) -> int:
    if name == SPOT:
        return HOUR_MS
    if name == "1M":
        return 31 * DAY_MS
    return int(name[:-1]) * _UNITS[name[-1]]


def _month_of(instant: int) -> int:
    """Months since year 0."""
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=instant // DAY_MS)
    return day.year * 12 + day.month - 1


def _month_start(month: int) -> int:
    first = datetime.date(month // 12, month % 12 + 1, 1)
    return (first - datetime.date(1970, 1, 1)).days * DAY_MS


class Candle(msgspec.Struct, frozen=True, gc=False):  # numbers only: no cycle to look for
    """One candle or one observation. What the provider did not say is None.

    `timestamp` is the open time. A candle without a close exists only on its way to a dead letter.
    `close_time` is None where it is the regular one.
    """

    timestamp: int
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = None
    quote_volume: float | None = None
    trades: int | None = None
    taker_buy_volume: float | None = None
    taker_buy_quote_volume: float | None = None
    close_time: int | None = None


FIELDS: Final = Candle.__struct_fields__
WIDTH: Final = len(FIELDS)


class Series(NamedTuple):
    """What one source says of one market at one interval."""

    source: str
    symbol: str
    interval: str

    def __str__(self) -> str:
        return f"{self.source}/{self.symbol}/{self.interval}"


class Window(NamedTuple):
    """A half-open stretch of time: start <= t < end."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{iso(self.start)}..{iso(self.end)}"


class State(StrEnum):
    """What the ledger knows of a span."""

    WANTED = "wanted"  # asked for by somebody, no answer yet
    QUEUED = "queued"
    STORED = "stored"
    EMPTY = "empty"  # the provider said that nothing is there
    UNLISTED = "unlisted"  # before the first candle that the provider has
    OPEN = "open"  # was not closed yet when the provider last answered
    DEAD = "dead"  # a dead letter holds it
    FAILED = "failed"


class Span(NamedTuple):
    """A stretch of one series and what is known of it; `seen` counts the empty answers.

    `via` says where its candles came from where that is not the source's own API.
    """

    start: int
    end: int
    state: State
    seen: int = 0
    asked_at: int | None = None
    reason: str | None = None
    via: str | None = None


class Priority(IntEnum):
    HIGH = 0
    NORMAL = 1
    LOW = 2


class History(NamedTuple):
    """What a message has gone through since it was queued first."""

    queued_at: int
    failures: int
    deliveries: int


class Draft(NamedTuple):
    """A page on its way into the queue, to be delivered not before `available_at` (0: at once).

    `past` is that of the dead letter which it was made of; None for a page that is new.
    `via` is as in `Span`.
    """

    series: Series
    window: Window
    points: int
    body: bytes
    priority: Priority = Priority.NORMAL
    available_at: int = 0
    past: History | None = None
    via: str | None = None


class Message(NamedTuple):
    """A leased page. `failures` were reported; `deliveries` counts leases, this one included.

    They count from when it was put; `past` is what lies before, where it was a dead letter once.
    """

    id: int
    token: str
    series: Series
    window: Window
    points: int
    body: bytes
    failures: int
    deliveries: int
    queued_at: int
    past: History | None = None
    via: str | None = None

    @property
    def history(self) -> History:
        """All of it, what it went through before it was a dead letter included."""
        now = History(self.queued_at, self.failures, self.deliveries)
        if self.past is None:
            return now
        first, failures, deliveries = self.past
        return History(first, failures + now.failures, deliveries + now.deliveries)


class Reason(StrEnum):
    """Why something is a dead letter."""

    POISON = "poison"
    PERMANENT = "permanent"
    EXHAUSTED = "exhausted"


class Kind(StrEnum):
    """What a dead letter holds: a whole page, one candle, or a body that was no candles."""

    PAGE = "page"
    CANDLE = "candle"
    BODY = "body"


class DeadLetter(NamedTuple):
    """`raw_data` is JSON text. `id` is 0 until it is kept."""

    id: int
    kind: Kind
    series: Series
    window: Window
    points: int
    reason: Reason
    error: str
    failures: int
    deliveries: int
    queued_at: int
    failed_at: int
    raw_data: str


class Depth(msgspec.Struct, frozen=True):
    """What waits in a queue. All but `points` and `oldest_age_s` count messages."""

    messages: int
    points: int
    ready: int
    leased: int
    delayed: int
    dead: int
    oldest_age_s: float | None


class Market(NamedTuple):
    """A market as one source calls it: `symbol` in our tables, `native` in its requests."""

    symbol: str
    base: str
    quote: str
    native: str


class Token(NamedTuple):
    """What the user wants prices of. `coingecko_id` is empty where nobody said it."""

    base: str
    quote: str
    coingecko_id: str = ""


def iso(instant: int) -> str:
    """UTC, as short as it is exact: 2024-01-01, 2024-01-01T12:00Z, 2024-01-01T12:00:00.001Z.

    Milliseconds as they are where no calendar reaches.
    """
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=instant)
    except OverflowError:
        return f"{instant} ms"
    if instant % DAY_MS == 0:
        return moment.strftime("%Y-%m-%d")
    if instant % MINUTE_MS == 0:
        return moment.strftime("%Y-%m-%dT%H:%MZ")
    spec = "seconds" if instant % SECOND_MS == 0 else "milliseconds"
    return moment.isoformat(timespec=spec) + "Z"
