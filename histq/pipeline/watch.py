"""What `stats --watch` shows: how far everything is, how fast it goes, and what stands in the way.

Each look opens the database anew and closes it, so that no reader ever holds up a checkpoint; it
reads counters, the ledger and small files alone.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from histq.errors import DatabaseMissing
from histq.gaps import Gap, Why
from histq.host import Clock, wall_clock
from histq.model import Depth, Interval, Series, Span, State
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.health import LAST_BATCHES, HostHealth, failure_rate, hosts
from histq.pipeline.ledgers import Ledger, all_gaps, ledgers
from histq.pipeline.stats import DatabaseStats, database_stats
from histq.pipeline.targets import enabled, shelf_of
from histq.providers import providers
from histq.queues import DeadCount
from histq.settings import Settings
from histq.stores import Batch, SeriesStats

RATES_OVER_S: Final = 60.0

LAST_ERRORS: Final = 10


class WatchedSeries(msgspec.Struct, frozen=True):
    """One series. `reached` is the instant, ms, up to which it has been asked for.

    `points` are stored, of which the last is `last`. Rates are of the last minute, and None in the
    first look: candles fetched a second, and stored.
    """

    source: str
    symbol: str
    interval: str
    reached: int | None
    last: int | None
    points: int
    fetched_per_s: float | None
    stored_per_s: float | None
    missing: int | None
    gaps: int


class WatchedBatch(msgspec.Struct, frozen=True):
    source: str
    messages: int
    points: int
    inserted: int
    duplicates: int
    revised: int
    dead: int
    elapsed_ms: float
    points_per_s: float


class Trouble(msgspec.Struct, frozen=True):
    """What could last not be fetched or stored of a series, and when, ms."""

    at: int
    series: str
    error: str


class Look(msgspec.Struct, frozen=True):
    """Everything at one instant, ms: the document of `stats --watch --json`.

    `gaps` counts holes that are not explained; `next_due_at` says when the next message that is
    delayed or leased comes back. What comes in numbers is the latest first.
    """

    at: int
    environment: str
    queue: Depth
    next_due_at: int | None
    fetched_per_s: float | None
    stored_per_s: float | None
    failure_rate: float | None
    gaps: int
    series: list[WatchedSeries]
    hosts: list[HostHealth]
    batches: list[WatchedBatch]
    errors: list[Trouble]
    database: DatabaseStats


class _Counts(NamedTuple):
    fetched: int
    stored: int


class _Sample(NamedTuple):
    """The counts of every series at an instant of the timer, in s."""

    at_s: float
    counts: dict[Series, _Counts]


class Lookout:
    """Looks again and again, and remembers a minute of it for the rates."""

    def __init__(
        self,
        opener: Opener,
        folder: Path,
        *,
        clock: Clock = wall_clock,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._folder = folder
        self._clock = clock
        self._timer = timer
        self._samples: deque[_Sample] = deque()

    def look(self) -> Look:
        """Raises DatabaseMissing, and what opening raises."""
        try:
            with self._opener.open(create=False) as backends:
                return self._look(backends)
        except DatabaseMissing:
            self._keep({})  # what comes into being from now on is counted from nothing
            raise

    def _look(self, backends: Backends) -> Look:
        settings, store, now = self._opener.settings, backends.store, self._clock()
        found = ledgers(store, settings)
        stats = {Series(one.source, one.symbol, one.interval): one for one in store.coverage()}
        self._keep({one.series: _counts(one, stats.get(one.series)) for one in found})
        gaps = all_gaps(found)
        holes = Counter(_of(gap) for gap in gaps if not gap.explained)
        series = [
            self._series(ledger, stats.get(ledger.series), holes[ledger.series]) for ledger in found
        ]
        latest = store.batches(LAST_BATCHES)
        return Look(
            at=now,
            environment=settings.environment,
            queue=backends.queue.depth(),
            next_due_at=backends.queue.next_due_at(),
            fetched_per_s=_sum([one.fetched_per_s for one in series]),
            stored_per_s=_sum([one.stored_per_s for one in series]),
            failure_rate=failure_rate(latest),
            gaps=holes.total(),
            series=series,
            hosts=hosts(_asked(settings, stats), settings, self._folder, now),
            batches=[_batch(batch) for batch in latest],
            errors=_troubles(gaps, backends.queue.dead_by_error()),
            database=database_stats(backends.database),
        )

    def _keep(self, counts: dict[Series, _Counts]) -> None:
        now_s = self._timer()
        self._samples.append(_Sample(now_s, counts))
        while len(self._samples) > 1 and self._samples[1].at_s <= now_s - RATES_OVER_S:
            self._samples.popleft()

    def _rates(self, series: Series) -> tuple[float | None, float | None]:
        """Fetched and stored a second since the oldest sample; None while there is but one."""
        first, last = self._samples[0], self._samples[-1]
        elapsed_s = last.at_s - first.at_s
        if elapsed_s <= 0:
            return None, None
        before, after = first.counts.get(series, _Counts(0, 0)), last.counts[series]
        # Fewer than before: another database took the place.
        fetched, stored = (max(0, new - old) for old, new in zip(before, after, strict=True))
        return fetched / elapsed_s, stored / elapsed_s

    def _series(self, ledger: Ledger, stats: SeriesStats | None, gaps: int) -> WatchedSeries:
        series = ledger.series
        fetched_per_s, stored_per_s = self._rates(series)
        return WatchedSeries(
            *series,
            reached=_reached(ledger.spans),
            last=stats.last if stats else None,
            points=stats.points if stats else 0,
            fetched_per_s=fetched_per_s,
            stored_per_s=stored_per_s,
            missing=stats.missing if stats else None,
            gaps=gaps,
        )


def _of(gap: Gap) -> Series:
    return Series(gap.source, gap.symbol, gap.interval)


def _counts(ledger: Ledger, stats: SeriesStats | None) -> _Counts:
    interval = Interval(ledger.series.interval)
    held = (span for span in ledger.spans if span.state in (State.QUEUED, State.STORED))
    fetched = sum(interval.slots(span.start, span.end) for span in held)
    return _Counts(fetched, stats.points if stats else 0)


def _reached(spans: Sequence[Span]) -> int | None:
    """Up to where all that is wanted has been asked for."""
    first_wanted = next((span.start for span in spans if span.state is State.WANTED), None)
    if first_wanted is not None:
        return first_wanted
    return max((span.end for span in spans if span.state is not State.OPEN), default=None)


def _sum(rates: Sequence[float | None]) -> float | None:
    return None if None in rates else sum(rate for rate in rates if rate is not None)


def _asked(settings: Settings, held: dict[Series, SeriesStats]) -> set[str]:
    """The sources that are asked, or were, and their archives."""
    known = providers()
    able = (
        name for name in enabled(settings) if settings.sources[name].key or not known[name].key_hint
    )
    names = {*able, *(series.source for series in held if series.source in settings.sources)}
    shelves = (shelf_of(known[name], settings) for name in names)
    return names | {shelf.archive.name for shelf in shelves if shelf is not None}


def _batch(batch: Batch) -> WatchedBatch:
    rate = batch.points / batch.elapsed_ms * 1000 if batch.elapsed_ms else 0.0
    return WatchedBatch(*batch, points_per_s=rate)


def _troubles(gaps: Sequence[Gap], dead: Sequence[DeadCount]) -> list[Trouble]:
    found = [
        Trouble(gap.asked_at or 0, str(_of(gap)), gap.reason or gap.why)
        for gap in gaps
        if gap.why is Why.FAILED
    ]
    found += [
        Trouble(
            one.last_at, str(Series(one.source, one.symbol, one.interval)), f"dead: {one.error}"
        )
        for one in dead
    ]
    found.sort(key=attrgetter("at"))
    latest = {one.series: one for one in found}  # the last of each, or one would hide the others
    return sorted(latest.values(), key=attrgetter("at"), reverse=True)[:LAST_ERRORS]
