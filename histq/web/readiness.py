"""Whether all is as it should be, and if not, which and why. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from histq.errors import HistqError
from histq.model import Series, iso
from histq.pipeline.health import Health, SeriesHealth

NAMED: Final = 5
"""Series that are named one by one; the rest is counted."""


class Check(msgspec.Struct, frozen=True):
    """`why` is empty where it is well."""

    check: str
    ok: bool
    why: str


def checks(health: Health, alert_depth: int) -> list[Check]:
    """What readiness is made of."""
    return [
        _check("series", _stale([one for one in health.series if one.stale])),
        _check("queue", _deep(health.queue.points, alert_depth)),
        _check("database", health.disk.unwritable),
    ]


def unreadable(error: HistqError) -> list[Check]:
    """What it is where the database cannot even be read."""
    return [_check("database", str(error))]


def _check(name: str, why: str) -> Check:
    return Check(name, not why, why)


def _stale(series: Sequence[SeriesHealth]) -> str:
    told = [_told(one) for one in series[:NAMED]]
    if len(series) > NAMED:
        told.append(f"and {len(series) - NAMED} more")
    return "; ".join(told)


def _told(one: SeriesHealth) -> str:
    series = Series(one.source, one.symbol, one.interval)
    if one.last is None or one.late_s is None:
        return f"{series} holds no candle yet"
    return f"{series} ends with {iso(one.last)}, {_long(one.late_s)} late"


def _long(seconds: float) -> str:
    """In the unit that needs two or three figures: 90 s, 90 min, 40 h, 3 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _deep(points: int, alert_depth: int) -> str:
    if points <= alert_depth:
        return ""
    return f"{points:,} points wait in the queue, more than queue.alert_depth = {alert_depth:,}"
