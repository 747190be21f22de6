"""What /metrics tells, figure by figure: `histq_` names, base units, labels of which there are few.

Gauges are what the database says now. What has been consumed is counted, by whatever process it
was done; a restart of the server counts anew from what the record of batches still holds.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from histq.model import Depth
from histq.pipeline.backends import Backends
from histq.pipeline.health import DiskHealth, Health, HostHealth, SeriesHealth
from histq.queues import DeadCount
from histq.stores import SeriesStats, Store, Tally
from histq.web.readiness import checks
from histq.web.view import View


class Figure(NamedTuple):
    """One sample. A name that ends in `_total` is a counter, any other a gauge.

    Every figure of a name has the same `about` and the same labels.
    """

    name: str
    about: str
    value: float
    labels: Mapping[str, str] = {}


class Totals:
    """What was consumed, counted on from one look to the next. Threads may share it.

    The record of batches is pruned, and a counter never falls: so the sum cannot be its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mark = 0
        self._tallies: dict[str, Tally] = {}

    def read(self, store: Store) -> list[Tally]:
        """By source."""
        with self._lock:
            self._mark, news = store.tallies(self._mark)
            for tally in news:
                known = self._tallies.get(tally.source)
                self._tallies[tally.source] = _sum(known, tally) if known else tally
            return list(self._tallies.values())


def _sum(one: Tally, other: Tally) -> Tally:
    counts = (a + b for a, b in zip(one[1:], other[1:], strict=True))
    return Tally(one.source, *counts)  # type: ignore[arg-type]


def figures(view: View, backends: Backends, totals: Totals) -> Iterator[Figure]:
    """All that the database, the budgets and the disk say."""
    health = view.health(backends)
    yield from _of_health(health, view.settings.queue.alert_depth)
    yield from _of_queue(health.queue, backends.queue.dead_by_error())
    yield from _of_batches(totals.read(backends.store), health.failure_rate)
    for stored in backends.store.coverage():
        yield from _of_stored(stored)
    for series in health.series:
        yield from _of_series(series)
    for host in health.hosts:
        yield from _of_host(host)
    yield from _of_disk(health.disk)
    size = backends.database.size_bytes()
    yield Figure("histq_database_bytes", "Size of the database, write-ahead log included", size)


def _of_health(health: Health, alert_depth: int) -> Iterator[Figure]:
    about = "1 where this part of /readyz is well"
    for check in checks(health, alert_depth):
        yield Figure("histq_ready", about, check.ok, {"check": check.check})


def _of_queue(depth: Depth, dead: Iterable[DeadCount]) -> Iterator[Figure]:
    about = "Messages, pages of candles, in the queue"
    for state in ("ready", "leased", "delayed"):
        yield Figure("histq_queue_messages", about, getattr(depth, state), {"state": state})
    yield Figure("histq_queue_points", "Candles in the queue", depth.points)
    about = "Age of the oldest message in the queue, 0 when it is empty"
    yield Figure("histq_queue_oldest_age_seconds", about, depth.oldest_age_s or 0)
    letters: dict[tuple[str, str], int] = {}
    for count in dead:
        key = count.source, count.reason
        letters[key] = letters.get(key, 0) + count.letters
    about = "Dead letters: what could not be stored"
    for (source, reason), number in letters.items():
        yield Figure("histq_dead_letters", about, number, {"source": source, "reason": reason})


def _of_batches(tallies: Iterable[Tally], failure_rate: float | None) -> Iterator[Figure]:
    for tally in tallies:
        source = {"source": tally.source}
        yield Figure("histq_batches_total", "Batches consumed", tally.batches, source)
        about = "Candles consumed; those to be tried again are in no outcome"
        outcomes = {"inserted": tally.inserted, "duplicate": tally.duplicates, "dead": tally.dead}
        for outcome, number in outcomes.items():
            yield Figure("histq_points_total", about, number, {**source, "outcome": outcome})
        about = "Duplicates that said something else than what is stored"
        yield Figure("histq_points_revised_total", about, tally.revised, source)
        about = "Time taken by the batches"
        yield Figure("histq_batch_seconds_total", about, tally.elapsed_ms / 1000, source)
    if failure_rate is not None:
        about = "Share of the candles of the latest batches that became dead letters"
        yield Figure("histq_batch_failure_ratio", about, failure_rate)


def _of_stored(one: SeriesStats) -> Iterator[Figure]:
    labels = _labels(one)
    yield Figure("histq_series_points", "Candles stored", one.points, labels)
    about = "Stretches that could not be fetched, and will be asked for again"
    yield Figure("histq_series_failed_spans", about, one.failed, labels)
    if one.missing is not None:
        about = "Candles missing between the first and the last"
        yield Figure("histq_series_missing_points", about, one.missing, labels)
    if one.last is not None:
        about = "Open time of the latest stored candle"
        yield Figure("histq_series_last_timestamp_seconds", about, one.last / 1000, labels)


def _of_series(one: SeriesHealth) -> Iterator[Figure]:
    about = "1 where a series that is fetched regularly lacks more than two intervals"
    yield Figure("histq_series_stale", about, one.stale, _labels(one))
    if one.late_s is not None:
        about = "Time between the latest stored candle and the latest that should be"
        yield Figure("histq_series_late_seconds", about, one.late_s, _labels(one))


def _labels(one: SeriesStats | SeriesHealth) -> dict[str, str]:
    return {"source": one.source, "symbol": one.symbol, "interval": one.interval}


def _of_host(one: HostHealth) -> Iterator[Figure]:
    labels = {"source": one.source, "host": one.host}
    about = "Share of this minute's requests that is left"
    yield Figure("histq_host_budget_left_ratio", about, one.left, labels)
    about = "For how long the host wants to hear nothing"
    yield Figure("histq_host_silent_seconds", about, one.silent_s, labels)
    for balance in one.credits:
        period = {**labels, "period": balance.period}
        yield Figure("histq_host_credits_left", "Credits left", balance.left, period)
        yield Figure("histq_host_credits_limit", "Credits granted", balance.limit, period)


def _of_disk(disk: DiskHealth) -> Iterator[Figure]:
    yield Figure("histq_disk_free_bytes", "Free where the database lies", disk.free_bytes)
    yield Figure("histq_disk_total_bytes", "Size of that disk", disk.total_bytes)
