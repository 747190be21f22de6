"""Takes pages off the queue, screens them, and stores them; what cannot be stored is a dead letter.

Workers lease batches and hand them to `settle.py`; what it raises is acted on here.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from histq.errors import HistqError, LeaseLost, Poison, Stopped, StorageFailed, Transient
from histq.host import Clock, wall_clock
from histq.model import Message, Reason, Span, State
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.in_hand import InHand
from histq.pipeline.lines import log_batch
from histq.pipeline.reports import ConsumeReport, add
from histq.pipeline.runs import RunLog
from histq.pipeline.settle import settle
from histq.queues import Queue
from histq.settings import QueueSettings
from histq.stop import Stop
from histq.stores import Batch, Store

logger = logging.getLogger(__name__)

SIBLING_POLL_S: Final = 0.02
IDLE_POLL_S: Final = 0.25
FILL_POLL_S: Final = 0.05
JOIN_POLL_S: Final = 0.005
WORKERS_A_FILE: Final = 2
"""Workers that a store in a SQLite file can use: one writes, the other prepares what is next."""

TOLD_AFTER: Final = 2
"""Idle looks in a row after which the user is told: one may be a sibling between two batches."""


class ConsumeWatcher(Protocol):
    """Is told what happens, by several threads at once."""

    def waiting_points(self, points: int) -> None:
        """So many are in the queue at the start."""

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
    clock: Clock = wall_clock


def consume(job: ConsumeJob) -> ConsumeReport:
    """Runs the workers until nothing is left to wait for. Raises what the first of them raised."""
    began = time.monotonic()
    with job.opener.open(create=True) as backends:
        if not job.more():
            job.watcher.waiting_points(backends.queue.depth().points)
        # Those past them would only wait for its lock, each with a batch in memory.
        most = job.concurrency if backends.store.database is None else WORKERS_A_FILE
    shared = _Shared(InHand(job.opener))
    workers = [_Worker(job, shared) for _ in range(min(job.concurrency, most))]
    threads = [
        threading.Thread(target=worker.run, name="histq-consume", daemon=True) for worker in workers
    ]
    for thread in threads:
        thread.start()
    _join(threads, job)
    shared.in_hand.close()
    if shared.fatal is not None:
        raise shared.fatal
    report = shared.report
    report.elapsed_ms = round((time.monotonic() - began) * 1000)
    report.points_per_s = round(report.points / max(report.elapsed_ms, 1) * 1000)
    return report


def _join(threads: Sequence[threading.Thread], job: ConsumeJob) -> None:
    """Waits for them; after a stop only for so long, and what they then hold is handed back."""
    while not job.stop and any(thread.is_alive() for thread in threads):
        job.stop.wait(JOIN_POLL_S)
    deadline = time.monotonic() + job.opener.settings.consume.shutdown_seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class _Shared:
    """What the workers of one process know of each other."""

    def __init__(self, in_hand: InHand) -> None:
        self.in_hand = in_hand
        self.lock = threading.Lock()
        self.report = ConsumeReport()
        self.busy = 0
        self.fatal: BaseException | None = None


class _Worker:
    def __init__(self, job: ConsumeJob, shared: _Shared) -> None:
        self._job = job
        self._shared = shared
        self._idle = 0
        self._queue_settings: QueueSettings = job.opener.settings.queue

    def run(self) -> None:
        try:
            with self._job.opener.open(create=True) as backends:
                self._work(backends)
        except Stopped:
            pass  # what it has leased is free once we are gone
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
                if messages and self._job.stop:
                    backends.queue.release(messages)
                elif messages:
                    self._idle = 0
                    with self._shared.in_hand.holding(messages):
                        self._settle(backends, messages)
            finally:
                with self._shared.lock:
                    self._shared.busy -= 1
            if not messages and self._finished(backends):
                return
            if messages and len(messages) < (full := _full(messages, settings)):
                self._let_fill(backends.queue, full)

    def _let_fill(self, queue: Queue, full: int) -> None:
        """Where more is to come: until so many are ready, or `batch_seconds` are over."""
        deadline = time.monotonic() + self._queue_settings.batch_seconds
        while (
            (left_s := deadline - time.monotonic()) > 0
            and self._job.more()
            and queue.depth().ready < full
            and not self._job.stop.wait(min(left_s, FILL_POLL_S))
        ):
            pass

    def _finished(self, backends: Backends) -> bool:
        """Whether there is nothing to wait for; waits a little where there is."""
        # Asked before the depth: what comes in between is then seen.
        more, busy = self._job.more(), self._shared.busy
        depth = backends.queue.depth()
        if depth.messages == 0 and not more:
            return True
        if busy or self._shared.busy:
            self._job.stop.wait(SIBLING_POLL_S)
            return False
        if depth.ready:
            return False
        if depth.messages and not self._job.wait:
            with self._shared.lock:
                self._shared.report.left = depth.messages
            return True
        self._idle += 1
        if depth.messages and self._idle >= TOLD_AFTER:
            due_at = backends.queue.next_due_at()
            wait_s = max(0, (due_at or 0) - self._job.clock()) / 1000
            self._job.watcher.idle(_waiting_for(depth.delayed, depth.leased, wait_s))
        self._job.stop.wait(IDLE_POLL_S)
        return False

    def _settle(self, backends: Backends, messages: Sequence[Message]) -> None:
        """Stores what the messages hold, or says why not. The one place that acts on its errors."""
        began = time.perf_counter()
        try:
            report = settle(backends, self._job.runs, messages, self._job.clock())
            self._tell(report, began)
        except (LeaseLost, Poison, StorageFailed) as error:
            if len(messages) > 1:
                # Halve until the guilty one is alone and cannot harm its neighbours.
                half = len(messages) // 2
                self._settle(backends, messages[:half])
                self._settle(backends, messages[half:])
            elif isinstance(error, Poison):
                self._tell(self._bury(backends, messages[0], error, began), began, error)
            elif isinstance(error, StorageFailed):
                self._tell(self._retry(backends, messages[0], error, began), began, error)
            else:
                logger.warning("%s; whoever holds it now stores it", error)
        except Transient as error:  # nobody's guilt: the store is away
            total = ConsumeReport()
            for message in messages:
                add(total, self._retry(backends, message, error, began))
            self._tell(total, began, error)

    def _bury(
        self, backends: Backends, message: Message, error: HistqError, began: float
    ) -> ConsumeReport:
        try:
            with backends.transaction():
                backends.queue.bury(message, Reason.PERMANENT, str(error))
                self._note_dead(backends.store, message, began)
        except LeaseLost as lost:
            logger.warning("%s; whoever holds it now buries it", lost)
            return ConsumeReport()
        points = message.points
        return ConsumeReport(messages=1, points=points, dead=points)

    def _retry(
        self, backends: Backends, message: Message, error: HistqError, began: float
    ) -> ConsumeReport:
        try:
            with backends.transaction():
                comes_back = backends.queue.retry(message, str(error))
                if not comes_back:
                    self._note_dead(backends.store, message, began)
        except LeaseLost as lost:
            logger.warning("%s; whoever holds it now stores it", lost)
            return ConsumeReport()
        points = message.points
        retried, dead = (points, 0) if comes_back else (0, points)
        return ConsumeReport(messages=1, points=points, retried=retried, dead=dead)

    def _note_dead(self, store: Store, message: Message, began: float) -> None:
        """In the ledger, and as a batch of its own: the rate of failures is made of these."""
        store.record(message.series, [Span(*message.window, State.DEAD)])
        elapsed_ms = (time.perf_counter() - began) * 1000
        dead = Batch(
            message.series.source,
            messages=1,
            points=message.points,
            inserted=0,
            duplicates=0,
            revised=0,
            dead=message.points,
            elapsed_ms=elapsed_ms,
        )
        store.log_batch(self._job.runs.begin(store), dead)

    def _tell(self, report: ConsumeReport, began: float, error: HistqError | None = None) -> None:
        """Counts a batch and logs it: one line, however it went."""
        if not report.messages:
            return
        with self._shared.lock:
            add(self._shared.report, report)
        self._job.watcher.stored(report)
        log_batch(self._queue_settings.url, report, (time.perf_counter() - began) * 1000, error)


def _full(messages: Sequence[Message], settings: QueueSettings) -> int:
    """How many messages of their size fill a batch."""
    size = max(1, *(message.points for message in messages))
    return min(settings.batch_size, max(1, settings.batch_points // size))


def _waiting_for(delayed: int, leased: int, wait_s: float) -> str:
    parts = [
        f"{delayed} delayed" if delayed else "",
        f"{leased} leased elsewhere" if leased else "",
    ]
    what = ", ".join(filter(None, parts))
    return f"waiting for messages: {what}; the next comes back in {wait_s:.0f} s at the latest"
