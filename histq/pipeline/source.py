"""One source's part of a fetch: plan, ask ahead, commit in order, and act on what goes wrong.

It asks for up to `concurrency` pages ahead and commits them in the order of asking, each page in a
transaction of its own together with its spans: a kill costs at most the pages in flight. What the
source's archive cannot give, the source itself is asked for.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple, TypeVar

from histq.client import Answer
from histq.errors import (
    Config,
    Credentials,
    HistqError,
    NotPublished,
    Permanent,
    QueueFull,
    Refused,
    Stopped,
    Throttled,
    Transient,
    UnknownMarket,
)
from histq.locks import SharedLocks
from histq.model import Series, Window
from histq.pipeline.asking import Asker
from histq.pipeline.holding import wait_for
from histq.pipeline.lines import SeriesLines, log_source
from histq.pipeline.planning import Piece, SeriesPlan, pages_of, plan_series
from histq.pipeline.record import Job, Recorder
from histq.pipeline.reports import Failure, SourceReport
from histq.pipeline.targets import Target
from histq.providers import Dated

GIVE_UP_WINDOWS: Final = 3
"""Windows of a series in a row that failed after all their retries; it is left for this run."""

PROBE_PIECES: Final = 10
"""Requests for what lies before anything held, from which on the listing is asked for first."""

GIVE_UP_SERIES: Final = 5
"""Series in a row that failed so, with nothing between that came; the source is then left."""

STOP_GRACE_S: Final = 2.0
"""How long an answer in flight is waited for after a stop."""


T = TypeVar("T")


class _Pending(NamedTuple):
    plan: SeriesPlan
    piece: Piece
    answers: "Future[list[Answer]]"

    @property
    def window(self) -> Window:
        return self.piece.window


class SourceWork:
    """`run` is a thread's; afterwards `report`, `failures` and `fatal` say how it went."""

    def __init__(self, job: Job, targets: Sequence[Target], locks: SharedLocks) -> None:
        self._job = job
        self._targets = targets
        self._locks = locks
        self._source = targets[0].provider.name
        self._shelf = targets[0].shelf
        self._archive = self._shelf.archive.name if self._shelf is not None else ""
        self.name = self._archive if self._only_files else self._source
        self.report = SourceReport(self.name)
        self._archive_report = SourceReport(self._archive)
        self.failures: list[Failure] = []
        self.fatal: BaseException | None = None
        self._recorder = Recorder(job)
        self._lines = SeriesLines()
        self._pending: deque[_Pending] = deque()
        self._ended = False
        self._left: set[Series] = set()
        self._listed_at: dict[Series, int] = {}
        self._failed_in_a_row: Counter[Series] = Counter()
        self._failed_files = 0  # in a row, for reasons that lie with the archive

    @property
    def _only_files(self) -> bool:
        return self._shelf is not None and self._shelf.only

    @property
    def reports(self) -> list[SourceReport]:
        """The source's, and its archive's where it was asked."""
        asked = self._archive_report.requests and not self._only_files
        return [self.report, self._archive_report] if asked else [self.report]

    def run(self) -> None:
        began = time.monotonic()
        asker = Asker(self._job)
        try:
            with asker:
                self._fetch_all(asker)
        except Stopped:
            pass
        except (Config, QueueFull) as error:
            self._note(error)
        except BaseException as error:  # the top of a thread: carried to the one that joins it
            self.fatal = error
            self._job.stop.set()
        finally:
            self.report.requests = asker.requests(self.name)
            self._archive_report.requests = asker.requests(self._archive)
            self._locks.release_all()
            self._recorder.close()
            elapsed_ms = round((time.monotonic() - began) * 1000)
            self.report.elapsed_ms = self._archive_report.elapsed_ms = elapsed_ms
            self._lines.done()
            for report in self.reports:
                log_source(report, len(self.failures) if report is self.report else 0)

    def _fetch_all(self, asker: Asker) -> None:
        # Planned once for the figure that progress counts up to, and again, one by one, when the
        # series is ours: another process may have fetched it by then.
        if self._job.wish.listing:
            self._find_listings(asker)
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
            self._hold(asker, target.series)
            plan = self._without_unlisted(asker, self._plan(target))
            self._job.watcher.planned(target.series, plan.slots - foreseen[target.series])
            if not plan.pieces:
                self.report.succeeded = True
            for piece in self._pieces(plan):
                self._drain(asker, self._concurrency(target, piece) - 1)
                if self._ended or self._job.stop or target.series in self._left:
                    break
                self._pending.append(_Pending(plan, piece, asker.submit(target, piece)))
            self._lines.done(pending.plan.target.series for pending in self._pending)
        self._drain(asker, 0)

    def _pieces(self, plan: SeriesPlan) -> Iterator[Piece]:
        """Those of the plan; pages instead of files once the archive has been given up."""
        for piece in plan.pieces:
            if piece.archived and not self._only_files and self._failed_files >= GIVE_UP_WINDOWS:
                yield from map(Piece, pages_of(plan.target, [piece.window]))
            else:
                yield piece

    def _concurrency(self, target: Target, piece: Piece) -> int:
        """How many may be under way; a file takes fifty times the memory of a page."""
        if piece.archived and target.shelf is not None:
            return target.shelf.settings.concurrency
        return target.settings.concurrency

    def _without_unlisted(self, asker: Asker, plan: SeriesPlan) -> SeriesPlan:
        """The plan, or a shorter one where most of it may lie before the market was listed.

        Then one request for the first candle of all spares many that come back empty.
        """
        target, provider = plan.target, plan.target.provider
        long = plan.unknown_before >= PROBE_PIECES or any(piece.archived for piece in plan.pieces)
        if not long or self._job.wish.listing or self._only_files:
            return plan
        if not isinstance(provider, Dated) or not plan.unknown_before:
            return plan
        try:
            first = self._awaited(asker.first_open(target, provider, once=True))
        except (Transient, Permanent, UnknownMarket):
            return plan  # the pages will say what is wrong
        start = plan.pieces[0].window.start
        if first is None or target.interval.floor(first) <= start:
            return plan
        self._recorder.unlisted(plan, Window(start, target.interval.floor(first)))
        return self._plan(target)

    def _find_listings(self, asker: Asker) -> None:
        """Asks for the first candle of every series; leaves those for which nobody can say."""
        for target in self._targets:
            provider = target.provider
            assert isinstance(provider, Dated), "the selection holds no others"
            try:
                first = self._awaited(asker.first_open(target, provider))
            except (UnknownMarket, Transient, Permanent) as error:
                self._left.add(target.series)
                self._note(error, target.series)
            else:
                # A market without a candle yet: from now on.
                self._listed_at[target.series] = self._job.clock() if first is None else first

    def _hold(self, asker: Asker, series: Series) -> None:
        """Waits until no other process fetches this series; what it got is then known.

        Series come in one order in every process, so that no two wait for each other.
        """
        if self._locks.try_acquire(str(series)):
            return
        self._drain(asker, 0)
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

    def _drain(self, asker: Asker, most: int) -> None:
        """Commits the oldest pages asked for until at most so many are left."""
        while len(self._pending) > most:
            pending = self._pending.popleft()
            series = pending.plan.target.series
            try:
                answers = self._awaited(pending.answers)
            except HistqError as error:
                if pending.piece.archived and not self._only_files and not self._job.stop:
                    self._ask_source_instead(asker, pending, error)
                    continue
                self._act_on(error, pending)
            else:
                self._keep(pending, answers)
            slots = pending.plan.target.interval.slots(*pending.window)
            self._job.watcher.answered(series, slots, pending.window.end)

    def _keep(self, pending: _Pending, answers: list[Answer]) -> None:
        self._failed_in_a_row.clear()
        self.report.succeeded = True
        report = self.report
        if pending.piece.archived and not self._only_files:
            self._failed_files, report = 0, self._archive_report
        for number, answer in enumerate(answers, 1):
            until = pending.window.end if number == len(answers) else answer.window.end
            kept = self._recorder.keep(pending.plan, answer, until)
            report.queued_points += kept.points
            report.queued_messages += kept.messages
            self._lines.kept(pending.plan.target.series, answer.window, kept)

    def _ask_source_instead(self, asker: Asker, pending: _Pending, error: HistqError) -> None:
        """The pages of a file that the archive does not give, next in turn."""
        if not isinstance(error, NotPublished):
            self._failed_files += 1
            self._job.watcher.waiting(f"{error}; asking {self._source} itself instead")
        target = pending.plan.target
        pieces = map(Piece, pages_of(target, [pending.window]))
        again = [_Pending(pending.plan, piece, asker.submit(target, piece)) for piece in pieces]
        self._pending.extendleft(reversed(again))

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
            raise self._job.stop.stopped("stopped while a request was under way") from None

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
        self._lines.failed(pending.plan.target.series)
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
