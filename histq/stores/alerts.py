"""The store's record of alerts: what is wrong, since when, and which channel has been told of it.

Promises, each held by `tests/stores/`: of one name and subject one alert at most is open; a notice
of each turn is asked for once a channel and waits until that channel took it. No id is used twice.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class Severity(StrEnum):
    WARNING = "warning"  # look at it in the morning
    CRITICAL = "critical"  # something has stopped, or is about to


class Turn(StrEnum):
    """What a notice is about."""

    START = "start"
    END = "end"


class Alert(msgspec.Struct, frozen=True):
    """One time that something was wrong; instants in ms. `id` is 0 until it is kept.

    It begins `since` the first look that saw it, and has started once it lasted long enough to be
    told. `better_since` is set while it may be over, `ended_at` once it is.
    """

    id: int
    name: str
    subject: str
    severity: Severity
    text: str
    since: int
    started_at: int | None = None
    better_since: int | None = None
    ended_at: int | None = None


class Untold(msgspec.Struct, frozen=True):
    """What one channel has not been told yet; asked for at `asked_at`, ms."""

    id: int
    alert: Alert
    turn: Turn
    text: str
    asked_at: int


class AlertLog(Protocol):
    def open(self) -> list[Alert]:
        """Those that are not over, also those that have not started; the first kept first."""

    def latest(self, limit: int) -> list[Alert]:
        """Those that have started, the last kept first."""

    def keep(self, alert: Alert) -> Alert:
        """Adds it where its `id` is 0, else puts it in the place of what was known of it.

        One that is known no more stays forgotten. Raises HistqError where another of its name and
        subject is open.
        """

    def drop(self, alert: Alert) -> None:
        """Forgets one that has not started, by what is known of it."""

    def forget(self, before: int) -> int:
        """Deletes what ended before that instant, notices included; how many alerts that was."""

    def ask(self, alert: Alert, turn: Turn, text: str, channels: Sequence[str]) -> None:
        """Leaves a notice for each channel; none where this turn has been asked for before."""

    def untold(self, channel: str, after: int, limit: int) -> list[Untold]:
        """What the channel was asked to tell after that instant and has not told; in that order."""

    def told(self, untold: Untold) -> None:
        """The channel took it."""

    def waiting(self) -> dict[int, list[str]]:
        """By the id of an alert: the channels that have not taken all of its notices."""
