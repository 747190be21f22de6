"""Takes pages off the queue, screens them, and stores them; what cannot be stored is a dead letter.

Everything that a batch changes, prices, ledger, dead letters, acknowledgement, is one transaction,
fenced by the lease: whoever lost it changes nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

import msgspec

from histq.config import QueueSettings
from histq.errors import HistqError, LeaseLost, Poison, Transient
from histq.host import Clock, wall_clock
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
from histq.page import Fault, Flat, distinct, screen, timestamps, unpack
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.letters import candle_letter
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop
from histq.stores import Batch

logger = logging.getLogger(__name__)

MAX_KILLED: Final = 20
"""Consumers that ended without a word while they held a message; it is a dead letter then."""

LAST_INSTANT: Final = 2**63 - 2
"""As late as a table can say."""

SIBLING_POLL_S: Final = 0.02
IDLE_POLL_S: Final = 0.25


class ConsumeWatcher(Protocol):
    """Is told what happens, by several threads at once."""

    def stored(self, report: ConsumeReport) -> None:
        """A batch is done; what it did."""

    def idle(self, why: str) -> None:
        """Nothing is ready, but something is to come."""


class ConsumeJob(msgspec.Struct, frozen=True):
    """One consume. `more` says whether messages may still come: it stays while so."""

    opener: Opener
    concurrency: int
    runs: RunLog
    stop: Stop
    watcher: ConsumeWatcher
    wait: bool = True
    more: Callable[[], bool] = lambda: False
    create: bool = True
    clock: Clock = wall_clock


class _Screened(NamedTuple):
    """A message and what is to be done with it."""

    message: Message
    page: Flat
    faults: list[Fault]
    times: list[int]  # of all its candles, the bad ones too, ascending
    broken: str = ""  # why the whole message cannot be stored


def consume(job: ConsumeJob) -> ConsumeReport:
    """Runs the workers until nothing is left to wait for. Raises what the first of them raised."""
    began = time.monotonic()
    job.opener.open(create=job.create).close()
    shared = _Shared()
    workers = [_Worker(job, shared) for _ in range(job.concurrency)]
    threads = [
        threading.Thread(target=worker.run, name="histq-consume", daemon=True) for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        _join(thread, job)
    if shared.fatal is not None:
        raise shared.fatal
    report = shared.report
    report.elapsed_ms = round((time.monotonic() - began) * 1000)
    report.points_per_s = round(report.points / max(report.elapsed_ms, 1) * 1000)
    return report


def _join(thread: threading.Thread, job: ConsumeJob) -> None:
    """Waits for the thread; after a stop only for so long. Its leases are free once we are gone."""
    while thread.is_alive() and not job.stop:
        thread.join(0.2)
    thread.join(job.opener.settings.consume.shutdown_seconds)


class _Shared:
    """What the workers of one process know of each other."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.report = ConsumeReport()
        self.busy = 0
        self.fatal: BaseException | None = None


class _Worker:
    def __init__(self, job: ConsumeJob, shared: _Shared) -> None:
        self._job = job
        self._shared = shared
        self._queue_settings: QueueSettings = job.opener.settings.queue

    def run(self) -> None:
        try:
            with self._job.opener.open(create=True) as backends:
                self._work(backends)
        except BaseException as error:  # the top of a thread: carried to the one that joins it
            with self._shared.lock:
                self._shared.fatal = self._shared.fatal or error
            self._job.stop.set()

    def _work(self, backends: Backends) -> None:
        settings = self._queue_settings
        while not self._job.stop:
            with self._shared.lock:
                self._shared.busy += 1
            try:
                messages = backends.queue.lease(
                    settings.batch_size, settings.batch_points, settings.lease_s
                )
                if messages:
                    self._settle(backends, messages)
            finally:
                with self._shared.lock:
                    self._shared.busy -= 1
            if not messages and self._finished(backends):
                return
            if messages and self._job.more() and _partial(messages, settings):
                self._job.stop.wait(settings.batch_seconds)  # let the next batch fill up

    def _finished(self, backends: Backends) -> bool:
        """Whether there is nothing to wait for; waits a little where there is."""
        more = self._job.more()  # asked before the depth: what comes in between is then seen
        depth = backends.queue.depth()
        if depth.messages == 0 and not more:
            return True
        if self._shared.busy:
            self._job.stop.wait(SIBLING_POLL_S)
            return False
        if depth.ready:
            return False
        if depth.messages and not self._job.wait:
            with self._shared.lock:
                self._shared.report.left = depth.messages
            return True
        if depth.messages:
            due_at = backends.queue.next_due_at()
            wait_s = max(0, (due_at or 0) - self._job.clock()) / 1000
            self._job.watcher.idle(_waiting_for(depth.delayed, depth.leased, wait_s))
        self._job.stop.wait(IDLE_POLL_S)
        return False

    def _settle(self, backends: Backends, messages: Sequence[Message]) -> None:
        """Stores what the messages hold, or says why not. The one place that acts on its errors."""
        began = time.perf_counter()
        try:
            report = self._store(backends, messages, began)
        except (LeaseLost, Poison) as error:
            self._split(backends, messages, error)
            return
        except Transient as error:
            report = self._retry(backends, messages, error)
        self._tell(report)

    def _tell(self, report: ConsumeReport) -> None:
        with self._shared.lock:
            _add(self._shared.report, report)
        self._job.watcher.stored(report)

    def _split(self, backends: Backends, messages: Sequence[Message], error: HistqError) -> None:
        """Halves the batch until the guilty message is alone and cannot harm its neighbours."""
        if len(messages) > 1:
            half = len(messages) // 2
            self._settle(backends, messages[:half])
            self._settle(backends, messages[half:])
            return
        (message,) = messages
        if isinstance(error, LeaseLost):
            logger.warning("%s; whoever holds it now stores it", error)
            return
        with backends.queue.transaction(), backends.store.transaction():
            backends.queue.bury(message, Reason.PERMANENT, str(error))
            backends.store.record(message.series, [Span(*message.window, State.DEAD)])
        self._tell(ConsumeReport(messages=1, points=message.points, dead=message.points))

    def _retry(
        self, backends: Backends, messages: Sequence[Message], error: Transient
    ) -> ConsumeReport:
        report = ConsumeReport()
        for message in messages:
            with backends.queue.transaction(), backends.store.transaction():
                comes_back = backends.queue.retry(message, str(error))
                if not comes_back:
                    backends.store.record(message.series, [Span(*message.window, State.DEAD)])
            report.messages += 1
            report.points += message.points
            if comes_back:
                report.retried += message.points
            else:
                report.dead += message.points
        return report

    def _store(
        self, backends: Backends, messages: Sequence[Message], began: float
    ) -> ConsumeReport:
        now = self._job.clock()
        run_id = self._job.runs.begin(backends.store)
        screened = [_screen(message, now) for message in messages]
        by_source = []
        with backends.queue.transaction(), backends.store.transaction():
            backends.queue.ack([item.message for item in screened if not item.broken])
            for source, items in groupby(sorted(screened, key=_place), key=_source):
                report = ConsumeReport()
                for series, own in groupby(items, key=_series):
                    _add(report, _store_series(backends, series, list(own), now))
                by_source.append((source, report))
            total = ConsumeReport()
            for _, report in by_source:
                _add(total, report)
            elapsed_ms = (time.perf_counter() - began) * 1000
            for source, report in by_source:
                share = elapsed_ms * report.points / max(total.points, 1)
                backends.store.log_batch(run_id, _batch(source, report, share))
        return total


def _partial(messages: Sequence[Message], settings: QueueSettings) -> bool:
    points = sum(message.points for message in messages)
    return len(messages) < settings.batch_size and points < settings.batch_points


def _waiting_for(delayed: int, leased: int, wait_s: float) -> str:
    parts = [
        f"{delayed} delayed" if delayed else "",
        f"{leased} leased elsewhere" if leased else "",
    ]
    what = ", ".join(filter(None, parts))
    return f"waiting for messages: {what}; the next comes back in {wait_s:.0f} s at the latest"


def _screen(message: Message, now: int) -> _Screened:
    killed = message.deliveries - message.failures - 1
    if killed >= MAX_KILLED:
        broken = f"{killed} consumers in a row ended without a word while they held it"
        return _Screened(message, [], [], [], broken)
    try:
        flat = unpack(message.body)
    except Poison as error:
        return _Screened(message, [], [], [], str(error))
    page, faults = screen(flat, now)
    start, end = message.window
    times = sorted({t for t in timestamps(flat) if type(t) is int and start <= t < end})
    return _Screened(message, page, faults, times)


def _place(item: _Screened) -> tuple[Series, int]:
    """By series, then in the order of arrival: the first to say a timestamp keeps it."""
    return item.message.series, item.message.id


_series = attrgetter("message.series")
_source = attrgetter("message.series.source")


def _store_series(
    backends: Backends, series: Series, items: Sequence[_Screened], now: int
) -> ConsumeReport:
    report = ConsumeReport(messages=len(items))
    pages, differing, dropped = distinct([item.page for item in items])
    for item, page in zip(items, pages, strict=True):
        points = (
            item.message.points if item.broken else (len(item.page) // WIDTH + len(item.faults))
        )
        dead = points if item.broken else len(item.faults)
        written = backends.store.write(series, page)
        report.points += points
        report.dead += dead
        report.inserted += written.inserted
        report.duplicates_stored += written.duplicates
        report.revised += written.revised
        _bury(backends, item, now)
        backends.store.record(series, _spans(item))
    backends.store.revise(series, differing)
    report.revised += len(differing)
    report.duplicates_in_batch = dropped
    report.duplicates = dropped + report.duplicates_stored
    report.unique = report.points - report.dead - dropped
    return report


def _bury(backends: Backends, item: _Screened, now: int) -> None:
    if item.broken:
        reason = Reason.EXHAUSTED if item.message.deliveries > MAX_KILLED else Reason.POISON
        backends.queue.bury(item.message, reason, item.broken)
    letters: list[DeadLetter] = [
        candle_letter(item.message, fault, _slot(item.message, fault.candle), now)
        for fault in item.faults
    ]
    if letters:
        backends.queue.keep(letters)


def _spans(item: _Screened) -> list[Span]:
    """What the ledger says of the message's window from now on."""
    message = item.message
    if item.broken:
        return [Span(*message.window, State.DEAD, reason=item.broken)]
    interval = Interval(message.series.interval)
    runs = covered(message.window, item.times, interval) if item.times else []
    stored = set(timestamps(item.page))
    dead = [
        Span(*_slot(message, fault.candle), State.DEAD, reason=fault.why)
        for fault in item.faults
        if fault.candle.timestamp in item.times and fault.candle.timestamp not in stored
    ]
    return [*(Span(*run, State.STORED) for run in runs), *dead]


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


def _add(total: ConsumeReport, more: ConsumeReport) -> None:
    for name in ConsumeReport.__struct_fields__:
        setattr(total, name, getattr(total, name) + getattr(more, name))
