"""Looks at how everything is, writes down what changed, and has it told."""

import logging
import time
from collections.abc import Sequence
from typing import Final, Self

from histq.alerts.conditions import database, readings
from histq.alerts.courier import Courier
from histq.alerts.facts import Facts
from histq.alerts.hysteresis import Reading, Step, judge
from histq.alerts.notice import Channel, Notice, Origin
from histq.errors import HistqError
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


class Alerts:
    """Looks and tells, from its opening to its end. `look` and `unable` are for one thread.

    One a process and database: it holds the locks of the channels. Raises Config where none can be
    made beside the database.
    """

    def __init__(
        self,
        opener: Opener,
        channels: Sequence[Channel],
        *,
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
        self._unable_since: int | None = None
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
        self._able()
        for step in steps:
            self._log(step.alert, step.turn, step.text)
        if steps or first:
            for courier in self._couriers:
                courier.wake()

    def unable(self, error: HistqError) -> None:
        """The database fails, so nothing can be looked at, or nothing be written down.

        Told at once, and once for as long as this process lives.
        """
        if self._unable_since is None:
            self._unable_since = self._clock()
            self._tell_unrecorded(database(str(error)), Turn.START)

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
        if self._adopted and not judge(found, known, now):
            return []
        with store.transaction():  # judged anew: another process may have been here
            self._adopt(store)
            steps = judge(found, store.alerts.open(), now)
            for step in steps:
                self._keep(store, step)
            if any(step.turn is Turn.END for step in steps):
                store.alerts.forget(now - KEPT_MS)
        self._adopted = True
        return [step for step in steps if step.turn is not None]

    def _adopt(self, store: Store) -> None:
        """Once: a channel that is new to the settings is told of what began before."""
        if not self._adopted:
            for alert in store.alerts.open():
                if alert.started_at is not None:
                    store.alerts.ask(alert, Turn.START, alert.text, self._names)

    def _keep(self, store: Store, step: Step) -> None:
        if step.forgotten:
            store.alerts.drop(step.alert)
            return
        kept = store.alerts.keep(step.alert)
        if step.turn is not None:
            store.alerts.ask(kept, step.turn, step.text, self._names)

    def _able(self) -> None:
        if self._unable_since is not None:
            self._tell_unrecorded(database(""), Turn.END)
            self._unable_since = None

    def _tell_unrecorded(self, reading: Reading, turn: Turn) -> None:
        now, since = self._clock(), self._unable_since or 0
        ended_at = now if turn is Turn.END else None
        told = Notice(
            f"database-{since}-{turn}",
            *self._origin,
            reading.name,
            reading.subject,
            str(turn),
            reading.severity,
            since,
            ended_at,
            reading.text,
        )
        alert = Alert(0, reading.name, reading.subject, reading.severity, reading.text, since)
        self._log(alert, turn, reading.text)
        for courier in self._couriers:
            courier.tell_unrecorded(told)

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


def _locks(opener: Opener) -> NamedLocks:
    try:
        return NamedLocks(beside(opener.path, "alerts"))
    except OSError as error:
        raise unwritable(opener.path, error) from error
