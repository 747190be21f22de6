"""What is to be asked of each series, and what that would cost."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from histq.errors import DatabaseMissing
from histq.model import Series, Span, State, Window
from histq.pipeline.backends import Opener
from histq.pipeline.reports import Skipped
from histq.pipeline.targets import Selection, Target
from histq.plan import Wish, closed_until, missing, pages, wanted
from histq.settings import Settings, SourceSettings, plan_of

BYTES_A_POINT: Final = 85
"""Of the database: 10.1 MiB for the 129,240 candles of `histq demo`, rounded up."""


class SeriesPlan(NamedTuple):
    """What is to be asked of one series, and what was known of it before."""

    target: Target
    windows: list[Window]
    before: list[Span]
    wanted: bool
    """Whether the wish holds any slot at all, known or not."""

    @property
    def slots(self) -> int:
        """Candles that may come back."""
        return sum(self.target.interval.slots(*window) for window in self.windows)


def plan_series(
    target: Target, wish: Wish, before: list[Span], now: int, settings: Settings
) -> SeriesPlan:
    """The requests that the wish comes to, given what the ledger knows of the series."""
    interval, provider = target.interval, target.provider
    until = closed_until(interval, now, provider.publish_delay_ms(interval))
    windows = wanted(wish, before, interval, until)
    reach = provider.reach(interval, plan_of(target.settings), now)
    if wish.start is None and reach is not None:
        # Nobody asked for what the plan does not serve, so that is no failure.
        windows = [Window(max(reach, w.start), w.end) for w in windows if reach < w.end]
    any_wanted = any(interval.slots(*window) for window in windows)
    if not (wish.refetch or wish.repair):
        windows = missing(windows, before, now, round(settings.gaps.confirm_after_s * 1000))
    cut = pages(windows, interval, provider.page_slots(interval), reach)
    return SeriesPlan(target, cut, before, any_wanted)


class PlannedSeries(msgspec.Struct, frozen=True):
    """`held` counts the slots of the series that are stored or queued already."""

    source: str
    symbol: str
    interval: str
    requests: int
    points: int
    held: int
    start: int | None
    end: int | None


class PlannedSource(msgspec.Struct, frozen=True):
    """`cost` is in the provider's own `unit`; `at_least_s` what the request budget alone takes."""

    source: str
    requests: int
    cost: int
    unit: str
    at_least_s: int


class DryRun(msgspec.Struct, frozen=True):
    """What a fetch would ask for. Points are at most: outages come back empty."""

    requests: int
    points: int
    disk_bytes: int
    series: list[PlannedSeries]
    sources: list[PlannedSource]
    skipped: list[Skipped]


def dry_run(opener: Opener, selection: Selection, wish: Wish, now: int) -> DryRun:
    """The plan and its price. Asks nobody, and makes nothing."""
    plans = _plans(opener, selection.targets, wish, now)
    series = [_planned(plan) for plan in plans]
    points = sum(one.points for one in series)
    requests: dict[str, tuple[int, Target]] = {}
    for plan in plans:
        name = plan.target.provider.name
        before = requests[name][0] if name in requests else 0
        requests[name] = (before + len(plan.windows), plan.target)
    return DryRun(
        requests=sum(one.requests for one in series),
        points=points,
        disk_bytes=points * BYTES_A_POINT,
        series=series,
        sources=[_priced(count, target) for count, target in requests.values()],
        skipped=list(selection.skipped),
    )


def _plans(opener: Opener, targets: Sequence[Target], wish: Wish, now: int) -> list[SeriesPlan]:
    try:
        backends = opener.open(create=False)
    except DatabaseMissing:
        return [plan_series(target, wish, [], now, opener.settings) for target in targets]
    with backends:
        return [
            plan_series(target, wish, backends.store.spans(target.series), now, opener.settings)
            for target in targets
        ]


def _planned(plan: SeriesPlan) -> PlannedSeries:
    interval = plan.target.interval
    held = [span for span in plan.before if span.state in (State.STORED, State.QUEUED)]
    series: Series = plan.target.series
    return PlannedSeries(
        *series,
        requests=len(plan.windows),
        points=plan.slots,
        held=sum(interval.slots(span.start, span.end) for span in held),
        start=plan.windows[0].start if plan.windows else None,
        end=plan.windows[-1].end if plan.windows else None,
    )


def _priced(requests: int, target: Target) -> PlannedSource:
    settings: SourceSettings = target.settings
    defaults = target.provider.defaults
    # The first minute's worth goes out at once; every further one has to wait for its minute.
    full_minutes = max(0, requests - 1) // settings.requests_per_minute
    return PlannedSource(
        source=target.provider.name,
        requests=requests,
        cost=requests * defaults.cost,
        unit=defaults.unit,
        at_least_s=full_minutes * 60,
    )
