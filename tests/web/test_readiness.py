"""Readiness: which part is not well, and why, in words."""

import pytest

from histq.errors import DatabaseMissing
from histq.model import Depth
from histq.pipeline.health import DiskHealth, Health, SeriesHealth
from histq.web.readiness import Check, checks, unreadable
from tests.web import HOUR, NOON


def health(*series: SeriesHealth, points: int = 0, unwritable: str = "") -> Health:
    depth = Depth(0, points, 0, 0, 0, 0, None)
    return Health(NOON, depth, None, list(series), [], DiskHealth(1, 2, unwritable))


def one(symbol: str, late_s: float | None, stale: bool) -> SeriesHealth:
    last = None if late_s is None else NOON - HOUR
    return SeriesHealth("binance", symbol, "1h", last, NOON, late_s, stale)


def why(found: Health) -> dict[str, str]:
    return {check.check: check.why for check in checks(found, 10_000)}


def test_all_is_well() -> None:
    found = checks(health(one("BTCUSDT", 0, False), points=10_000), 10_000)

    assert found == [
        Check("series", True, ""),
        Check("queue", True, ""),
        Check("database", True, ""),
    ]


@pytest.mark.parametrize(
    ("late_s", "said"),
    [(90, "90 s"), (7_100, "118 min"), (7_200, "2 h"), (172_799, "48 h"), (259_200, "3 days")],
)
def test_a_stale_series_is_named_with_its_end(late_s: float, said: str) -> None:
    found = why(health(one("BTCUSDT", 0, False), one("ETHUSDT", late_s, True)))

    assert found["series"] == f"binance/ETHUSDT/1h ends with 2023-11-15T11:00Z, {said} late"


def test_a_series_without_a_candle_is_named() -> None:
    assert why(health(one("X", None, True)))["series"] == "binance/X/1h holds no candle yet"


def test_of_many_stale_series_only_five_are_named() -> None:
    found = why(health(*(one(f"S{n}", None, True) for n in range(8))))["series"]

    assert found.count("holds no candle") == 5
    assert found.endswith("; and 3 more")


def test_a_deep_queue_is_told_with_its_limit() -> None:
    assert why(health(points=10_001))["queue"] == (
        "10,001 points wait in the queue, more than queue.alert_depth = 10,000"
    )


def test_a_database_that_cannot_be_written_or_read_is_told() -> None:
    assert why(health(unwritable="may not write to x.db"))["database"] == "may not write to x.db"
    assert unreadable(DatabaseMissing("no database at x.db")) == [
        Check("database", False, "no database at x.db")
    ]
