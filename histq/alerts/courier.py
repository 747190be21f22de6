"""Brings one channel its notices, in order, until it takes them; a thread of its own each.

A receiver that is dead or slow holds up nobody: what it has not taken waits in the store.
"""

import logging
import queue
import threading
import time
from typing import Final

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_exponential,
    wait_random,
)

from histq.alerts import sentry
from histq.alerts.notice import Channel, Notice, Origin, Undelivered, notice
from histq.errors import HistqError, Stopped
from histq.host import Clock
from histq.locks import NamedLocks
from histq.model import DAY_MS
from histq.pipeline.backends import Opener
from histq.stop import Stop
from histq.stores.alerts import AlertLog, Untold

logger = logging.getLogger(__name__)

GIVE_UP_MS: Final = 3 * DAY_MS
"""What a receiver has not taken for so long is not told any more."""

POLL_S: Final = 60.0
"""How often it looks without being woken, for what another process left."""

MOST_UNRECORDED: Final = 16


class Courier:
    """`locks` lets one process at a time tell a channel, so that two do not tell it twice."""

    def __init__(
        self,
        channel: Channel,
        opener: Opener,
        locks: NamedLocks,
        origin: Origin,
        *,
        clock: Clock,
        wait_s: float = 2.0,
        most_wait_s: float = 300.0,
    ) -> None:
        self.name = channel.name
        self._channel = channel
        self._opener = opener
        self._locks = locks
        self._origin = origin
        self._clock = clock
        self._wait = wait_exponential(wait_s, max=most_wait_s) + wait_random(0, wait_s / 2)
        self._stop = Stop()
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._idle = threading.Event()
        self._urgent: queue.Queue[Notice] = queue.Queue(MOST_UNRECORDED)
        self._taken: set[int] = set()  # told, and not yet recorded as told
        self._thread = threading.Thread(target=self._run, name=f"histq-{self.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something to tell."""
        with self._lock:
            self._idle.clear()
            self._woken.set()

    def tell_unrecorded(self, unrecorded: Notice) -> None:
        """Something that the store cannot keep; it is lost when this process ends before."""
        try:
            self._urgent.put_nowait(unrecorded)
        except queue.Full:
            logger.warning("channel=%s lost=%s", self.name, unrecorded.id)
        self.wake()

    def wait_idle(self, timeout_s: float) -> bool:
        """Whether all there was to tell has been told within that time."""
        return self._idle.wait(timeout_s)

    def stop(self) -> None:
        """Nothing more is told; what is left waits in the store."""
        self._stop.set()
        self._woken.set()

    def join(self, timeout_s: float) -> bool:
        """Whether it has ended within that time. One that hangs in its receiver dies with us."""
        self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop:
            self._woken.clear()
            told_all = self._round()
            with self._lock:
                if told_all and not self._woken.is_set():
                    self._idle.set()
            self._woken.wait(POLL_S)

    def _round(self) -> bool:
        """Whether there is nothing left that this process could tell."""
        try:
            self._tell_unrecorded()
            return self._tell_recorded()
        except Stopped:
            pass
        except HistqError as error:  # the store's: what is in it is told when it is back
            logger.warning("channel=%s error=%r", self.name, str(error))
        except Exception as error:  # the top of a thread, which has to outlive a receiver's oddity
            logger.error("channel=%s unexpected=%s", self.name, type(error).__name__)
            sentry.report(error)
        return False

    def _tell_unrecorded(self) -> None:
        while not self._urgent.empty():
            self._deliver(self._urgent.get(), self._clock())

    def _tell_recorded(self) -> bool:
        if not self._locks.try_acquire(self.name):
            return False
        try:
            with self._opener.open(create=False) as backends:
                log = backends.store.alerts
                while found := log.untold(self.name, self._clock() - GIVE_UP_MS, 1):
                    self._tell(found[0], log)
        finally:
            self._locks.release(self.name)
        return True

    def _tell(self, untold: Untold, log: AlertLog) -> None:
        """Recorded after it was taken: a kill in between tells it twice, and nothing is lost."""
        if untold.id not in self._taken:
            if not self._deliver(notice(untold, self._origin), untold.asked_at):
                return
            self._taken.add(untold.id)
        log.told(untold)
        self._taken.discard(untold.id)

    def _deliver(self, found: Notice, asked_at: int) -> bool:
        """Tries until it is taken, or too old to be told; whether it was taken. Raises Stopped."""

        def too_old(_: RetryCallState) -> bool:
            return self._clock() - asked_at > GIVE_UP_MS

        began = time.monotonic()
        retrying = Retrying(
            retry=retry_if_exception_type(Undelivered),
            wait=self._wait,
            stop=too_old,
            sleep=self._stop.sleep,
            before_sleep=self._say,
            reraise=True,
        )
        try:
            retrying(self._channel.send, found)
        except Undelivered as error:
            logger.error("channel=%s given_up=%s error=%r", self.name, found.id, str(error))
            return False
        ms = round((time.monotonic() - began) * 1000)
        logger.info("channel=%s told=%s name=%s ms=%d", self.name, found.id, found.name, ms)
        return True

    def _say(self, state: RetryCallState) -> None:
        # Once a notice: a receiver that is away for days would fill the log.
        level = logging.WARNING if state.attempt_number == 1 else logging.DEBUG
        error = state.outcome.exception() if state.outcome else None
        wait_s = state.upcoming_sleep
        logger.log(level, "channel=%s retry_s=%.0f error=%r", self.name, wait_s, str(error))
