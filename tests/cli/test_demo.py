"""The demo: the main job on generated prices, without network or keys."""

import sqlite3
from pathlib import Path

from histq.demo import candle, price
from tests.conftest import Histq

MINUTES = 30 * 24 * 60
OUTAGE = 120


def test_the_demo_runs_the_main_job_and_shows_it(histq: Histq, place: Path) -> None:
    ended = histq("demo")
    again = histq("demo")

    assert ended.code == 0, ended.err
    assert "demo: retrying in 1.0 s" in ended.err
    for words in ("histq fetch", "histq consume", "Coverage", "BTCUSDT", "100 %", "Throughput"):
        assert words in ended.out
    connection = sqlite3.connect(place / "histq-demo.db")
    counts = connection.execute(
        "select symbol, count(*), sum(high < low or open > high) from historical_prices"
        " where source = 'demo' group by symbol"
    ).fetchall()
    connection.close()
    assert [symbol for symbol, _, _ in counts] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    for _, count, bad in counts:
        assert MINUTES - OUTAGE <= count <= MINUTES - OUTAGE + 5  # the second run adds the minute
        assert bad == 0
    assert again.code == 0
    assert not (place / "histq.db").exists()


def test_generated_prices_do_not_depend_on_the_page_that_asks() -> None:
    minute = candle("BTCUSDT", 1_700_000_040_000, 60_000)
    following = candle("BTCUSDT", 1_700_000_100_000, 60_000)

    assert candle("BTCUSDT", 1_700_000_040_000, 60_000) == minute
    assert minute[4] == following[1] == price("BTCUSDT", 1_700_000_100_000)
