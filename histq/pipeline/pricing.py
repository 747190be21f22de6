"""What a fetch would ask for, and what that costs, without asking anybody."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from histq.budget.credits import Balance
from histq.errors import DatabaseMissing
from histq.http import open_budget
from histq.model import Series
from histq.pipeline.backends import Opener
from histq.pipeline.planning import BYTES_A_POINT, FILE_REQUESTS, HELD, SeriesPlan, plan_series
from histq.pipeline.reports import Skipped
from histq.pipeline.targets import Selection, Target
from histq.plan import Wish
from histq.providers import Provider
from histq.settings import SourceSettings


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
    """`cost` is in the provider's own `unit`; `at_least_s` what the request budget alone takes.

    A request costs one of the `credits`, which are counted where the plan or the settings limit
    them; `fits` says whether what is left of them suffices.
    """

    source: str
    requests: int
    cost: int
    unit: str
    at_least_s: int
    credits: list[Balance]
    fits: bool


class DryRun(msgspec.Struct, frozen=True):
    """What a fetch would ask for. Points are at most: outages come back empty."""

    requests: int
    points: int
    disk_bytes: int
    series: list[PlannedSeries]
    sources: list[PlannedSource]
    skipped: list[Skipped]


def dry_run(
    opener: Opener, selection: Selection, wish: Wish, state_folder: Path, now: int
) -> DryRun:
    """The plan and its price. Asks nobody, and makes nothing."""
    plans = _plans(opener, selection.targets, wish, now)
    series = [_planned(plan) for plan in plans]
    points = sum(one.points for one in series)
    sources = _priced(plans, state_folder, now)
    return DryRun(
        requests=sum(one.requests for one in sources),
        points=points,
        disk_bytes=points * BYTES_A_POINT,
        series=series,
        sources=sources,
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
    held = [span for span in plan.before if span.state in HELD]
    series: Series = plan.target.series
    return PlannedSeries(
        *series,
        requests=sum(FILE_REQUESTS if piece.archived else 1 for piece in plan.pieces),
        points=plan.slots,
        held=sum(interval.slots(span.start, span.end) for span in held),
        start=plan.pieces[0].window.start if plan.pieces else None,
        end=plan.pieces[-1].window.end if plan.pieces else None,
    )


def _priced(plans: Sequence[SeriesPlan], state_folder: Path, now: int) -> list[PlannedSource]:
    """A row for each host that is to be asked."""
    requests: Counter[str] = Counter()
    asked: dict[str, tuple[Provider, SourceSettings]] = {}
    for plan in plans:
        files = sum(piece.archived for piece in plan.pieces)
        target, shelf = plan.target, plan.target.shelf
        requests[target.provider.name] += len(plan.pieces) - files
        asked[target.provider.name] = (target.provider, target.settings)
        if shelf is not None and files:
            requests[shelf.archive.name] += FILE_REQUESTS * files
            asked[shelf.archive.name] = (shelf.archive, shelf.settings)
    return [_price(requests[name], *whom, state_folder, now) for name, whom in asked.items()]


def _price(
    requests: int, provider: Provider, settings: SourceSettings, state_folder: Path, now: int
) -> PlannedSource:
    defaults = provider.defaults
    # The first minute's worth goes out at once; every further one has to wait for its minute.
    budget = open_budget(provider, settings, state_folder, clock=lambda: now)
    balances = budget.balances()
    full_minutes = max(0, requests - 1) // settings.requests_per_minute
    return PlannedSource(
        source=provider.name,
        requests=requests,
        cost=requests * defaults.cost,
        unit=defaults.unit,
        at_least_s=full_minutes * 60,
        credits=balances,
        fits=all(requests <= balance.left for balance in balances),
    )
