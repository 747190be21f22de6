"""The algebra of spans: what an answer says of its window, and new knowledge over old. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final

from histq.model import Interval, Span, State, Window

ACCEPTED: Final = 2
"""Empty answers after which a hole counts as real."""

BETWEEN: Final = "between candles of one reply"


def answered(
    window: Window,
    times: Sequence[int],
    interval: Interval,
    before: Sequence[Span],
    now: int,
    confirm_after_ms: int,
    via: str | None = None,
) -> list[Span]:
    """What an answer with candles at `times` (ascending) says of its window; `via` as in `Span`.

    Slots with candles are queued. Slots without any that lie between candles are accepted as empty:
    whoever knows what came before and after knows what did not. Those at the ends have been seen
    empty once more than `before` says.
    """
    if not times:
        return emptied(window, before, now, confirm_after_ms)
    runs = covered(window, times, interval)
    spans = [Span(*run, State.QUEUED, via=via) for run in runs]
    for earlier, later in pairwise(runs):
        spans.append(Span(earlier.end, later.start, State.EMPTY, ACCEPTED, now, BETWEEN))
    for end in (Window(window.start, runs[0].start), Window(runs[-1].end, window.end)):
        spans += emptied(end, before, now, confirm_after_ms)
    return spans


def unheld(news: Iterable[Span], before: Sequence[Span]) -> list[Span]:
    """The news, but for what would take back what is held.

    An answer that is empty, or none, says nothing against candles that are queued, stored or dead.
    """
    held = [span for span in before if span.state in (State.QUEUED, State.STORED, State.DEAD)]
    kept: list[Span] = []
    for new in news:
        parts = [new]
        if new.state not in (State.QUEUED, State.STORED, State.DEAD):
            for span in held:
                parts = [left for part in parts for left in _without([part], span)]
        kept += parts
    return kept


def covered(window: Window, times: Sequence[int], interval: Interval) -> list[Window]:
    """The stretches of the window whose slots hold candles; `times` ascending and in the window.

    Without a grid that is the whole window.
    """
    if not interval.gridded or interval.in_a_row(times):
        first, last = times[0], times[-1]
        runs = (
            [Window(interval.floor(first), interval.next(last))] if interval.gridded else [window]
        )
    else:
        runs = []
        for time in times:
            start, end = interval.floor(time), interval.next(time)
            if runs and start <= runs[-1].end:
                runs[-1] = Window(runs[-1].start, end)
            else:
                runs.append(Window(start, end))
    first_run, last_run = runs[0], runs[-1]
    # What is left of the window at its ends without an open time of the grid is no slot of its own.
    if first_run.start < window.start or not interval.slots(window.start, first_run.start):
        runs[0] = first_run = Window(window.start, first_run.end)
        last_run = runs[-1]
    if window.end < last_run.end:
        runs[-1] = Window(last_run.start, window.end)
    return runs


def emptied(window: Window, before: Sequence[Span], now: int, confirm_after_ms: int) -> list[Span]:
    """What an answer without candles says of its window: seen empty once more than before.

    Two empty answers count as two only when `confirm_after_ms` lie between them.
    """
    if window.start >= window.end:
        return []
    found = [Span(*window, State.EMPTY, 1, now)]
    for span in before:
        start, end = max(span.start, window.start), min(span.end, window.end)
        if start < end and span.state is State.UNLISTED:
            found.append(Span(start, end, State.UNLISTED, span.seen, now))
        elif start < end and span.state is State.EMPTY and span.asked_at is not None:
            apart = now - span.asked_at >= confirm_after_ms
            seen, asked_at = (span.seen + 1, now) if apart else (span.seen, span.asked_at)
            found.append(Span(start, end, State.EMPTY, seen, asked_at, span.reason))
    return found


def overlay(known: Sequence[Span], news: Iterable[Span]) -> list[Span]:
    """`known` with `news` over it, in order, later ones over earlier ones; touching equals merged.

    Both inputs are half-open; `known` is ordered and free of overlaps, and so is the result.
    """
    spans = list(known)
    for new in news:
        if new.start < new.end:
            # Only those it meets: a batch may bring hundreds of spans to a ledger of thousands.
            first = bisect_right(spans, new.start, key=attrgetter("end"))
            last = bisect_left(spans, new.end, lo=first, key=attrgetter("start"))
            spans[first:last] = sorted([*_without(spans[first:last], new), new])
    return merge(spans)


def _without(spans: Iterable[Span], hole: Span) -> Iterable[Span]:
    for span in spans:
        if span.end <= hole.start or hole.end <= span.start:
            yield span
            continue
        if span.start < hole.start:
            yield span._replace(end=hole.start)
        if hole.end < span.end:
            yield span._replace(start=hole.end)


def merge(spans: Iterable[Span]) -> list[Span]:
    """In order, neighbours that touch and say the same made one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and merged[-1].end == span.start and merged[-1][2:] == span[2:]:
            merged[-1] = merged[-1]._replace(end=span.end)
        else:
            merged.append(span)
    return merged
