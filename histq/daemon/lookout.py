"""Looks every few seconds at how everything is, and has what is wrong told."""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from histq.alerts.alerts import Alerts
from histq.alerts.channels import open_channels
from histq.alerts.conditions import CONDITIONS, DATABASE
from histq.alerts.facts import Facts as Known
from histq.daemon.consumer import NAME
from histq.daemon.jobs import Surroundings
from histq.errors import HistqError
from histq.pipeline.health import health
from histq.pipeline.targets import select
from histq.stores import Store

logger = logging.getLogger(__name__)

EVERY_S: Final = 5.0
LOCK_TIMEOUT_S: Final = 5.0
"""A look must not keep the daemon from hearing its signals."""

TOLD_WITHIN_S: Final = 20.0
"""What a run of every job, once, gives the receivers before it ends."""


class Lookout:
    """For one thread. `jobs` are the names of all that run. Raises Config for wrong receivers."""

    def __init__(
        self, around: Surroundings, jobs: Sequence[str], *, every_s: float = EVERY_S
    ) -> None:
        self._around = around
        self._jobs = jobs
        self._every_s = every_s
        self._opener = around.opener._replace(lock_timeout_s=LOCK_TIMEOUT_S)
        self._targets = select(around.settings).targets
        self._channels = open_channels(around.settings.alerts)
        self._alerts: Alerts | None = None
        self._due_at = 0.0
        self.alerts: Counter[str] = Counter()  # how many of each condition hold

    def start(self) -> None:
        """From here on its receivers are this one's; what began before is told by it."""
        self._alerts = Alerts(
            self._opener,
            self._channels,
            state_folder=self._around.state_folder,
            clock=self._around.clock,
        )

    def take_over(self) -> None:
        """As `start`; where that cannot be it is said, and tried again at every look."""
        try:
            self.start()
        except HistqError as error:
            logger.error("nothing is looked at for now: %s", error)

    def look(self) -> None:
        """Does nothing until the next look is due."""
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + self._every_s
        if self._alerts is None:
            with contextlib.suppress(HistqError):
                self.start()
        if self._alerts is not None:
            self._look(self._alerts)

    def _look(self, alerts: Alerts) -> None:
        try:
            with self._opener.open(create=True) as backends:
                seen = health(
                    backends,
                    self._targets,
                    self._around.settings,
                    self._around.state_folder,
                    self._around.clock(),
                )
                alerts.look(backends.store, seen, self._known())
                self._count(backends.store)
        except HistqError as error:
            alerts.unable(error)
        if alerts.failing:
            self.alerts = Counter({**self.alerts, DATABASE: 1})

    def _count(self, store: Store) -> None:
        # Of what is well there is none: a metric that is not there looks like one unknown.
        counted = Counter(dict.fromkeys(CONDITIONS, 0))
        holding = (alert for alert in store.alerts.open() if alert.started_at is not None)
        counted.update(alert.name for alert in holding)
        self.alerts = counted

    def wait_told(self) -> None:
        """Until the receivers took what there is, or that takes too long."""
        if self._alerts is not None:
            self._alerts.wait_told(TOLD_WITHIN_S)

    def close(self) -> None:
        if self._alerts is not None:
            self._alerts.close()
            self._alerts = None

    def _known(self) -> Known:
        crashed, overdue, refused = self._around.facts.now()
        # Not of all that is known: a job that new settings have no more cannot get well.
        return Known(
            workers={name: crashed.get(name) for name in (*self._jobs, NAME)},
            jobs={name: overdue.get(name) for name in self._jobs},
            sources=refused,
        )
