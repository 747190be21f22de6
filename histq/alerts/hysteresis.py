"""When something that is wrong is told, and when it is over. Pure.

    not seen --WRONG--> suspected --lasted start_after_s--> open --RIGHT for end_after_s--> over
                            |                                 |
                            '--- not WRONG: forgotten         '--- not RIGHT: stays open

What lies between a start and an end threshold is UNSURE: it starts nothing and ends nothing, so a
value that hovers about a threshold is told once.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from msgspec.structs import replace

from histq.stores.alerts import Alert, Severity, Turn


class Level(Enum):
    WRONG = "past the threshold at which it starts"
    UNSURE = "between the two, or nothing is known"
    RIGHT = "past the threshold at which it ends"


class Reading(NamedTuple):
    """What one look says of one subject. `text` says what is wrong and what to do, or what is."""

    name: str
    subject: str
    severity: Severity
    level: Level
    text: str
    start_after_s: float = 0
    end_after_s: float = 0


class Step(NamedTuple):
    """What is to be written down: the alert as it is now, and what to tell of it, if anything.

    `forgotten` when it went away before it started.
    """

    alert: Alert
    turn: Turn | None = None
    text: str = ""
    forgotten: bool = False


def judge(readings: Iterable[Reading], known: Sequence[Alert], now: int) -> list[Step]:
    """The changes that these readings make to the open alerts.

    One that is known and of which there is no reading has lost its subject, and is over.
    """
    open_ = {(alert.name, alert.subject): alert for alert in known}
    steps = []
    for key, reading in {(one.name, one.subject): one for one in readings}.items():
        alert = open_.pop(key, None)
        step = _found(reading, now) if alert is None else _again(reading, alert, now)
        if step is not None:
            steps.append(step)
    return steps + [_gone(alert, now) for alert in open_.values()]


def _found(reading: Reading, now: int) -> Step | None:
    if reading.level is not Level.WRONG:
        return None
    found = Alert(0, reading.name, reading.subject, reading.severity, reading.text, since=now)
    return Step(found) if reading.start_after_s else _started(found, reading, now)


def _again(reading: Reading, alert: Alert, now: int) -> Step | None:
    if alert.started_at is None:
        return _suspected(reading, alert, now)
    if reading.level is not Level.RIGHT:
        return None if alert.better_since is None else Step(replace(alert, better_since=None))
    better_since = now if alert.better_since is None else min(alert.better_since, now)
    if now - better_since >= reading.end_after_s * 1000:
        over = replace(alert, better_since=better_since, ended_at=now)
        return Step(over, Turn.END, reading.text)
    if better_since != alert.better_since:
        return Step(replace(alert, better_since=better_since))
    return None


def _suspected(reading: Reading, alert: Alert, now: int) -> Step | None:
    if reading.level is not Level.WRONG:
        return Step(alert, forgotten=True)
    if now - alert.since >= reading.start_after_s * 1000:
        return _started(alert, reading, now)
    # A clock that was set back must not keep it waiting for as long.
    return Step(replace(alert, since=now)) if alert.since > now else None


def _started(alert: Alert, reading: Reading, now: int) -> Step:
    started = replace(alert, severity=reading.severity, text=reading.text, started_at=now)
    return Step(started, Turn.START, reading.text)


def _gone(alert: Alert, now: int) -> Step:
    if alert.started_at is None:
        return Step(alert, forgotten=True)
    text = f"{alert.subject} is not looked after any more"
    return Step(replace(alert, better_since=now, ended_at=now), Turn.END, text)
