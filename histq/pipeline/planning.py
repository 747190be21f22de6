"""What is to be asked of each series, and what that would cost."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from histq.model import Span, State, Window
from histq.pipeline.targets import Target
from histq.plan import Wish, closed_until, minus, missing, pages, wanted
from histq.settings import Settings, plan_of

FILE_REQUESTS: Final = 2
"""An archive's file, and its checksum."""

BYTES_A_POINT: Final = 85
"""Of the database: 10.1 MiB for the 129,240 candles of `histq demo`, rounded up."""

HELD: Final = (State.STORED, State.QUEUED)


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
