"""Looks at how everything is, writes down what changed, and has it told."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from histq.alerts.conditions import DATABASE, database, readings
from histq.alerts.courier import Courier
from histq.alerts.facts import Facts
from histq.alerts.hysteresis import Reading, Step, judge
from histq.alerts.memo import Memo
from histq.alerts.notice import Channel, Origin, unrecorded
from histq.errors import HistqError, Locked, Stopped
from histq.host import Clock, wall_clock
from histq.locks import NamedLocks
from histq.model import DAY_MS
from histq.pipeline.backends import Opener
from histq.pipeline.health import Health
from histq.place import beside, unwritable
from histq.stores import Store
from histq.stores.alerts import Alert, Severity, Turn

logger = logging.getLogger(__name__)

KEPT_MS: Final = 90 * DAY_MS
"""How long what is over is remembered."""

CLOSE_S: Final = 5.0

LOCKED_S: Final = 60.0
"""Another program may write for so long; a database that is locked for longer is one that fails."""


class Alerts:
    """Looks and tells, from its opening to its end. `look` and `unable` are for one thread.

    One a process and database: it holds the locks of the channels. `state_folder` keeps across
    processes that the database fails, which it cannot itself. Raises Config where no locks can be
    made beside it.
    """

    def __init__(
        self,
        opener: Opener,
        channels: Sequence[Channel],
        *,
        state_folder: Path | None = None,
        clock: Clock = wall_clock,
        wait_s: float = 2.0,
    ) -> None:
        self._settings = opener.settings
        self._origin = origin = Origin.here(opener.settings.environment)
        self._clock = clock
        self._locks = _locks(opener)
        self._couriers = [
            Courier(channel, opener, self._locks, origin, clock=clock, wait_s=wait_s)
            for channel in channels
        ]
        self._names = [courier.name for courier in self._couriers]
        self._memo = Memo(state_folder, opener.path)
        self._failing = self._memo.read()  # what was told, and could not be written down
        self._recorded = False  # whether that it fails is written down
        self._locked_since: int | None = None
        self._adopted = False
        for courier in self._couriers:
            courier.start()

    def look(self, store: Store, health: Health, facts: Facts) -> None:
        """Writes down what has changed since the last look, by any process, and has it told.

        Never raises for a store that fails: that is told instead.
        """
        found = list(readings(health, facts, self._settings))
        first = not self._adopted
        try:
            steps = self._record(store, found, health.at)
        except HistqError as error:
            self.unable(error)
            return
        for step in steps:
            self._log(step.alert, step.turn, step.text)
        if steps or first:
            for courier in self._couriers:
                courier.wake()

    def unable(self, error: HistqError) -> None:
        """The database fails, so nothing can be looked at, or nothing be written down.

        Told once, and at once unless it is only locked.
        """
        if self.failing or self._passing(error):
            return
        now, found = self._clock(), database(str(error))
        alert = Alert(0, found.name, found.subject, found.severity, found.text, now, now)
        self._failing = alert
        self._memo.write(alert)
        self._log(alert, Turn.START, alert.text)
        for courier in self._couriers:
            courier.tell_unrecorded(unrecorded(alert, self._origin))

    @property
    def failing(self) -> bool:
        """Whether the database fails, as far as that was told."""
        return self._recorded or self._failing is not None

    def _passing(self, error: HistqError) -> bool:
        """Whether it may be nothing but another program that writes, or our own end."""
        if isinstance(error, Stopped):
            return True
        if not isinstance(error, Locked):
            return False
        now = self._clock()
        if self._locked_since is None or self._locked_since > now:
            self._locked_since = now
        return now - self._locked_since < LOCKED_S * 1000

    def wait_told(self, timeout_s: float) -> bool:
        """Whether every channel took all there was to tell, within that time."""
        deadline = time.monotonic() + timeout_s
        return all(
            courier.wait_idle(max(0.0, deadline - time.monotonic())) for courier in self._couriers
        )

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Ends the couriers; what they have not told is told by the next process."""
        for courier in self._couriers:
            courier.stop()
        deadline = time.monotonic() + timeout_s
        ended = [courier.join(deadline - time.monotonic()) for courier in self._couriers]
        if all(ended):  # one that hangs in its receiver still has its lock
            self._locks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _record(self, store: Store, found: list[Reading], now: int) -> list[Step]:
        """What was told to begin or end."""
        known = store.alerts.open()
        if self._adopted and self._failing is None and not judge(found, known, now):
            self._locked_since = None
            return []
        with store.transaction():  # judged anew: another process may have been here
            self._adopt(store)
            self._own_up(store)
            steps = judge(found, store.alerts.open(), now)
            for step in steps:
                self._keep(store, step)
            if any(step.turn is Turn.END for step in steps):
                store.alerts.forget(now - KEPT_MS)
            recorded = _of_database(store) is not None
        if self._failing is not None:
            self._memo.drop()
        self._failing, self._recorded = None, recorded
        self._adopted, self._locked_since = True, None
        return [step for step in steps if step.turn is not None]

    def _adopt(self, store: Store) -> None:
        """Once: a channel that is new to the settings is told of what began before."""
        if not self._adopted:
            for alert in store.alerts.open():
                if alert.started_at is not None:
                    store.alerts.ask(alert, Turn.START, alert.text, self._names)

    def _own_up(self, store: Store) -> None:
        """What was told of the database is written down late; from then on it is as any other."""
        if self._failing is not None and _of_database(store) is None:
            store.alerts.keep(self._failing)

    def _keep(self, store: Store, step: Step) -> None:
        if step.forgotten:
            store.alerts.drop(step.alert)
            return
        kept = store.alerts.keep(step.alert)
        if step.turn is not None:
            store.alerts.ask(kept, step.turn, step.text, self._names)

    def _log(self, alert: Alert, turn: Turn | None, text: str) -> None:
        critical = turn is Turn.START and alert.severity is Severity.CRITICAL
        logger.log(
            logging.ERROR if critical else logging.WARNING,
            "alert=%s name=%s subject=%s severity=%s text=%r",
            turn,
            alert.name,
            alert.subject,
            alert.severity,
            text,
        )


def _of_database(store: Store) -> Alert | None:
    """The alert that says that it fails, where that is written down."""
    return next((alert for alert in store.alerts.open() if alert.name == DATABASE), None)


def _locks(opener: Opener) -> NamedLocks:
    try:
        return NamedLocks(beside(opener.path, "alerts"))
    except OSError as error:
        raise unwritable(opener.path, error) from error
