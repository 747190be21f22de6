"""Stores what is queued for as long as the daemon runs; a crash costs a pause and is told."""

import logging
import threading
import time
from typing import Final

from histq.alerts import sentry
from histq.daemon.facts import Facts
from histq.errors import HistqError
from histq.pipeline.backends import Opener
from histq.pipeline.consume import ConsumeJob, ConsumeWatcher, consume
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop

logger = logging.getLogger(__name__)

NAME: Final = "consume"
PAUSES_S: Final = (1.0, 60.0)
"""The first after a crash, and the longest of several in a row."""

LASTED_S: Final = 30.0
"""Workers that last so long have got over what ended those before them."""


class Pauses:
    """How long to wait after each crash: twice as long as before, up to `longest_s`; as at first
    after work that had lasted for `lasted_s`.
    """

    def __init__(self, first_s: float, longest_s: float, lasted_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._lasted_s = lasted_s
        self._next_s = first_s

    def after(self, worked_s: float) -> float:
        pause_s = self._first_s if worked_s >= self._lasted_s else self._next_s
        self._next_s = min(self._longest_s, pause_s * 2)
        return pause_s


class Consumer:
    """The workers of `consume`, begun again after whatever ends them."""

    def __init__(
        self,
        opener: Opener,
        watcher: ConsumeWatcher,
        facts: Facts,
        stop: Stop,
        *,
        pauses_s: tuple[float, float] = PAUSES_S,
        lasted_s: float = LASTED_S,
    ) -> None:
        self._opener = opener
        self._watcher = watcher
        self._facts = facts
        self._pauses_s = pauses_s
        self._lasted_s = lasted_s
        self._stop = stop.child()
        self._thread = threading.Thread(target=self._run, name="histq-consumer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        """Asks it to end with what it has in hand."""
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Whether it has ended within that time."""
        self._thread.join(seconds)
        return not self.alive

    def _run(self) -> None:
        pauses = Pauses(*self._pauses_s, self._lasted_s)
        while not self._stop:
            began = time.monotonic()
            if not self._consume():
                self._stop.wait(pauses.after(time.monotonic() - began))

    def _consume(self) -> bool:
        """Whether it went well until the stop."""
        runs = RunLog(f"daemon {NAME}", self._opener.owner)
        turn = self._stop.child()  # its workers set it when one of them fails
        job = ConsumeJob(
            opener=self._opener,
            concurrency=self._opener.settings.consume.concurrency,
            runs=runs,
            stop=turn,
            watcher=self._watcher,
            more=lambda: True,
        )
        lasted = threading.Timer(self._lasted_s, self._facts.crashed, (NAME, ""))
        lasted.daemon = True
        lasted.start()
        try:
            report = consume(job)
        except HistqError as error:
            self._failed(str(error))
        except Exception as error:  # the top of a thread: the daemon outlives its workers
            logger.exception("unexpected job=%s", NAME)
            sentry.report(error)
            self._failed(f"unexpected {type(error).__name__}: {error}")
        else:
            self._facts.crashed(NAME, "")
            self._close(runs, report)
            return True
        finally:
            lasted.cancel()
        return False

    def _failed(self, why: str) -> None:
        logger.error("crashed, begun again after a pause job=%s error=%s", NAME, why)
        self._facts.crashed(NAME, why)

    def _close(self, runs: RunLog, report: ConsumeReport) -> None:
        if runs.begun:
            with self._opener.open(create=True) as backends:
                runs.end(backends.store, report.exit_code, "")
