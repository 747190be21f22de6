"""One job's runs: never two at once, none skipped, none endless."""

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from histq.alerts import sentry
from histq.daemon.facts import Facts
from histq.errors import HistqError, Locked, Stopped, Transient
from histq.stop import Stop

logger = logging.getLogger(__name__)

UNEXPECTED = 1
PAST_DEADLINE = 3
PASSING = (Locked, Stopped, Transient)
"""Errors that say nothing of the next run; of any other somebody has to be told."""


class Outcome(NamedTuple):
    """How a run ended, by exit code, and what to say of it."""

    exit_code: int
    said: str


class Job(NamedTuple):
    """What is run: `run` ends soon after its stop is set."""

    name: str
    run: Callable[[Stop], Outcome]
    deadline_s: float


class Turns:
    """Runs the job when called. A call while it runs makes it run once more, however many come."""

    def __init__(self, job: Job, facts: Facts, stop: Stop) -> None:
        self.job = job
        self._facts = facts
        self._stop = stop
        self._changed = threading.Condition()
        self._again = False
        self.running = False
        self.runs = 0
        self.exit_code: int | None = None  # of the last run

    def __call__(self) -> None:
        with self._changed:
            self._again = True
            if self.running:
                return
            self.running = True
        while self._due():
            self.run_once()

    def join(self, seconds: float) -> bool:
        """Whether no run is under way, or it has ended within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.running, seconds)

    def _due(self) -> bool:
        with self._changed:
            due = self._again and not self._stop
            self._again = False
            self.running = due
            self._changed.notify_all()
            return due

    def run_once(self) -> Outcome:
        """One run, in this thread. Raises nothing."""
        name, began = self.job.name, time.monotonic()
        stop, late = self._stop.child(), threading.Event()
        deadline = f"past its deadline of {self.job.deadline_s:g} s"

        def expire() -> None:
            late.set()
            stop.set()
            self._facts.overdue(name, f"it is {deadline}, and still runs")

        timer = threading.Timer(self.job.deadline_s, expire)
        timer.daemon = True
        timer.start()
        try:
            outcome = self._outcome(stop)
        finally:
            timer.cancel()
            timer.join()  # it may be about to say that this still runs
        if late.is_set():
            outcome = Outcome(PAST_DEADLINE, f"ended, it was {deadline}; {outcome.said}")
        self._facts.overdue(name, outcome.said if late.is_set() else "")
        self.runs, self.exit_code = self.runs + 1, outcome.exit_code
        level = logging.WARNING if outcome.exit_code else logging.INFO
        took_ms = round((time.monotonic() - began) * 1000)
        told = (name, outcome.exit_code, took_ms, outcome.said)
        logger.log(level, "job=%s exit_code=%d ms=%d said=%s", *told)
        return outcome

    def _outcome(self, stop: Stop) -> Outcome:
        try:
            outcome = self.job.run(stop)
        except HistqError as error:
            if not isinstance(error, PASSING):
                self._facts.crashed(self.job.name, str(error))
            return Outcome(error.exit_code, str(error))
        except Exception as error:  # the top of a thread: the daemon outlives its jobs
            logger.exception("unexpected job=%s", self.job.name)
            sentry.report(error)
            self._facts.crashed(self.job.name, f"{type(error).__name__}: {error}")
            return Outcome(UNEXPECTED, f"unexpected {type(error).__name__}: {error}")
        self._facts.crashed(self.job.name, "")
        return outcome
