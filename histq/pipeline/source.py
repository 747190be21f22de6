"""One source's part of a fetch: plan, ask ahead, commit in order, and act on what goes wrong.

It asks for up to `concurrency` pages ahead and commits them in the order of asking, each page in a
transaction of its own together with its spans: a kill costs at most the pages in flight.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from histq.client import Answer, Client, open_client
from histq.errors import (
    Credentials,
    DatabaseMissing,
    HistqError,
    Locked,
    Misshapen,
    QueueFull,
    Refused,
    Stopped,
    Throttled,
    Transient,
    UnknownMarket,
)
from histq.host import Clock
from histq.ledger import answered
from histq.locks import NamedLocks
from histq.model import Draft, Series, Span, State, Window
from histq.page import flatten, pack, timestamps
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.letters import body_letter
from histq.pipeline.planning import SeriesPlan, plan_series
from histq.pipeline.reports import Failure, SourceReport
from histq.pipeline.runs import RunLog
from histq.pipeline.targets import Target
from histq.plan import Wish
from histq.providers import Ask
from histq.settings import plan_of
from histq.stop import Stop

logger = logging.getLogger(__name__)

GIVE_UP_AFTER: Final = 3
"""Windows in a row that failed after all their retries; the source is then left for this run."""

SERIES_LOCK_TIMEOUT_S: Final = 600.0
FULL_QUEUE_POLL_S: Final = 0.2


class Watcher(Protocol):
    """Is told what happens, by several threads at once."""

    def planned(self, series: Series, slots: int) -> None:
        """So many more slots of the series are to be asked for."""

    def answered(self, series: Series, slots: int, reached: int) -> None:
        """So many of them are dealt with; the series has come to that instant."""

    def retrying(self, source: str, why: str, wait_s: float) -> None: ...

    def failed(self, source: str, why: str) -> None: ...

    def waiting(self, why: str) -> None: ...


class Job(Protocol):
    """What the threads of a fetch share."""

    @property
    def opener(self) -> Opener: ...
    @property
    def wish(self) -> Wish: ...
    @property
    def runs(self) -> RunLog: ...
    @property
    def stop(self) -> Stop: ...
    @property
    def watcher(self) -> Watcher: ...
    @property
    def state_folder(self) -> Path: ...
    @property
    def patient(self) -> bool: ...
    @property
    def clock(self) -> Clock: ...


class _Pending(NamedTuple):
    plan: SeriesPlan
    window: Window
    answers: "Future[list[Answer]]"


class SourceWork:
    """`run` is a thread's; afterwards `report`, `failures` and `fatal` say how it went."""

    def __init__(self, job: Job, targets: Sequence[Target], locks: NamedLocks) -> None:
        self._job = job
        self._targets = targets
        self._locks = locks
        self._settings = targets[0].settings
        self.name = targets[0].provider.name
        self.report = SourceReport(self.name)
        self.failures: list[Failure] = []
        self.fatal: BaseException | None = None
        self._ended = False
        self._failed_in_a_row = 0
        self._pending: deque[_Pending] = deque()
        self._held: set[Series] = set()
        self._begun: set[Series] = set()
        self._unknown: set[Series] = set()
        self._backends: Backends | None = None

    def run(self) -> None:
        began = time.monotonic()
        client = self._client()
        try:
            with ThreadPoolExecutor(self._settings.concurrency, f"{self.name}-http") as pool:
                self._fetch_all(client, pool)
        except (Stopped, QueueFull) as error:
            if isinstance(error, QueueFull):
                self._note(error)
        except BaseException as error:  # the top of a thread: carried to the one that joins it
            self.fatal = error
            self._job.stop.set()
        finally:
            client.close()
            for series in self._held:
                self._locks.release(str(series))
            if self._backends is not None:
                self._backends.close()
            self.report.requests = client.requests
            self.report.elapsed_ms = round((time.monotonic() - began) * 1000)

    def _client(self) -> Client:
        return open_client(
            self._targets[0].provider,
            self._settings,
            self._job.state_folder,
            stop=self._job.stop,
            clock=self._job.clock,
            on_retry=lambda why, wait_s: self._job.watcher.retrying(self.name, why, wait_s),
        )

    def _fetch_all(self, client: Client, pool: ThreadPoolExecutor) -> None:
        for target in self._targets:
            if self._ended or self._job.stop:
                break
            self._hold(target.series)
            plan = self._plan(target)
            if not plan.windows:
                self.report.succeeded = True
            for window in plan.windows:
                self._drain(self._settings.concurrency - 1)
                if self._ended or self._job.stop or target.series in self._unknown:
                    break
                answers = pool.submit(client.ask, self._ask(target, window))
                self._pending.append(_Pending(plan, window, answers))
        self._drain(0)

    def _ask(self, target: Target, window: Window) -> Ask:
        plan = plan_of(self._settings)
        now = self._job.clock()
        return Ask(target.series, target.market, target.interval, window, plan, now)

    def _hold(self, series: Series) -> None:
        """Waits until no other process fetches this series; what it got is then known."""
        if not self._locks.try_acquire(str(series)):
            self._drain(0)
            self._job.watcher.waiting(f"another histq fetches {series}")
            deadline = time.monotonic() + SERIES_LOCK_TIMEOUT_S
            while not self._locks.try_acquire(str(series)):
                self._job.stop.sleep(0.1)
                if time.monotonic() > deadline:
                    raise Locked(f"{series}: another histq has been fetching it for too long")
        self._held.add(series)

    def _plan(self, target: Target) -> SeriesPlan:
        before = self._spans(target.series)
        settings = self._job.opener.settings
        plan = plan_series(target, self._job.wish, before, self._job.clock(), settings)
        self._job.watcher.planned(target.series, plan.slots)
        return plan

    @property
    def _confirm_after_ms(self) -> int:
        return round(self._job.opener.settings.gaps.confirm_after_s * 1000)

    def _spans(self, series: Series) -> list[Span]:
        if self._backends is None:
            try:
                self._backends = self._job.opener.open(create=False)
            except DatabaseMissing:
                return []  # made with the first page, so that a mistyped symbol makes none
        return self._backends.store.spans(series)

    def _drain(self, most: int) -> None:
        """Commits the oldest pages asked for until at most so many are left."""
        while len(self._pending) > most:
            pending = self._pending.popleft()
            try:
                answers = pending.answers.result()
            except HistqError as error:
                self._act_on(error, pending)
            else:
                self._failed_in_a_row = 0
                self.report.succeeded = True
                for answer in answers:
                    self._commit(pending.plan, answer)
            series = pending.plan.target.series
            slots = pending.plan.target.interval.slots(*pending.window)
            self._job.watcher.answered(series, slots, pending.window.end)

    def _commit(self, plan: SeriesPlan, answer: Answer) -> None:
        series, window = plan.target.series, answer.window
        if window.start >= window.end:
            return  # nothing in it is closed yet
        flat = flatten(answer.candles)
        times = timestamps(flat)
        now = self._job.clock()
        spans = answered(
            window, times, plan.target.interval, plan.before, now, self._confirm_after_ms
        )
        self._await_room(len(times))
        backends = self._open()
        with backends.transaction():
            # The page first: a page that the ledger knows nothing of is only asked for again.
            with backends.queue.transaction():
                drafts = [Draft(series, window, len(times), pack(flat))] if times else []
                put = backends.queue.put(drafts)
                backends.queue.supersede(series, window)
            with backends.store.transaction():
                self._begin(plan)
                backends.store.record(series, spans)
        self.report.queued_messages += put
        self.report.queued_points += len(times) * put
        logger.debug("%s: queued points=%d window=%s", series, len(times), window)

    def _begin(self, plan: SeriesPlan) -> None:
        """Notes in the ledger what this run is about to ask, so that a later one can finish it."""
        series = plan.target.series
        if series not in self._begun:
            self._begun.add(series)
            if not self._job.wish.refetch:
                wanted_spans = [Span(*window, State.WANTED) for window in plan.windows]
                self._open().store.record(series, wanted_spans)

    def _open(self) -> Backends:
        """The queue and the store, made when absent; the run has then begun to change something."""
        if self._backends is None:
            self._backends = self._job.opener.open(create=True)
        self._job.runs.begin(self._backends.store)
        return self._backends

    def _await_room(self, points: int) -> None:
        most = self._job.opener.settings.queue.max_depth
        while (waiting := self._open().queue.depth().points) and waiting + points > most:
            if not self._job.patient:
                raise QueueFull(
                    f"{self.name}: the queue holds {waiting:,} points, its max_depth is {most:,};"
                    " run histq consume, then fetch again"
                )
            self._job.watcher.waiting(f"the queue is full ({waiting:,} points)")
            self._job.stop.sleep(FULL_QUEUE_POLL_S)

    def _act_on(self, error: HistqError, pending: _Pending) -> None:
        """The one place that decides what an error ends: window, series or source."""
        series = pending.plan.target.series
        match error:
            case Stopped():
                return
            case UnknownMarket():
                if series not in self._unknown:
                    self._unknown.add(series)
                    self._note(error, series)
                return
            case Credentials() | Refused():
                self._end(error, series)
                return
            case Throttled():
                self._fail(error, pending, told=not self._ended)
                self._ended = True
                return
            case _:
                self._fail(error, pending, told=True)
        if isinstance(error, Transient):
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= GIVE_UP_AFTER and not self._ended:
                self._end(
                    Transient(
                        f"{self.name}: {GIVE_UP_AFTER} windows in a row failed; the rest is left"
                        " for the next histq fetch"
                    )
                )

    def _end(self, error: HistqError, series: Series | None = None) -> None:
        """No more requests to this source in this run."""
        if not self._ended:
            self._ended = True
            self._note(error, series)

    def _fail(self, error: HistqError, pending: _Pending, *, told: bool) -> None:
        """Notes a window as failed: the next run asks for it again."""
        plan, window = pending.plan, pending.window
        series, now = plan.target.series, self._job.clock()
        backends = self._open()
        with backends.transaction():
            if isinstance(error, Misshapen):
                letter = body_letter(series, window, error.body, str(error), now)
                backends.queue.keep([letter])
            with backends.store.transaction():
                self._begin(plan)
                failed = Span(*window, State.FAILED, asked_at=now, reason=str(error))
                backends.store.record(series, [failed])
        self._note(error, series, window, told=told)

    def _note(
        self,
        error: HistqError,
        series: Series | None = None,
        window: Window | None = None,
        *,
        told: bool = True,
    ) -> None:
        start, end = window or (None, None)
        name = None if series is None else str(series)
        self.failures.append(Failure(self.name, str(error), error.exit_code, name, start, end))
        if told:
            self._job.watcher.failed(self.name, str(error))
