"""One source's part of a fetch: plan, ask ahead, commit in order, and act on what goes wrong.

It asks for up to `concurrency` pages ahead and commits them in the order of asking, each page in a
transaction of its own together with its spans: a kill costs at most the pages in flight.
"""

import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, NamedTuple, TypeVar

from histq.client import Answer, Client, open_client
from histq.errors import (
    Config,
    Credentials,
    HistqError,
    Permanent,
    QueueFull,
    Refused,
    Stopped,
    Throttled,
    Transient,
    UnknownMarket,
)
from histq.locks import NamedLocks
from histq.model import Series, Window
from histq.pipeline.ahead import Ahead
from histq.pipeline.holding import wait_for
from histq.pipeline.planning import SeriesPlan, plan_series
from histq.pipeline.record import Job, Recorder
from histq.pipeline.reports import Failure, SourceReport
from histq.pipeline.targets import Target
from histq.providers import Ask, Dated
from histq.settings import plan_of

GIVE_UP_WINDOWS: Final = 3
"""Windows of a series in a row that failed after all their retries; it is left for this run."""

GIVE_UP_SERIES: Final = 5
"""Series in a row that failed so, with nothing between that came; the source is then left."""

STOP_GRACE_S: Final = 2.0
"""How long an answer in flight is waited for after a stop."""


T = TypeVar("T")


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
        self._recorder = Recorder(job)
        self._pending: deque[_Pending] = deque()
        self._ended = False
        self._left: set[Series] = set()
        self._listed_at: dict[Series, int] = {}
        self._failed_in_a_row: Counter[Series] = Counter()

    def run(self) -> None:
        began = time.monotonic()
        client: Client | None = None
        try:
            client = self._client()
            with Ahead(self._settings.concurrency, f"{self.name}-http") as ahead:
                self._fetch_all(client, ahead)
        except Stopped:
            pass
        except (Config, QueueFull) as error:
            self._note(error)
        except BaseException as error:  # the top of a thread: carried to the one that joins it
            self.fatal = error
            self._job.stop.set()
        finally:
            if client is not None:
                self.report.requests = client.requests
                client.close()
            for target in self._targets:
                self._locks.release(str(target.series))
            self._recorder.close()
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

    def _fetch_all(self, client: Client, ahead: Ahead) -> None:
        # Planned once for the figure that progress counts up to, and again, one by one, when the
        # series is ours: another process may have fetched it by then.
        if self._job.wish.listing:
            self._find_listings(client, ahead)
        foreseen = {
            target.series: self._plan(target).slots
            for target in self._targets
            if target.series not in self._left
        }
        for series, slots in foreseen.items():
            self._job.watcher.planned(series, slots)
        for target in self._targets:
            if self._ended or self._job.stop:
                break
            if target.series in self._left:
                continue
            self._hold(target.series)
            plan = self._plan(target)
            self._job.watcher.planned(target.series, plan.slots - foreseen[target.series])
            if not plan.windows:
                self.report.succeeded = True
            for window in plan.windows:
                self._drain(self._settings.concurrency - 1)
                if self._ended or self._job.stop or target.series in self._left:
                    break
                answers = ahead.submit(partial(client.ask, self._ask(target, window)))
                self._pending.append(_Pending(plan, window, answers))
        self._drain(0)

    def _find_listings(self, client: Client, ahead: Ahead) -> None:
        """Asks for the first candle of every series; leaves those for which nobody can say."""
        now = self._job.clock()
        for target in self._targets:
            provider = target.provider
            assert isinstance(provider, Dated), "the selection holds no others"
            ask = self._ask(target, Window(now, now))
            try:
                first = self._awaited(ahead.submit(partial(client.first_open, ask, provider)))
            except (UnknownMarket, Transient, Permanent) as error:
                self._left.add(target.series)
                self._note(error, target.series)
            else:
                # A market without a candle yet: from now on.
                self._listed_at[target.series] = now if first is None else first

    def _ask(self, target: Target, window: Window) -> Ask:
        plan = plan_of(self._settings)
        now = self._job.clock()
        return Ask(target.series, target.market, target.interval, window, plan, now)

    def _hold(self, series: Series) -> None:
        """Waits until no other process fetches this series; what it got is then known.

        Series come in one order in every process, so that no two wait for each other.
        """
        if self._locks.try_acquire(str(series)):
            return
        self._drain(0)
        wait_for(series, self._locks, self._job.stop, self._job.watcher.waiting)

    def _plan(self, target: Target) -> SeriesPlan:
        before = self._recorder.spans(target.series)
        settings = self._job.opener.settings
        wish = self._job.wish
        if wish.listing:
            wish = wish._replace(start=self._listed_at[target.series])
        plan = plan_series(target, wish, before, self._job.clock(), settings)
        self.report.wanted = self.report.wanted or plan.wanted
        return plan

    def _drain(self, most: int) -> None:
        """Commits the oldest pages asked for until at most so many are left."""
        while len(self._pending) > most:
            pending = self._pending.popleft()
            series = pending.plan.target.series
            try:
                answers = self._awaited(pending.answers)
            except HistqError as error:
                self._act_on(error, pending)
            else:
                self._failed_in_a_row.clear()
                self.report.succeeded = True
                for answer in answers:
                    points = self._recorder.keep(pending.plan, answer)
                    self.report.queued_points += points
                    self.report.queued_messages += points > 0
            slots = pending.plan.target.interval.slots(*pending.window)
            self._job.watcher.answered(series, slots, pending.window.end)

    def _awaited(self, answers: "Future[T]") -> T:
        """The answers; after a stop only those that come soon. Raises what the client raised."""
        while not self._job.stop:
            try:
                return answers.result(timeout=0.1)
            except TimeoutError:
                continue
        try:
            return answers.result(timeout=STOP_GRACE_S)
        except TimeoutError:
            raise Stopped("stopped while a request was under way") from None

    def _act_on(self, error: HistqError, pending: _Pending) -> None:
        """The one place that decides what an error ends: window, series or source."""
        series = pending.plan.target.series
        match error:
            case Stopped():
                return
            case UnknownMarket():
                if series not in self._left:
                    self._left.add(series)
                    self._note(error, series)
            case Config() | Credentials() | Refused():
                self._end(error, series)
            case Throttled():
                self._fail(error, pending, told=not self._ended)
                self._ended = True
            case Transient():
                self._fail(error, pending)
                self._count(series)
            case _:
                self._fail(error, pending)

    def _count(self, series: Series) -> None:
        """Leaves a series, and then the source, that keeps failing: it may be down for long."""
        self._failed_in_a_row[series] += 1
        if self._failed_in_a_row[series] == GIVE_UP_WINDOWS:
            self._left.add(series)
            said = f"{series}: {GIVE_UP_WINDOWS} windows in a row failed"
            self._note(Transient(f"{said}; its rest is left for the next histq fetch"), series)
        if len(self._failed_in_a_row) == GIVE_UP_SERIES:
            said = f"{self.name}: {GIVE_UP_SERIES} series in a row failed"
            self._end(Transient(f"{said}; the rest is left for the next histq fetch"))

    def _end(self, error: HistqError, series: Series | None = None) -> None:
        """No more requests to this source in this run."""
        if not self._ended:
            self._ended = True
            self._note(error, series)

    def _fail(self, error: HistqError, pending: _Pending, *, told: bool = True) -> None:
        """Notes a window as failed: the next run asks for it again."""
        self._recorder.fail(pending.plan, pending.window, error)
        self._note(error, pending.plan.target.series, pending.window, told=told)

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
