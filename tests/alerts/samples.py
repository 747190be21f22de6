"""How everything is, made by hand: well by default, and wrong in one way at a time."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from histq.budget.credits import Balance
from histq.config import load
from histq.model import Depth
from histq.pipeline.health import DiskHealth, Health, HostHealth, SeriesHealth
from histq.settings import Settings

NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
HOUR = 3_600_000
GIB = 1024**3


def settings_at(folder: Path, **alerts: Any) -> Settings:
    """Those of a user who wants to be told so."""
    tree = {"database": {"path": str(folder / "histq.db")}, "alerts": alerts}
    return load(tree, plain=True).settings


def health(now: int = NOON, **changes: Any) -> Health:
    well = Health(
        at=now,
        queue=depth(),
        failure_rate=0.0,
        series=[series()],
        hosts=[host()],
        disk=DiskHealth(free_bytes=500 * GIB, total_bytes=1000 * GIB, unwritable=""),
    )
    return replace(well, **changes)


def depth(points: int = 0, dead: int = 0, oldest_age_s: float | None = None) -> Depth:
    return Depth(1, points, 1, 0, 0, dead, oldest_age_s)


def series(late_s: float | None = 0.0, interval: str = "1h") -> SeriesHealth:
    """By how much it lacks its last candle; nothing stored at all where None."""
    last = None if late_s is None else NOON - HOUR - int(late_s * 1000)
    step_s = {"1m": 60, "1h": 3600, "1d": 86400}[interval]
    stale = late_s is None or late_s > 2 * step_s
    return SeriesHealth("binance", "BTCUSDT", interval, last, NOON - HOUR, late_s, stale)


def host(left: float = 1.0, silent_s: float = 0.0, credits_left: int | None = None) -> HostHealth:
    month_end = 1_701_388_800_000  # 2023-12-01
    balances = (
        []
        if credits_left is None
        else [Balance("month", 10_000, 10_000 - credits_left, credits_left, month_end)]
    )
    return HostHealth("binance", "data-api.binance.vision", left, silent_s, balances)


def disk(free_gib: float, total_gib: float = 1000) -> DiskHealth:
    return DiskHealth(int(free_gib * GIB), int(total_gib * GIB), "")
