"""How everything is, in one look: what alerts, the daemon's readiness and its metrics are made of.

From counters, key ranges and small files alone, so that it may be asked every second.
"""

import os
import shutil
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from histq.budget.credits import Balance
from histq.http import open_budget
from histq.model import Depth
from histq.pipeline.backends import Backends
from histq.pipeline.targets import Target
from histq.plan import closed_until
from histq.providers import Provider, providers
from histq.settings import Settings, SourceSettings, plan_of
from histq.stores import Batch, Store

STALE_AFTER: Final = 2
"""Intervals without a new candle after which a series is stale."""

LAST_BATCHES: Final = 20
"""So many of the latest make up the failure rate."""


class SeriesHealth(msgspec.Struct, frozen=True):
    """One series that is fetched regularly. Instants are open times, ms.

    `last` is that of the latest stored candle, None where there is none; `due` that of the latest
    that should be stored by now; `late_s` how much time lies between them.
    """

    source: str
    symbol: str
    interval: str
    last: int | None
    due: int
    late_s: float | None
    stale: bool


class HostHealth(msgspec.Struct, frozen=True):
    """One source's host. `left` is the share of the minute's requests that are not used, 0 to 1.

    `silent_s` is for how long it wants to hear nothing.
    """

    source: str
    host: str
    left: float
    silent_s: float
    credits: list[Balance]


class DiskHealth(msgspec.Struct, frozen=True):
    """Where the database lies. `unwritable` says why it cannot be written; empty where it can."""

    free_bytes: int
    total_bytes: int
    unwritable: str


class Health(msgspec.Struct, frozen=True):
    """All of it, at one instant, ms. `failure_rate` is of the points of the latest batches, 0 to 1;
    None where there was none yet. `buried_at` is when the latest dead letter was.
    """

    at: int
    queue: Depth
    failure_rate: float | None
    series: list[SeriesHealth]
    hosts: list[HostHealth]
    disk: DiskHealth
    buried_at: int | None = None


def health(
    backends: Backends, targets: Sequence[Target], settings: Settings, folder: Path, now: int
) -> Health:
    """How the targets' series, the queue and the machine are; `folder` holds the budgets."""
    return Health(
        at=now,
        queue=backends.queue.depth(),
        failure_rate=failure_rate(backends.store.batches(LAST_BATCHES)),
        series=freshness(backends.store, targets, now),
        hosts=hosts(_asked(targets), settings, folder, now),
        disk=_disk(backends.database.path),
        buried_at=backends.queue.buried_at(),
    )


def freshness(store: Store, targets: Sequence[Target], now: int) -> list[SeriesHealth]:
    """How late the series of each target is."""
    lasts = store.lasts()
    return [_series(target, lasts.get(target.series), now) for target in targets]


def _series(target: Target, last: int | None, now: int) -> SeriesHealth:
    interval = target.interval
    until = closed_until(interval, now, target.provider.publish_delay_ms(interval))
    due = interval.floor(until - 1)
    late_ms = None if last is None else max(0, until - interval.next(last))
    stale = late_ms is None or late_ms > STALE_AFTER * interval.step_ms
    late_s = None if late_ms is None else late_ms / 1000
    return SeriesHealth(*target.series, last, due, late_s, stale)


def failure_rate(latest: Sequence[Batch]) -> float | None:
    """Of the points of these batches, 0 to 1; None where there are none."""
    points = sum(batch.points for batch in latest)
    return sum(batch.dead for batch in latest) / points if points else None


def _asked(targets: Sequence[Target]) -> set[str]:
    """The names of the sources and archives that the targets are asked of."""
    shelves = (target.shelf for target in targets if target.shelf is not None)
    return {*(target.provider.name for target in targets), *(one.archive.name for one in shelves)}


def hosts(names: Set[str], settings: Settings, folder: Path, now: int) -> list[HostHealth]:
    """Those of the sources and archives named; `folder` holds the budgets."""
    return [_host(providers()[name], settings.sources[name], folder, now) for name in sorted(names)]


def _host(provider: Provider, settings: SourceSettings, folder: Path, now: int) -> HostHealth:
    budget = open_budget(provider, settings, folder, clock=lambda: now)
    standing = budget.standing()
    host = urlsplit(provider.base_url(settings.base_url, plan_of(settings))).netloc
    left = max(0.0, 1 - standing.sent / settings.requests_per_minute)
    return HostHealth(provider.name, host, left, standing.silent_s, budget.balances())


def _disk(path: Path) -> DiskHealth:
    usage = shutil.disk_usage(path.parent)
    unwritable = next(
        (f"may not write to {place}" for place in (path, path.parent) if not _writable(place)), ""
    )
    return DiskHealth(usage.free, usage.total, unwritable)


def _writable(place: Path) -> bool:
    return os.access(place, os.W_OK)
