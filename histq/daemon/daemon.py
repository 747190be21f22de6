"""The daemon's life: begin, watch, take new settings, end."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from histq.alerts.channels import open_channels
from histq.daemon.facts import Facts
from histq.daemon.jobs import Surroundings, row_of, scheduled
from histq.daemon.lookout import Lookout
from histq.daemon.memory import keep_little
from histq.daemon.page import Page, figures, refuse_address
from histq.daemon.schedule import refuse_wrong
from histq.daemon.systemd import Notifier
from histq.daemon.turns import Outcome, Turns
from histq.daemon.watcher import LogWatcher
from histq.daemon.work import Work
from histq.errors import Config, HistqError, Locked
from histq.host import Clock, wall_clock
from histq.locks import FairLock
from histq.pipeline.backends import Opener
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.runs import RunLog
from histq.place import beside, series_locks
from histq.settings import Settings
from histq.stop import Stop
from histq.web import Figure

logger = logging.getLogger(__name__)

TICK_S: Final = 0.5


class Daemon:
    """Runs until its stop is set. `load` reads the settings anew, `take` has what is not the
    daemon's, such as the log, go by them from now on, or raises Config. Raises Locked, Config.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        take: Callable[[Settings], None],
        opener: Opener,
        state_folder: Path,
        stop: Stop,
        notifier: Notifier,
        clock: Clock = wall_clock,
    ) -> None:
        self._load = load
        self._take = take
        self._opener = opener
        self._state_folder = state_folder
        self._stop = stop
        self._notifier = notifier
        self._clock = clock
        self._facts = Facts()
        self._hung_up = threading.Event()
        self._running: _Running | None = None

    def run(self) -> None:
        """All jobs on their schedules, and the consumer, until the stop."""
        keep_little()
        self._make_database()
        with series_locks(self._opener.path) as locks, contextlib.ExitStack() as held:
            held.callback(_alone(self._opener.path).close)
            around = Surroundings(self._opener, self._state_folder, locks, self._facts, self._clock)
            self._running = _Running(around, self._stop)
            page = Page(around, self._figures)
            held.callback(page.stop)
            page.start()
            self._running.start()
            self._notifier.ready(self._running.work.says)
            logger.info("started jobs=%s", self._running.work.says)
            if page.address:
                logger.info("listening address=%s", page.address)
            self._watch(page)

    def once(self) -> list[tuple[str, Outcome]]:
        """Every job now, one after the other, each followed by a consumer until nothing waits."""
        found = []
        self._make_database()
        with series_locks(self._opener.path) as locks:
            around = Surroundings(self._opener, self._state_folder, locks, self._facts, self._clock)
            for one in scheduled(around):
                if self._stop:
                    break
                found.append((one.job.name, Turns(one.job, self._facts, self._stop).run_once()))
                found.append(("consume", self._drain()))
            self._look_once(around)
        return [(name, outcome) for name, outcome in found if outcome.said]

    def _make_database(self) -> None:
        """Not for settings that are wrong: they leave nothing behind."""
        settings = self._opener.settings
        refuse_wrong(settings)
        refuse_address(settings)
        open_channels(settings.alerts)
        self._opener.open(create=True).close()

    def hang_up(self, _number: int, _frame: FrameType | None) -> None:
        """For SIGHUP: new settings are wanted."""
        self._hung_up.set()

    def _figures(self) -> list[Figure]:
        running = self._running
        return [] if running is None else figures(running.work.turns, running.lookout.alerts)

    def _watch(self, page: Page) -> None:
        assert self._running is not None, "there is something to watch"
        while not self._stop.wait(TICK_S):
            if self._hung_up.is_set():
                self._hung_up.clear()
                self._notifier.reloading()
                self._running = self._renewed(self._running, page)
                self._notifier.ready(self._running.work.says)
            self._running.lookout.look()
            if self._running.work.alive and page.alive:
                self._notifier.alive()
        self._notifier.stopping()
        if left := self._running.end():
            logger.warning("still busy, and left jobs=%s", ", ".join(left))

    def _renewed(self, running: "_Running", page: Page) -> "_Running":
        """What goes on with the new settings; with the old ones where the new are wrong."""
        around = running.around
        try:
            settings = self._load()
            if settings.database.path.absolute() != around.settings.database.path.absolute():
                raise Config("database.path cannot change while the daemon runs; restart it")
            renewed = around._replace(opener=around.opener._replace(settings=settings))
            page.refuse(renewed)
            successor = _Running(renewed, self._stop)
            self._take(settings)
        except HistqError as error:
            logger.error("new settings refused, the old ones stay error=%s", error)
            return running
        running.retire()
        successor.take_over()
        page.renew(renewed)
        logger.info("new settings taken jobs=%s", successor.work.says)
        return successor

    def _look_once(self, around: Surroundings) -> None:
        lookout = Lookout(around, [one.job.name for one in scheduled(around)])
        lookout.start()
        try:
            lookout.look()
            lookout.wait_told()
        finally:
            lookout.close()

    def _drain(self) -> Outcome:
        runs = RunLog(row_of("consume"), self._opener.owner)
        job = ConsumeJob(
            opener=self._opener,
            concurrency=self._opener.settings.consume.concurrency,
            runs=runs,
            stop=self._stop.child(),
            watcher=LogWatcher(),
        )
        report = consume(job)
        said = f"stored {report.inserted} points of {report.messages} messages"
        if not runs.begun:
            return Outcome(0, "")
        with self._opener.open(create=True) as backends:
            runs.end(backends.store, report.exit_code, "")
        return Outcome(report.exit_code, said)


class _Running:
    """All that goes on under one set of settings. Raises Config where they are wrong."""

    def __init__(self, around: Surroundings, stop: Stop) -> None:
        self.around = around
        self.work = Work(around, stop)
        self.lookout = Lookout(around, self.work.jobs)

    def start(self) -> None:
        self.lookout.start()
        self.work.start()

    def take_over(self) -> None:
        """As `start`, but whatever keeps the lookout from it keeps nothing else."""
        self.lookout.take_over()
        self.work.start()

    def retire(self) -> None:
        """Makes room for a successor: runs under way end as they began, and the locks of the series
        keep the new ones out of their way.
        """
        self.lookout.close()
        self.work.retire(self.around.settings.consume.shutdown_seconds)

    def end(self) -> list[str]:
        """Ends all of it in time; the names of the jobs that did not."""
        left = self.work.end(self.around.settings.consume.shutdown_seconds)
        self.lookout.close()
        return left


def _alone(path: Path) -> FairLock:
    """Held while a daemon runs on this database. Raises Locked while another does."""
    lock = FairLock(beside(path, "daemon"))
    if not lock.acquire(0):
        raise Locked(f"another histq daemon runs on {path}; stop it first")
    return lock


def on_hang_up(daemon: Daemon) -> None:
    """New settings are taken on SIGHUP from now on."""
    signal.signal(signal.SIGHUP, daemon.hang_up)
