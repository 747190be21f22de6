"""Dead letters: made, brought back, dropped."""

import base64
import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from histq.errors import Misshapen, Poison
from histq.ledger import covered
from histq.model import (
    WIDTH,
    DeadLetter,
    Draft,
    History,
    Interval,
    Kind,
    Market,
    Message,
    Priority,
    Reason,
    Series,
    Span,
    State,
    Window,
)
from histq.page import Fault, Flat, as_json, flatten, from_json, pack, timestamps, unpack
from histq.pipeline.backends import Backends
from histq.providers import Ask, providers

BODY_CAP: Final = 64 * 1024
"""Bytes kept of a body that was no candles."""


class Redriven(NamedTuple):
    """What became of the letters that were to be retried."""

    queued: int
    kept: list[tuple[int, str]]  # (letter, why it stays)


def body_letter(series: Series, window: Window, error: Misshapen, now: int) -> DeadLetter:
    """A letter with the beginning of a body that held no candles."""
    body = error.body
    kept = body[:BODY_CAP]
    try:
        shown: dict[str, object] = {"body": kept.decode()}
    except UnicodeDecodeError:
        shown = {"base64": base64.b64encode(kept).decode()}
    shown |= {"bytes": len(body), "cut": len(body) > BODY_CAP}
    shown |= {"answered_at": now if error.answered_at is None else error.answered_at}
    raw_data = json.dumps(shown)
    return DeadLetter(
        id=0,
        kind=Kind.BODY,
        series=series,
        window=window,
        points=0,
        reason=Reason.POISON,
        error=str(error),
        failures=0,
        deliveries=0,
        queued_at=now,
        failed_at=now,
        raw_data=raw_data,
    )


def candle_letter(message: Message, fault: Fault, window: Window, now: int) -> DeadLetter:
    """A letter with one candle of a message."""
    return DeadLetter(
        id=0,
        kind=Kind.CANDLE,
        series=message.series,
        window=window,
        points=1,
        reason=Reason.POISON,
        error=fault.why,
        failures=message.history.failures,
        deliveries=message.history.deliveries,
        queued_at=message.history.queued_at,
        failed_at=now,
        raw_data=as_json(pack(flatten([fault.candle]))),
    )


def redrive(backends: Backends, letters: Sequence[DeadLetter], now: int) -> Redriven:
    """Puts what the letters hold back on the queue; those that hold no candles stay."""
    queued = 0
    kept = []
    for letter in letters:
        try:
            body = _body(letter, now)
        except (Poison, Misshapen) as error:
            kept.append((letter.id, str(error)))
            continue
        if _requeue(backends, letter, body):
            queued += 1
        else:
            kept.append((letter.id, "its window waits in the queue already; consume that first"))
    return Redriven(queued, kept)


def _body(letter: DeadLetter, now: int) -> bytes:
    """The packed page in the letter; a provider's body is parsed anew, as this histq can."""
    if letter.kind is not Kind.BODY:
        return from_json(letter.raw_data)
    shown = json.loads(letter.raw_data)
    again = "its window is open, so histq fetch asks for it again"
    provider = providers().get(letter.series.source)
    if shown["cut"] or provider is None:
        raise Misshapen(f"only the first {BODY_CAP} bytes of the answer were kept; {again}")
    body = shown["body"].encode() if "body" in shown else base64.b64decode(shown["base64"])
    market = Market(letter.series.symbol, "", "", "")
    interval = Interval(letter.series.interval)
    try:
        candles = provider.parse(
            body, Ask(letter.series, market, interval, letter.window, plan="", now=now)
        )
    except Misshapen as error:
        raise Misshapen(f"the answer still holds no candles; {again}") from error
    closed = (c for c in candles if interval.closes_at(c) < shown["answered_at"])
    return pack(flatten(sorted(closed, key=lambda candle: candle.timestamp)))


def _requeue(backends: Backends, letter: DeadLetter, body: bytes) -> bool:
    points, spans = letter.points, [Span(*letter.window, State.QUEUED)]
    try:
        flat = unpack(body)
    except Poison:
        pass  # bytes that this histq cannot read either: the consumer will say so again
    else:
        points = len(flat) // WIDTH
        spans = _queued(letter, flat)
    if letter.kind is Kind.PAGE:
        # What was between its candles is nobody's any more, and asked for again.
        before = backends.store.spans(letter.series)
        dead = _known_as(letter, before, (State.DEAD,))
        spans = [*(Span(*window, State.WANTED) for window in dead), *spans]
    past = History(letter.queued_at, letter.failures, letter.deliveries)
    draft = Draft(letter.series, letter.window, points, body, Priority.HIGH, past=past)
    with backends.transaction():
        with backends.queue.transaction():
            if not backends.queue.put([draft]):
                return False
            backends.queue.drop([letter.id])
        backends.store.record(letter.series, spans)
    return True


def _queued(letter: DeadLetter, flat: Flat) -> list[Span]:
    times = sorted(t for t in timestamps(flat) if letter.window.start <= t < letter.window.end)
    if not times:
        return [Span(*letter.window, State.QUEUED)]
    runs = covered(letter.window, times, Interval(letter.series.interval))
    return [Span(*run, State.QUEUED) for run in runs]


def drop(backends: Backends, letters: Sequence[DeadLetter]) -> int:
    """Deletes letters for good. What they held is then missing, and the ledger says so."""
    with backends.transaction():
        # The ledger first: a letter whose hole is known already is dropped again.
        with backends.store.transaction():
            for series, dropped in groupby(sorted(letters, key=_series), key=_series):
                before = backends.store.spans(series)
                for letter in dropped:
                    # Not what has been stored since. Queued: a process that died between two files
                    # may have left it so, and then no message holds it.
                    lost = _known_as(letter, before, (State.DEAD, State.QUEUED))
                    why = f"dead letter dropped: {letter.error}"
                    news = [Span(*window, State.FAILED, reason=why) for window in lost]
                    backends.store.record(series, news)
        return backends.queue.drop([letter.id for letter in letters])


def _known_as(letter: DeadLetter, before: Sequence[Span], states: Sequence[State]) -> list[Window]:
    """The stretches of the letter's window that the ledger knows so.

    A candle's own time may be nonsense: a span there would be the end of the ledger.
    """
    start, end = letter.window
    found = []
    for i in range(max(0, bisect_right(before, start, key=_start) - 1), len(before)):
        span = before[i]
        if span.start >= end:
            break
        if span.end > start and span.state in states:
            found.append(Window(max(start, span.start), min(end, span.end)))
    return found


_series = attrgetter("series")
_start = attrgetter("start")
