"""When a job runs: a cron expression in UTC, or an interval, as a trigger of APScheduler."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from histq.errors import Config
from histq.settings import Settings

_INTERVAL = re.compile(r"(\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # as cron counts them
_PART = re.compile(r"(\*|[0-7a-z]+)(?:-([0-7a-z]+))?(?:/(\d+))?")


_ANY: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What does not come after it, leap days and all, does not come after any other day."""


def trigger(schedule: str, jitter_s: float = 0, *, setting: str = "schedule") -> BaseTrigger:
    """`*/15 * * * *` (minute, hour, day, month, weekday; UTC) or `15m`, `30s`, `1h`, `1d`.

    A run comes up to `jitter_s` late, so that not everybody asks at the same moment. Raises Config,
    which names the `setting`.
    """
    jitter = round(jitter_s) or None
    if found := _INTERVAL.fullmatch(schedule):
        seconds = int(found[1]) * _SECONDS[found[2]]
        if not seconds:
            raise Config(f"{setting} {schedule!r}: an interval has to last")
        return IntervalTrigger(seconds=seconds, timezone=UTC, jitter=jitter)
    fields = schedule.lower().split()
    if len(fields) != 5:
        raise Config(
            f"{setting} {schedule!r} is neither five fields of cron, such as '*/15 * * * *', nor an"
            " interval such as 15m"
        )
    try:
        made = _cron(fields, jitter)
    except ValueError as error:
        raise Config(f"{setting} {schedule!r}: {error}") from error
    if made.get_next_fire_time(None, _ANY) is None:
        raise Config(f"{setting} {schedule!r} never comes; no month has such a day")
    return made


def refuse_wrong(settings: Settings) -> None:
    """Raises Config for the first schedule that is none, by the name of its setting."""
    for wrong in wrong_schedules(settings):
        raise wrong


def wrong_schedules(settings: Settings) -> Iterator[Config]:
    daemon = settings.daemon
    found = {
        "daemon.schedule": daemon.schedule,
        "daemon.repair": daemon.repair,
        "daemon.recheck": daemon.recheck,
        "daemon.maintain": daemon.maintain,
        "daemon.prune": daemon.prune,
        "daemon.backup": daemon.backup,
    }
    for name, source in settings.sources.items():
        found[f"sources.{name}.schedule"] = source.schedule if source.enabled else ""
    for setting, schedule in found.items():
        try:
            if schedule:
                trigger(schedule, setting=setting)
        except Config as error:
            yield error


def _cron(fields: Sequence[str], jitter: int | None) -> BaseTrigger:
    minute, hour, day, month, weekday = fields
    named = _weekdays(weekday)

    def when(day: str, weekday: str) -> CronTrigger:
        return CronTrigger(
            minute=minute,
            hour=hour,
            day=day,
            month=month,
            day_of_week=weekday,
            timezone=UTC,
            jitter=jitter,
        )

    if day != "*" and named != "*":
        # cron runs on either of the two, https://man7.org/linux/man-pages/man5/crontab.5.html
        return OrTrigger([when(day, "*"), when("*", named)])
    return when(day, named)


def _weekdays(field: str) -> str:
    """The field by name: cron counts from Sunday, APScheduler from Monday."""
    if field == "*":
        return field
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise ValueError(f"no weekday {part!r}")
        first, last, step = match.groups()
        start, end = (0, 6) if first == "*" else (_weekday(first), _weekday(last or first))
        if step and not last:
            end = 6
        if end < start or step == "0":
            raise ValueError(f"no weekdays {part!r}")
        found |= {number % 7 for number in range(start, end + 1, int(step or 1))}
    return ",".join(_DAYS[number] for number in sorted(found))


def _weekday(name: str) -> int:
    if name.isdigit() and int(name) <= 7:
        return int(name)
    if name in _DAYS:
        return _DAYS.index(name)
    raise ValueError(f"no weekday {name!r}")


def next_after(trigger: BaseTrigger, instant: int) -> int | None:
    """The first run after that instant, both in ms; None where there is none any more."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    if isinstance(trigger, IntervalTrigger):
        return instant + round(float(trigger.interval_length) * 1000)
    found: datetime | None = trigger.get_next_fire_time(at, at)
    return None if found is None else round(found.timestamp() * 1000)
