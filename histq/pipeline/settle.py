"""One batch of messages: screen, drop repeats, store, bury, acknowledge.

Everything that a batch changes, prices, ledger, dead letters, acknowledgement, is one transaction,
fenced by the lease: whoever lost it changes nothing.
"""

import time
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from histq.errors import Poison
from histq.ledger import covered
from histq.model import (
    WIDTH,
    Candle,
    DeadLetter,
    Interval,
    Message,
    Reason,
    Series,
    Span,
    State,
    Window,
)
from histq.page import Fault, Flat, ascending, distinct, screen, timestamps, unpack
from histq.pipeline.backends import Backends
from histq.pipeline.letters import candle_letter
from histq.pipeline.reports import ConsumeReport, add
from histq.pipeline.runs import RunLog
from histq.queues import Queue
from histq.stores import Batch, Store

MAX_KILLED: Final = 20
"""Consumers that ended without a word while they held a message; it is a dead letter then."""

LAST_INSTANT: Final = 2**63 - 2
"""As late as a table can say."""


class _Screened(NamedTuple):
    """A message and what is to be done with it."""

    message: Message
    page: Flat
    faults: list[Fault]
    rising: bool  # whether the page is known to be in order
    times: list[int]  # of all its candles, the bad ones too, ascending
    runs: list[Window]  # the stretches whose slots hold these
    broken: str = ""  # why the whole message cannot be stored


def settle(
    backends: Backends, runs: RunLog, messages: Sequence[Message], now: int
) -> ConsumeReport:
    """What became of the batch, all or nothing. Raises LeaseLost, and what the store raises."""
    began = time.perf_counter()
    run_id = runs.begin(backends.store)
    screened = [_screen(message, now) for message in messages]
    with backends.transaction():
        # Where they are two files: the prices first, because storing them again does no harm.
        with backends.store.transaction():
            by_source = _store_all(backends.store, screened)
            total = ConsumeReport()
            for report in by_source.values():
                add(total, report)
            elapsed_ms = (time.perf_counter() - began) * 1000
            for source, report in by_source.items():
                share = elapsed_ms * report.points / max(total.points, 1)
                backends.store.log_batch(run_id, _batch(source, report, share))
        with backends.queue.transaction():
            for item in screened:
                _bury(backends.queue, item, now)
            backends.queue.ack([item.message for item in screened if not item.broken])
    return total


def _store_all(store: Store, screened: Sequence[_Screened]) -> dict[str, ConsumeReport]:
    """What became of them, by source; in the order of the table's key."""
    by_source: dict[str, ConsumeReport] = {}
    for series, items in groupby(sorted(screened, key=_place), key=_series):
        report = by_source.setdefault(series.source, ConsumeReport())
        add(report, _store_series(store, series, list(items)))
    return by_source


def _screen(message: Message, now: int) -> _Screened:
    killed = message.deliveries - message.failures - 1
    if killed >= MAX_KILLED:
        broken = f"{killed} consumers in a row ended without a word while they held it"
        return _broken(message, broken)
    try:
        flat = unpack(message.body)
    except Poison as error:
        return _broken(message, str(error))
    page, faults = screen(flat, now)
    rising = page is flat
    times = _times(message, flat, rising)
    runs = covered(message.window, times, Interval(message.series.interval)) if times else []
    return _Screened(message, page, faults, rising, times, runs)


def _broken(message: Message, why: str) -> _Screened:
    return _Screened(message, page=[], faults=[], rising=True, times=[], runs=[], broken=why)


def _times(message: Message, flat: Flat, rising: bool) -> list[int]:
    """Open times in the window, ascending, each once."""
    start, end = message.window
    times = timestamps(flat)
    if times and (rising or ascending(flat)) and start <= times[0] and times[-1] < end:
        return times
    return sorted({time for time in times if type(time) is int and start <= time < end})


def _place(item: _Screened) -> tuple[Series, int]:
    """By series, then in the order of arrival: the first to say a timestamp keeps it."""
    return item.message.series, item.message.id


_series = attrgetter("message.series")


def _store_series(store: Store, series: Series, items: Sequence[_Screened]) -> ConsumeReport:
    report = ConsumeReport(messages=len(items))
    rising = all(item.rising for item in items)
    pages, differing, dropped = distinct([item.page for item in items], rising=rising)
    spans: list[Span] = []
    for item, page in zip(items, pages, strict=True):
        points = (
            item.message.points if item.broken else (len(item.page) // WIDTH + len(item.faults))
        )
        dead = points if item.broken else len(item.faults)
        written = store.write(series, page)
        report.points += points
        report.dead += dead
        report.inserted += written.inserted
        report.duplicates_stored += written.duplicates
        report.revised += written.revised
        spans += _spans(store, item)
    store.record(series, spans)
    store.revise(series, differing)
    report.revised += len(differing)
    report.duplicates_in_batch = dropped
    report.duplicates = dropped + report.duplicates_stored
    report.unique = report.points - report.dead - dropped
    return report


def _bury(queue: Queue, item: _Screened, now: int) -> None:
    if item.broken:
        reason = Reason.EXHAUSTED if item.message.deliveries > MAX_KILLED else Reason.POISON
        queue.bury(item.message, reason, item.broken)
    letters: list[DeadLetter] = [
        candle_letter(item.message, fault, _slot(item.message, fault.candle), now)
        for fault in item.faults
    ]
    if letters:
        queue.keep(letters)


def _spans(store: Store, item: _Screened) -> list[Span]:
    """What the ledger says of the message's window from now on."""
    message = item.message
    if item.broken:
        return [Span(*message.window, State.DEAD, reason=item.broken)]
    stored = set(timestamps(item.page)) if item.faults else set()
    slots = [
        (_slot(message, fault.candle), fault.why)
        for fault in item.faults
        if fault.candle.timestamp in item.times and fault.candle.timestamp not in stored
    ]
    # A bad candle says nothing against a good one that the table holds for its slot.
    dead = [
        Span(*slot, State.DEAD, reason=why)
        for slot, why in slots
        if not any(True for _ in store.candles(message.series, slot))
    ]
    return [*(Span(*run, State.STORED, via=message.via) for run in item.runs), *dead]


def _slot(message: Message, candle: Candle) -> Window:
    """The candle's slot, as far as it lies in the message's window; else its own instant."""
    start, end = message.window
    time = candle.timestamp if type(candle.timestamp) is int else start
    interval = Interval(message.series.interval)
    if not interval.gridded or not start <= time < end:
        return Window(min(time, LAST_INSTANT), min(time, LAST_INSTANT) + 1)
    return Window(max(start, interval.floor(time)), min(end, interval.next(time)))


def _batch(source: str, report: ConsumeReport, elapsed_ms: float) -> Batch:
    return Batch(
        source=source,
        messages=report.messages,
        points=report.points,
        inserted=report.inserted,
        duplicates=report.duplicates,
        revised=report.revised,
        dead=report.dead,
        elapsed_ms=elapsed_ms,
    )
