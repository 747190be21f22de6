"""Brings what files hold into the table, by the queue and its checks, and says how both compare.

Pages are compared with the table, put on the queue and stored in turn, so that memory stays flat
and whatever a file says twice meets what it said first.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from histq.errors import HistqError
from histq.host import Clock, wall_clock
from histq.importing import Page
from histq.ledger import covered
from histq.locks import NamedLocks
from histq.model import Candle, Draft, Interval, Series, Span, State, Window
from histq.page import Number, changed, flatten, pack, rows, screen, timestamps
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.consume import ConsumeJob, ConsumeWatcher, consume
from histq.pipeline.holding import wait_for
from histq.pipeline.import_files import Asked, Pages, reader
from histq.pipeline.reports import ConsumeReport, add
from histq.pipeline.runs import RunLog
from histq.place import series_locks
from histq.stop import Stop

PAGES_A_TURN: Final = 100
"""Pages that wait in the queue before they are stored; 100,000 candles at most."""

SHOWN_DIFFERENCES: Final = 20
"""Of a series, in the report; all of them are in `revisions`."""

INCOMPLETE: Final = 3


class ImportJob(msgspec.Struct, frozen=True):
    """One import, and what it works with."""

    opener: Opener
    files: Sequence[Path]
    asked: Asked
    runs: RunLog
    stop: Stop
    watcher: ConsumeWatcher
    dry_run: bool = False
    clock: Clock = wall_clock


class Difference(msgspec.Struct, frozen=True):
    """A candle of which table and file say different values, by field as (held, file)."""

    timestamp: int
    values: dict[str, tuple[Number, Number]]


class SeriesImport(msgspec.Struct):
    """rows = inserted + equal + different + buried + not_closed + left.

    `left` may wait in the queue still, because the import was stopped. `first` and `last` are open
    times in the files.
    """

    source: str
    symbol: str
    interval: str
    rows: int = 0
    inserted: int = 0
    equal: int = 0
    different: int = 0
    buried: int = 0
    not_closed: int = 0
    left: int = 0
    first: int | None = None
    last: int | None = None
    differences: list[Difference] = []


class FileFailure(msgspec.Struct, frozen=True):
    """A file that could not be read to its end; what came before is imported."""

    file: str
    error: str


class ImportReport(msgspec.Struct):
    """`consume` is what became of all that was in the queue, whoever put it there."""

    files: int
    dry_run: bool
    series: list[SeriesImport]
    failures: list[FileFailure]
    consume: ConsumeReport
    elapsed_ms: int = 0

    @property
    def exit_code(self) -> int:
        lost = any(one.buried or one.left for one in self.series)
        return INCOMPLETE if lost or self.failures else self.consume.exit_code


def import_files(job: ImportJob) -> ImportReport:
    """Every file in turn. Raises Usage, before anything is changed, for one that is no such file;
    DatabaseMissing, and what consuming raises.
    """
    began = time.monotonic()
    with job.opener.open(create=False) as backends:
        readers = [reader(path, job.asked, job.opener.path) for path in job.files]
        with series_locks(job.opener.path) as locks:
            work = _Import(job, backends, locks)
            work.clear()
            for path, read in zip(job.files, readers, strict=True):
                work.take(path, read())
            work.finish()
    consumed = work.consumed
    consumed.points_per_s = round(consumed.points / max(consumed.elapsed_ms, 1) * 1000)
    report = ImportReport(len(job.files), job.dry_run, work.series(), work.failures, consumed)
    report.elapsed_ms = round((time.monotonic() - began) * 1000)
    return report


class _Import:
    """The pages of one import on their way. `failures` and `consumed` fill as it goes."""

    def __init__(self, job: ImportJob, backends: Backends, locks: NamedLocks) -> None:
        self._job = job
        self._backends = backends
        self._locks = locks
        self._held: Series | None = None
        self._series: dict[Series, SeriesImport] = {}
        self._waiting: list[SeriesImport] = []
        self._points = 0  # of the pages that wait
        self._reached = 0  # how far they reach
        self.failures: list[FileFailure] = []
        self.consumed = ConsumeReport()

    def series(self) -> list[SeriesImport]:
        return [self._series[series] for series in sorted(self._series)]

    def clear(self) -> None:
        """Stores what others have queued: the files come after it."""
        if not self._job.dry_run and self._backends.queue.depth().messages:
            self._store()

    def take(self, path: Path, found: Pages) -> None:
        """Imports the file, as far as it can be read and nobody says stop."""
        while not self._job.stop and (page := self._next(path, found)):
            self._page(page)

    def _next(self, path: Path, found: Pages) -> Page | None:
        try:
            return next(found, None)
        except HistqError as error:
            self.failures.append(FileFailure(str(path), str(error)))
            return None

    def _page(self, page: Page) -> None:
        if page.series != self._held:
            self.finish()
            self._hold(page.series)
        if self._must_wait(page):
            self._store()
        if self._job.stop:
            return
        while True:
            closed, part = self._compare(page)
            if self._job.dry_run or not closed:
                _merge(self._of(page.series), part)
                return
            if self._put(closed):
                break
            if self._job.stop:
                return
            self._store()  # a page of the same window waits
        self._waiting.append(part)
        self._points += len(closed.candles)
        self._reached = max(self._reached, closed.window.end)

    def _must_wait(self, page: Page) -> bool:
        """Whether what is queued has to be stored first: it is too much, or overlaps the page,
        which is to be compared with what the files said before.
        """
        settings = self._job.opener.settings.queue
        if not self._waiting:
            return False
        full = self._points + len(page.candles) > settings.max_depth
        return full or len(self._waiting) >= PAGES_A_TURN or page.window.start < self._reached

    def _compare(self, page: Page) -> tuple[Page | None, SeriesImport]:
        """The page without candles that are still open, and how it compares with the table."""
        now, interval = self._job.clock(), Interval(page.series.interval)
        closed = [candle for candle in page.candles if interval.closes_at(candle) < now]
        part = SeriesImport(*page.series, rows=len(page.candles))
        part.not_closed = len(page.candles) - len(closed)
        part.first, part.last = page.candles[0].timestamp, page.candles[-1].timestamp
        if not closed:
            return None, part
        good, faults = screen(flatten(closed), now)
        part.buried = len(faults)
        end = interval.next(closed[-1].timestamp)
        times = set(timestamps(good))
        stored = self._backends.store.candles(page.series, Window(page.window.start, end))
        held = {candle.timestamp: candle for candle in stored if candle.timestamp in times}
        for candle in rows(good):
            _count(part, held.get(candle.timestamp), candle)
        return Page(page.series, page.window._replace(end=end), closed), part

    def _put(self, page: Page) -> bool:
        """Queues the page and says so in the ledger; False where that window waits already.

        A file is no reply: what it does not hold says nothing of the provider.
        """
        backends, flat = self._backends, flatten(page.candles)
        self._job.runs.begin(backends.store)
        runs = covered(page.window, timestamps(flat), Interval(page.series.interval))
        draft = Draft(page.series, page.window, len(page.candles), pack(flat))
        with backends.transaction():
            with backends.queue.transaction():
                put = backends.queue.put([draft])
            if put:
                with backends.store.transaction():
                    spans = [Span(*run, State.QUEUED) for run in runs]
                    backends.store.record(page.series, spans)
        return put > 0

    def _store(self) -> None:
        """Consumes what is queued; what is told of the waiting pages is true from then on."""
        job = self._job
        if not job.stop:
            workers = job.opener.settings.consume.concurrency
            turn = ConsumeJob(job.opener, workers, job.runs, job.stop, job.watcher)
            add(self.consumed, consume(turn))
        for part in self._waiting:
            series = Series(part.source, part.symbol, part.interval)
            _merge(self._of(series), _left(part) if job.stop else part)
        self._waiting.clear()
        self._points = self._reached = 0

    def _of(self, series: Series) -> SeriesImport:
        return self._series.setdefault(series, SeriesImport(*series))

    def _hold(self, series: Series) -> None:
        """Waits until no other process fetches or imports this series. Raises Locked."""
        wait_for(series, self._locks, self._job.stop, self._job.watcher.idle)
        self._held = series

    def finish(self) -> None:
        """Stores what waits, and lets others at the series. One at a time is held, so that no two
        processes wait for each other's.
        """
        if self._waiting:
            self._store()
        if self._held is not None:
            self._locks.release(str(self._held))
            self._held = None


def _count(part: SeriesImport, held: Candle | None, candle: Candle) -> None:
    if held is None:
        part.inserted += 1
    elif held != candle and (values := changed(held, candle)):
        part.different += 1
        if len(part.differences) < SHOWN_DIFFERENCES:
            part.differences.append(Difference(candle.timestamp, values))
    else:
        part.equal += 1


def _left(part: SeriesImport) -> SeriesImport:
    """The part after a stop, when nobody knows how much of it is stored."""
    left = part.rows - part.not_closed
    return msgspec.structs.replace(
        part, inserted=0, equal=0, different=0, buried=0, left=left, differences=[]
    )


def _merge(total: SeriesImport, part: SeriesImport) -> None:
    for name in ("rows", "inserted", "equal", "different", "buried", "not_closed", "left"):
        setattr(total, name, getattr(total, name) + getattr(part, name))
    total.first = min(time for time in (total.first, part.first) if time is not None)
    total.last = max(time for time in (total.last, part.last) if time is not None)
    total.differences += part.differences[: SHOWN_DIFFERENCES - len(total.differences)]
