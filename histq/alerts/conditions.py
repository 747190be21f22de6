"""What is looked at, and past which figures it is wrong. Pure.

| name             | subject            | starts                                | ends             |
|------------------|--------------------|---------------------------------------|------------------|
| queue_deep       | queue              | points > `alert_depth` for 60 s       | <= 80 % of it    |
| queue_slow       | queue              | oldest > `lag_s` for 60 s             | <= half of it    |
| failures         | batches            | > 10 % of the last batches' points    | <= 5 %           |
| dead_letters     | queue              | one was buried in the last hour       | none was         |
| series_stale     | the series         | later than twice its interval         | at most one      |
| budget_low       | source/period      | < 10 % left (of the minute for 300 s) | >= 20 %          |
| source_refuses   | the source         | refused, or silent for 300 s or more  | it answers       |
| worker_crashed   | the worker         | at once                               | well for 300 s   |
| job_overran      | the job            | at once                               | in time again    |
| disk_low         | disk               | free < 5 % or 2 GiB, the lesser; or   | > 1.2 x that     |
|                  |                    | free < `min_free_bytes`               |                  |
| database_failing | database           | cannot be used (locked: for 60 s)     | can be           |

A series is given time to catch up: it has to be stale for its interval, at most 15 minutes, first.
"""

from collections.abc import Iterator
from typing import Final

from histq.alerts.facts import Facts, Known
from histq.alerts.hysteresis import Level, Reading
from histq.budget.credits import Balance
from histq.model import HOUR_MS, Interval, Series, iso
from histq.pipeline.health import STALE_AFTER, Health, HostHealth, SeriesHealth
from histq.settings import Settings
from histq.stores.alerts import Severity

DATABASE: Final = "database_failing"
CONDITIONS: Final = (
    *("queue_deep", "queue_slow", "failures", "dead_letters", "series_stale", "budget_low"),
    *("source_refuses", "worker_crashed", "job_overran", "disk_low", DATABASE),
)

MINUTE_S: Final = 60.0
STEADY_S: Final = 300.0
"""How long what comes and goes by its nature has to last, or to stay away."""

DEPTH_AGAIN: Final = 0.8
LAG_AGAIN: Final = 0.5
FAILURES: Final = (0.10, 0.05)
"""Shares of points at which it starts and ends."""

LEFT: Final = (0.10, 0.20)
SILENT_S: Final = 300.0
NEW_MS: Final = HOUR_MS
"""A dead letter is new for so long."""

CATCH_UP_S: Final = 900.0
MIB: Final = 1024**2
GIB: Final = 1024**3
DISK_SHARE: Final = 0.05
DISK_BYTES: Final = 2 * GIB
DISK_AGAIN: Final = 1.2


def readings(health: Health, facts: Facts, settings: Settings) -> Iterator[Reading]:
    """Everything that can be wrong, and how it is."""
    yield _depth(health, settings.queue.alert_depth)
    yield _lag(health, settings.alerts.lag_s)
    yield _failures(health)
    yield _dead_letters(health)
    yield from map(_stale, health.series)
    for host in health.hosts:
        yield from _budget(host, health.at)
        yield _refusal(host, facts)
    yield from _crashes(facts.workers)
    yield from _overruns(facts.jobs)
    yield _disk(health, settings.database.min_free_bytes)
    yield database(health.disk.unwritable)


def database(error: str) -> Reading:
    """Whether what histq knows can be written down; `error` says why not."""
    level = Level.WRONG if error else Level.RIGHT
    wrong = f"the database cannot be used: {error}; nothing is collected until that is put right"
    text = wrong if error else "the database can be written again"
    return Reading(DATABASE, "database", Severity.CRITICAL, level, text)


def _depth(health: Health, most: int) -> Reading:
    points = health.queue.points
    level = _level(points > most, points <= DEPTH_AGAIN * most)
    text = f"{points:,} points wait in the queue; queue.alert_depth is {most:,}"
    if level is Level.WRONG:
        text += "; histq stats shows whether histq consume keeps up"
    return Reading("queue_deep", "queue", Severity.WARNING, level, text, MINUTE_S, MINUTE_S)


def _lag(health: Health, most_s: float) -> Reading:
    age_s = health.queue.oldest_age_s or 0.0
    level = _level(age_s > most_s, age_s <= LAG_AGAIN * most_s)
    text = f"the oldest page has waited {age_s:,.0f} s in the queue; alerts.lag_s is {most_s:,.0f}"
    if level is Level.WRONG:
        text += "; see that histq consume or histq daemon runs"
    return Reading("queue_slow", "queue", Severity.WARNING, level, text, MINUTE_S, MINUTE_S)


def _failures(health: Health) -> Reading:
    rate, (start, end) = health.failure_rate or 0.0, FAILURES
    level = _level(rate > start, rate <= end)
    text = f"{rate:.1%} of the points of the last batches could not be stored"
    if level is Level.WRONG:
        text += "; histq dlq list shows why"
    return Reading("failures", "batches", Severity.CRITICAL, level, text)


def _dead_letters(health: Health) -> Reading:
    buried_at = health.buried_at
    # One from the future is of a clock that was set back since, and must not be new for that long.
    new = buried_at is not None and abs(health.at - buried_at) < NEW_MS
    dead = health.queue.dead
    text = f"{dead:,} dead letter{'' if dead == 1 else 's'}"
    if new and buried_at is not None:
        text += f", the latest of {iso(buried_at)}; histq dlq list shows why, retry or drop them"
    elif dead:
        text += ", none of them new"
    level = Level.WRONG if new else Level.RIGHT
    return Reading("dead_letters", "queue", Severity.WARNING, level, text)


def _stale(one: SeriesHealth) -> Reading:
    series, step_s = Series(one.source, one.symbol, one.interval), _step_s(one)
    level = _level(one.stale, one.late_s is not None and one.late_s <= step_s)
    last = "nothing" if one.last is None else f"nothing after {iso(one.last)}"
    if level is Level.WRONG:
        text = (
            f"{series} has {last}; {iso(one.due)} is due, and {STALE_AFTER} intervals are waited"
            f" for; histq fetch {one.symbol} -s {one.source} -i {one.interval} says what is wrong"
        )
    else:
        text = f"{series} has {last}; {iso(one.due)} is due"
    patience_s = min(step_s, CATCH_UP_S)
    return Reading("series_stale", str(series), Severity.WARNING, level, text, patience_s)


def _step_s(one: SeriesHealth) -> float:
    return Interval.parse(one.interval).step_ms / 1000


def _budget(host: HostHealth, now: int) -> Iterator[Reading]:
    """Of the minute only where it lasts: a backfill uses all of it, and that is what it is for."""
    text = f"{host.source}: {host.left:.0%} of the minute's requests are left"
    if host.left < LEFT[0]:
        text += f"; fetch less, or raise requests_per_minute of [sources.{host.source}] if you may"
    yield _low(f"{host.source}/minute", host.left, text, STEADY_S, MINUTE_S)
    for balance in host.credits:
        yield _low(f"{host.source}/{balance.period}", _share(balance), _left(host.source, balance))


def _left(source: str, balance: Balance) -> str:
    text = f"{source}: {balance.left:,} of {balance.limit:,} credits of this {balance.period}"
    text += f" are left until {iso(balance.ends_at)}"
    if _share(balance) < LEFT[0]:
        text += "; after that nothing is asked. Fetch less often, or set what your plan grants"
    return text


def _share(balance: Balance) -> float:
    return balance.left / balance.limit


def _low(
    subject: str, share: float, text: str, start_after_s: float = 0, end_after_s: float = 0
) -> Reading:
    level = _level(share < LEFT[0], share >= LEFT[1])
    return Reading("budget_low", subject, Severity.WARNING, level, text, start_after_s, end_after_s)


def _refusal(host: HostHealth, facts: Facts) -> Reading:
    said = facts.sources.get(host.source)
    level = _level(bool(said) or host.silent_s >= SILENT_S, said == "" and not host.silent_s)
    text = f"{host.source} answers again"
    if host.silent_s >= SILENT_S:
        text = f"{host.host} wants no requests for {host.silent_s:,.0f} s"
    if said:
        text = said
    if level is Level.WRONG:
        text += f"; nothing comes from {host.source} until it answers again"
    return Reading("source_refuses", host.source, Severity.CRITICAL, level, text)


def _crashes(workers: Known) -> Iterator[Reading]:
    for name, error in workers.items():
        text = f"{name} crashed: {error}" if error else f"{name} runs again"
        critical = Severity.CRITICAL
        yield Reading("worker_crashed", name, critical, _heard(error), text, end_after_s=STEADY_S)


def _overruns(jobs: Known) -> Iterator[Reading]:
    for name, error in jobs.items():
        text = f"{name} took too long: {error}" if error else f"{name} ended in time"
        yield Reading("job_overran", name, Severity.WARNING, _heard(error), text)


def _heard(error: str | None) -> Level:
    return Level.UNSURE if error is None else _level(bool(error), not error)


def _disk(health: Health, kept_free: int) -> Reading:
    free, total = health.disk.free_bytes, health.disk.total_bytes
    least = max(min(DISK_SHARE * total, DISK_BYTES), kept_free)
    level = _level(free < least, free > DISK_AGAIN * least)
    text = f"{_room(free)} are free where the database lies"
    if level is Level.WRONG:
        text += f", less than {_room(least)}; make room, or histq stops when it is full"
    return Reading("disk_low", "disk", Severity.CRITICAL, level, text)


def _room(size: float) -> str:
    return f"{size / GIB:,.1f} GiB" if size >= GIB else f"{size / MIB:,.1f} MiB"


def _level(wrong: bool, right: bool) -> Level:
    return Level.WRONG if wrong else Level.RIGHT if right else Level.UNSURE
