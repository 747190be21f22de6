"""Wanted minus known is what to ask for. Pure: no I/O, the time is an argument."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from histq.ledger import ACCEPTED
from histq.model import DAY_MS, Interval, Span, State, Window

DEFAULT_REACH_MS: Final = 30 * DAY_MS
"""How far back an empty ledger is filled when nobody says otherwise."""

RECHECK_MS: Final = 7 * DAY_MS
"""How long an accepted hole is left alone."""


class Wish(NamedTuple):
    """What the user asks for; None where nothing was said. `end` is exclusive.

    `refetch` asks again for what is known; `repair` for the holes of the ledger, and nothing else.
    `listing` starts at the first candle there is, which the provider has to be asked for.
    """

    start: int | None = None
    end: int | None = None
    refetch: bool = False
    repair: bool = False
    listing: bool = False


def wanted(
    wish: Wish, spans: Sequence[Span], interval: Interval, closed_until: int
) -> list[Window]:
    """The stretches that are wanted, known or not, none of which reaches past `closed_until`.

    With a start, all from there. Without one, the last 30 days where the ledger is empty; else from
    where it ends, and what it holds of unfinished business.
    """
    end = closed_until if wish.end is None else min(wish.end, closed_until)
    if wish.repair:
        known = Window(wish.start or 0, end)
        holes = [_common(Window(gap.start, gap.end), known) for gap in unexplained(spans)]
        windows = joined(hole for hole in holes if hole.start < hole.end)
    elif wish.start is not None:
        windows = [Window(interval.ceil(wish.start), end)]
    elif not spans:
        windows = [Window(interval.floor(max(0, end - DEFAULT_REACH_MS)), end)]
    else:
        left = (Window(span.start, min(span.end, end)) for span in spans if _unfinished(span))
        windows = [*left, Window(spans[-1].end, end)]
    return [window for window in windows if window.start < window.end]


def unexplained(spans: Sequence[Span]) -> list[Span]:
    """The holes between the ledger's ends that asking may fill; those nobody asked for too.

    What was not closed yet at the ledger's end is none: that is where the next fetch goes on.
    """
    found = []
    reached = spans[0].start if spans else 0
    for span in spans:
        if reached < span.start:
            found.append(Span(reached, span.start, State.WANTED))
        if _unfinished(span) and span.seen < ACCEPTED:
            found.append(span)
        reached = span.end
    if found and found[-1].state is State.OPEN and found[-1].end == reached:
        found.pop()
    return found


def _common(one: Window, other: Window) -> Window:
    return Window(max(one.start, other.start), min(one.end, other.end))


def _unfinished(span: Span) -> bool:
    return span.state not in (State.QUEUED, State.STORED, State.DEAD)


def missing(
    windows: Iterable[Window], spans: Iterable[Span], now: int, confirm_after_ms: int
) -> list[Window]:
    """The windows without what is known, in order; touching ones made one."""
    known = [span for span in spans if _known(span, now, confirm_after_ms)]
    return joined(minus(windows, [Window(span.start, span.end) for span in known]))


def minus(windows: Iterable[Window], known: Sequence[Window]) -> list[Window]:
    """What is left of each window; `known` is ordered and free of overlaps."""
    return [left for window in windows for left in _minus(window, known)]


def joined(windows: Iterable[Window]) -> list[Window]:
    """In order, overlapping and touching ones made one."""
    result: list[Window] = []
    for window in sorted(windows):
        if result and window.start <= result[-1].end:
            result[-1] = Window(result[-1].start, max(window.end, result[-1].end))
        else:
            result.append(window)
    return result


def _known(span: Span, now: int, confirm_after_ms: int) -> bool:
    """Whether there is no reason to ask for it now."""
    if span.state in (State.QUEUED, State.STORED, State.DEAD):
        return True
    if span.state not in (State.EMPTY, State.UNLISTED):
        return False
    patience = RECHECK_MS if span.seen >= ACCEPTED else confirm_after_ms
    # A clock that was set back must not make "not yet" last for ever.
    return span.asked_at is not None and 0 <= now - span.asked_at < patience


def _minus(window: Window, known: Sequence[Window]) -> list[Window]:
    left = []
    start = window.start
    for span in known:
        if span.end <= start or window.end <= span.start:
            continue
        if start < span.start:
            left.append(Window(start, span.start))
        start = span.end
    if start < window.end:
        left.append(Window(start, window.end))
    return left


def pages(
    windows: Iterable[Window], interval: Interval, page_slots: int, reach: int | None = None
) -> list[Window]:
    """The windows cut into requests of at most `page_slots`, each ending on the grid.

    Cut at `reach` too, the earliest instant that the provider's plan serves: what lies before it
    may be refused, and must not take what lies after it along.
    """
    cut: list[Window] = []
    reach = None if reach is None else interval.ceil(reach)
    for window in windows:
        parts = [window]
        if reach is not None and window.start < reach < window.end:
            parts = [Window(window.start, reach), Window(reach, window.end)]
        for part in parts:
            cut += _cut(part, interval, page_slots)
    return cut


def _cut(window: Window, interval: Interval, page_slots: int) -> list[Window]:
    found = []
    # A window that does not begin on the grid follows a candle that did not, and begins after it.
    start = window.start
    end = interval.ceil(window.end)
    while interval.slots(start, end) or (start < end and start != interval.floor(start)):
        stop = min(end, interval.next(start, page_slots))
        found.append(Window(start, stop))
        start = stop
    return found


def closed_until(interval: Interval, now: int, publish_delay_ms: int) -> int:
    """Where the stretch ends whose candles are all closed and should be published."""
    return interval.floor(now - publish_delay_ms)
