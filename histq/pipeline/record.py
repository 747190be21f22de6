"""What a provider's answer, or its failure, changes in the queue and in the ledger."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from histq.client import Answer
from histq.errors import DatabaseMissing, HistqError, Misshapen, QueueFull
from histq.host import Clock
from histq.ledger import ACCEPTED, answered, unheld
from histq.model import WIDTH, Draft, Series, Span, State, Window
from histq.page import Flat, flatten, pack, timestamps
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.letters import body_letter
from histq.pipeline.planning import BYTES_A_POINT, SeriesPlan, confirm_after_ms
from histq.pipeline.runs import RunLog
from histq.pipeline.targets import Target
from histq.place import refuse_full
from histq.plan import Wish
from histq.stop import Stop

logger = logging.getLogger(__name__)

FULL_QUEUE_POLL_S: Final = 0.2

MESSAGE_POINTS: Final = 5_000
"""Candles of a message; what holds more, such as an archive's file, becomes several."""


class Watcher(Protocol):
    """Is told what happens, by several threads at once."""

    def planned(self, series: Series, slots: int) -> None:
        """So many more slots of the series are to be asked for than was said before, or fewer."""

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


class Kept(NamedTuple):
    """What an answer added to the queue."""

    messages: int
    points: int


class Recorder:
    """One source's hand on the database; belongs to one thread."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._begun: set[Series] = set()
        self._backends: Backends | None = None

    def spans(self, series: Series) -> list[Span]:
        """The ledger of the series; empty where there is no database yet."""
        if self._backends is None:
            try:
                self._backends = self._job.opener.open(create=False)
            except DatabaseMissing:
                return []  # made with the first page, so that a mistyped symbol makes none
        return self._backends.store.spans(series)

    def keep(self, plan: SeriesPlan, answer: Answer, asked_until: int) -> Kept:
        """Queues the page and says so in the ledger; what is new in the queue.

        What was asked for past the answer's window is not closed yet. Raises QueueFull, unless the
        job is patient, and DiskFull before the disk is.
        """
        series, window = plan.target.series, answer.window
        flat = flatten(answer.candles)
        times = timestamps(flat)
        news = self._news(plan, answer, times, asked_until)
        self._await_room(len(times))
        backends = self._open()
        drafts = _drafts(plan.target, answer, flat)
        with backends.transaction():
            # The page first: a page that the ledger knows nothing of is only asked for again.
            with backends.queue.transaction():
                new = [draft for draft in drafts if backends.queue.put([draft])]
                backends.queue.supersede(series, window)
            if new or not times:
                with backends.store.transaction():
                    self._begin(plan)
                    backends.store.record(series, unheld(news, plan.before))
            else:
                logger.warning("%s %s waits in the queue already; consume it first", series, window)
        return Kept(len(new), sum(draft.points for draft in new))

    def _news(
        self, plan: SeriesPlan, answer: Answer, times: Sequence[int], asked_until: int
    ) -> list[Span]:
        now = self._job.clock()
        apart_ms = confirm_after_ms(plan.target, self._job.opener.settings)
        interval, window = plan.target.interval, answer.window
        news = [Span(max(window), asked_until, State.OPEN, asked_at=now)]
        if window.start < window.end:
            news += answered(window, times, interval, plan.before, now, apart_ms, answer.via)
        return news

    def unlisted(self, plan: SeriesPlan, window: Window) -> None:
        """Notes that the provider's first candle comes after the window."""
        backends = self._open()
        span = Span(*window, State.UNLISTED, ACCEPTED, self._job.clock())
        with backends.store.transaction():
            backends.store.record(plan.target.series, unheld([span], plan.before))

    def fail(self, plan: SeriesPlan, window: Window, error: HistqError) -> None:
        """Notes the window as failed: the next run asks again. A body without candles is kept."""
        series, now = plan.target.series, self._job.clock()
        backends = self._open()
        with backends.transaction():
            if isinstance(error, Misshapen):
                letter = body_letter(series, window, error, now)
                backends.queue.keep([letter])
            with backends.store.transaction():
                self._begin(plan)
                failed = Span(*window, State.FAILED, asked_at=now, reason=str(error))
                backends.store.record(series, unheld([failed], plan.before))

    def close(self) -> None:
        if self._backends is not None:
            self._backends.close()

    def _begin(self, plan: SeriesPlan) -> None:
        """Notes in the ledger what this run is about to ask, so that a later one can finish it."""
        series = plan.target.series
        if series not in self._begun and not self._job.wish.refetch:
            wanted = [Span(*piece.window, State.WANTED) for piece in plan.pieces]
            self._open().store.record(series, wanted)
        self._begun.add(series)

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
                    f"the queue holds {waiting:,} points, its max_depth is {most:,};"
                    " run histq consume, then fetch again"
                )
            self._job.watcher.waiting(f"the queue is full ({waiting:,} points)")
            self._job.stop.sleep(FULL_QUEUE_POLL_S)
        if database := self._open().store.database:
            # Whatever is queued must still fit into the table: a queue that cannot be drained
            # would be no better than a full disk.
            least_bytes = self._job.opener.settings.database.min_free_bytes
            refuse_full(database.path, least_bytes, (waiting + points) * BYTES_A_POINT)


def _drafts(target: Target, answer: Answer, flat: Flat) -> list[Draft]:
    """The candles in messages whose windows fill the answer's."""
    drafts = []
    start, step = answer.window.start, MESSAGE_POINTS * WIDTH
    for i in range(0, len(flat), step):
        part, following = flat[i : i + step], timestamps(flat[i + step : i + step + WIDTH])
        end = answer.window.end
        if following:  # not before the last candle, even where two share a slot of the grid
            end = max(target.interval.floor(following[0]), timestamps(part)[-1] + 1)
        window = Window(start, end)
        drafts.append(Draft(target.series, window, len(part) // WIDTH, pack(part), via=answer.via))
        start = end
    return drafts
