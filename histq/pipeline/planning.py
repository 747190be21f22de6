"""What is to be asked of each series, and what that would cost."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from histq.errors import DatabaseMissing
from histq.model import Series, Span, State, Window
from histq.pipeline.backends import Opener
from histq.pipeline.reports import Skipped
from histq.pipeline.targets import Selection, Target
from histq.plan import Wish, closed_until, minus, missing, pages, wanted
from histq.providers import Provider
from histq.settings import Settings, SourceSettings, plan_of

FILE_REQUESTS: Final = 2
"""An archive's file, and its checksum."""

HELD: Final = (State.STORED, State.QUEUED)

BYTES_A_POINT: Final = 85
"""Of the database: 10.1 MiB for the 129,240 candles of `histq demo`, rounded up."""


class Piece(NamedTuple):
    """One window to ask for: a page of the source, or what a file of its archive holds.

    `held` names that file where all of the window is known from it already.
    """

    window: Window
    archived: bool = False
    held: str | None = None


class SeriesPlan(NamedTuple):
    """What is to be asked of one series, and what was known of it before."""

    target: Target
    pieces: list[Piece]
    before: list[Span]
    wanted: bool
    """Whether the wish holds any slot at all, known or not."""

    @property
    def slots(self) -> int:
        """Candles that may come back."""
        return sum(self.target.interval.slots(*piece.window) for piece in self.pieces)

    @property
    def unknown_before(self) -> int:
        """How many of the pieces lie before anything that is held."""
        held = [span.start for span in self.before if span.state in HELD]
        return sum(not held or piece.window.end <= held[0] for piece in self.pieces)


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
        windows = missing(windows, before, now, confirm_after_ms(target, settings))
    # What came back empty the source itself is to confirm.
    empty = [Window(span.start, span.end) for span in before if span.state is State.EMPTY]
    unseen = windows if wish.refetch else minus(windows, empty)
    archived = _archived(target, unseen, before, now)
    shelf = target.shelf
    if shelf is not None and shelf.only:
        rest = []
    else:
        rest = pages_of(target, minus(windows, [piece.window for piece in archived]), reach)
    pieces = [*archived, *(Piece(window) for window in rest)]
    return SeriesPlan(target, sorted(pieces, key=attrgetter("window")), before, any_wanted)


def pages_of(target: Target, windows: Iterable[Window], reach: int | None = None) -> list[Window]:
    """The windows as requests to the source itself."""
    return pages(windows, target.interval, target.provider.page_slots(target.interval), reach)


def confirm_after_ms(target: Target, settings: Settings) -> int:
    """How far apart two empty answers have to be to count as two."""
    set_ms = round(settings.gaps.confirm_after_s * 1000)
    return max(set_ms, target.provider.cache_ms(target.interval))


def _archived(
    target: Target, windows: Iterable[Window], before: Sequence[Span], now: int
) -> list[Piece]:
    """What the archive is to be asked for: all that it has, or only where that is faster."""
    if target.shelf is None or target.interval.name not in target.shelf.archive.intervals:
        return []
    archive, interval = target.shelf.archive, target.interval
    files = [file for window in windows for file in archive.files(window, interval, now)]
    if not target.shelf.only:
        least = FILE_REQUESTS * target.provider.page_slots(interval)
        files = [file for file in files if interval.slots(*file) > least]
    return [Piece(file, True, _held_from(file, before)) for file in files]


def _held_from(file: Window, before: Sequence[Span]) -> str | None:
    """The one file that all candles of the stretch came from; None where it is not one."""
    within = [span for span in before if span.start < file.end and file.start < span.end]
    whole = within and within[0].start <= file.start and file.end <= within[-1].end
    touching = all(one.end == other.start for one, other in pairwise(within))
    vias = {span.via for span in within if span.state is not State.EMPTY}
    return vias.pop() if whole and touching and len(vias) == 1 else None


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
    sources = _priced(plans)
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


def _priced(plans: Sequence[SeriesPlan]) -> list[PlannedSource]:
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
    return [_price(requests[name], *whom) for name, whom in asked.items()]


def _price(requests: int, provider: Provider, settings: SourceSettings) -> PlannedSource:
    defaults = provider.defaults
    # The first minute's worth goes out at once; every further one has to wait for its minute.
    full_minutes = max(0, requests - 1) // settings.requests_per_minute
    return PlannedSource(
        source=provider.name,
        requests=requests,
        cost=requests * defaults.cost,
        unit=defaults.unit,
        at_least_s=full_minutes * 60,
    )
