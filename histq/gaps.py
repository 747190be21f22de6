"""What a series lacks, and whose fault it is: the ledger read as a list of holes. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec

from histq.ledger import ACCEPTED
from histq.model import Interval, Series, Span, State, Window


class Why(StrEnum):
    """Why a stretch holds no candles."""

    NEVER_ASKED = "never asked"
    FAILED = "failed"
    EMPTY_ONCE = "empty, not confirmed yet"
    EMPTY = "empty, confirmed"
    DEAD = "dead letter"
    BEFORE_LISTING = "before listing"
    NOT_CLOSED = "not closed yet"


EXPLAINED = (Why.EMPTY, Why.BEFORE_LISTING, Why.NOT_CLOSED)


_HELD = (State.STORED, State.QUEUED)


class Gap(msgspec.Struct, frozen=True):
    """A hole of one series; `explained` when the provider is believed that nothing was there."""

    source: str
    symbol: str
    interval: str
    start: int
    end: int
    slots: int
    why: Why
    explained: bool
    reason: str | None
    seen: int
    asked_at: int | None


class Coverage(msgspec.Struct, frozen=True):
    """How much of what is known to be wanted is there, in slots of the grid.

    `accepted` are confirmed holes and what lies before the listing, `open` was not closed when it
    was last asked for, `archived` counts those of stored and queued that came from an archive.
    `share` is (stored + queued) / (all - accepted - open); None where nothing is wanted.
    """

    source: str
    symbol: str
    interval: str
    start: int | None
    end: int | None
    slots: int
    stored: int
    queued: int
    accepted: int
    open: int
    archived: int
    lacking: int
    share: float | None


def gaps(series: Series, spans: Sequence[Span]) -> list[Gap]:
    """Every stretch between the ledger's ends that holds nothing stored or queued, in order.

    Neighbours for the same reason are one gap, though two requests asked for it.
    """
    interval = Interval(series.interval)
    end = spans[-1].end if spans else 0
    found: list[Gap] = []
    for span in _holes(spans):
        gap = _gap(series, interval, span, end)
        if found and _continues(found[-1], gap):
            gap = _joined(found.pop(), gap)
        found.append(gap)
    return [gap for gap in found if gap.slots]


def _continues(one: Gap, other: Gap) -> bool:
    return one.end == other.start and (one.why, one.reason) == (other.why, other.reason)


def _joined(one: Gap, other: Gap) -> Gap:
    """Both as one: seen empty as often as either part, and first asked for when one was."""
    asked = [gap.asked_at for gap in (one, other) if gap.asked_at is not None]
    return msgspec.structs.replace(
        one,
        end=other.end,
        slots=one.slots + other.slots,
        seen=min(one.seen, other.seen),
        asked_at=min(asked, default=None),
    )


def _holes(spans: Sequence[Span]) -> Iterator[Span]:
    """The spans that hold nothing, and those that nobody has ever asked for between the known."""
    reached = spans[0].start if spans else 0
    for span in spans:
        if reached < span.start:
            yield Span(reached, span.start, State.WANTED)
        if span.state not in _HELD:
            yield span
        reached = span.end


def _gap(series: Series, interval: Interval, span: Span, known_to: int) -> Gap:
    why = why_of(span, known_to)
    return Gap(
        *series,
        start=span.start,
        end=span.end,
        slots=interval.slots(span.start, span.end),
        why=why,
        explained=why in EXPLAINED,
        reason=span.reason,
        seen=span.seen,
        asked_at=span.asked_at,
    )


def why_of(span: Span, known_to: int) -> Why:
    """Why the span holds nothing; `known_to` is the end of the ledger."""
    match span.state:
        case State.UNLISTED:
            return Why.BEFORE_LISTING
        case State.OPEN if span.end == known_to:
            return Why.NOT_CLOSED
        case State.FAILED:
            return Why.FAILED
        case State.DEAD:
            return Why.DEAD
        case State.EMPTY:
            return Why.EMPTY if span.seen >= ACCEPTED else Why.EMPTY_ONCE
        case _:
            return Why.NEVER_ASKED


def coverage(series: Series, spans: Sequence[Span], within: Window | None = None) -> Coverage:
    """The series from the first to the last instant that the ledger knows of, or `within`."""
    interval = Interval(series.interval)
    if within is None and spans:
        within = Window(spans[0].start, spans[-1].end)
    start, end = within or (None, None)
    slots = interval.slots(*within) if within else 0
    stored = _slots((s for s in spans if s.state is State.STORED), interval, within)
    queued = _slots((s for s in spans if s.state is State.QUEUED), interval, within)
    whys = [(span, why_of(span, spans[-1].end)) for span in spans]
    sure = (Why.EMPTY, Why.BEFORE_LISTING)
    accepted = _slots((span for span, why in whys if why in sure), interval, within)
    not_closed = _slots((span for span, why in whys if why is Why.NOT_CLOSED), interval, within)
    real = slots - accepted - not_closed
    return Coverage(
        *series,
        start=start,
        end=end,
        slots=slots,
        stored=stored,
        queued=queued,
        accepted=accepted,
        open=not_closed,
        archived=_slots((s for s in spans if s.via and s.state in _HELD), interval, within),
        lacking=real - stored - queued,
        share=(stored + queued) / real if real else None,
    )


def _slots(spans: Iterable[Span], interval: Interval, within: Window | None) -> int:
    if within is None:
        return 0
    return sum(
        interval.slots(max(span.start, within.start), min(span.end, within.end)) for span in spans
    )


def by_month(series: Series, spans: Sequence[Span]) -> list[Coverage]:
    """The coverage of each calendar month from the first instant known to the last."""
    if not spans:
        return []
    month, known = Interval("1M"), Window(spans[0].start, spans[-1].end)
    found = []
    start = known.start
    while start < known.end:
        end = min(month.next(start), known.end)
        found.append(coverage(series, spans, Window(start, end)))
        start = end
    return found
