"""The main job on recorded data: real processes and HTTP, every closed candle, not a row more."""

import csv
import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Histq, source_at
from tests.loopback import Asked, Loopback
from tests.recorded import Key, Recorded, Values, binance_values

SETTINGS = """
[[tokens]]
base = "LUNA"
coingecko_id = "terra-luna"
[[tokens]]
base = "BTC"
coingecko_id = "bitcoin"
"""

# Each window ends one slot after the last recorded row where that one was still open.
FETCHES = (
    "BTCUSDT ETHUSDT -s binance -i 1h --from 2024-11-01 --to 2025-02-01",
    "ETHUSDT -s binance -i 1h --from 2021-11-08T18:00Z --to 2021-11-18T18:00Z",
    "ADAUSDT -s binance -i 1m --from 2024-11-16T09:07Z --to 2024-11-16T17:27Z",
    "BTCUSDT ETHUSDT -s binance -i 1d --from 2025-02-16 --to 2025-06-16",
    "LUNA -s coingecko -i 1d --from 2019-05-07 --to 2022-07-06",
    "BTC -s coingecko -i spot --from 2023-10-03T19:00Z --to 2023-10-10T19:00Z",
    "BTC -s cryptocompare -i 1d --from 2015-05-04 --to 2020-10-24",
    "BTC -s cryptocompare -i 1d --from 2022-05-10 --to 2022-06-10",
    "BTC -s cryptocompare -i 1h --from 2019-03-31T23:00Z --to 2019-04-01",
    "BTC -s cryptocompare -i 1h --from 2019-04-01 --to 2019-06-23T08:00Z",
)


@pytest.fixture
def provider(realdata: Path) -> Recorded:
    return Recorded(realdata)


def _environment(url: str, place: Path) -> dict[str, str]:
    (place / "histq.toml").write_text(SETTINGS)
    return {
        **source_at("binance", url),
        **source_at("coingecko", url, plan="paid"),
        **source_at("cryptocompare", url, api_key="k"),
    }


def _expected(folder: Path) -> dict[Key, Values]:
    """Every closed candle of the recordings, read from the files without histq."""
    expected: dict[Key, Values] = {}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for file in sorted((folder / "binance/vision_spot_1h").glob(f"{symbol}-1h-202*.csv")):
            if file.stem[-7:] > "2025-01":
                continue
            rows = [
                [int(row[0][:13]), *row[1:6], int(row[6][:13]), row[7], int(row[8]), *row[9:]]
                for row in csv.reader(file.read_text().splitlines())
            ]
            expected |= binance_values(rows, symbol, "1h")
    for symbol, interval, pattern in (
        ("ETHUSDT", "1h", "klines_ETHUSDT_1h*"),
        ("ADAUSDT", "1m", "klines_ADAUSDT*"),
        ("BTCUSDT", "1d", "klines_BTCUSDT_1d*"),
        ("ETHUSDT", "1d", "klines_ETHUSDT_1d*"),
    ):
        rows = json.loads(next((folder / "binance/rest_json").glob(pattern)).read_text())
        expected |= binance_values(rows[:-1], symbol, interval)  # the last one was open
    charts = folder / "coingecko/market_chart"
    luna = json.loads(next(charts.glob("terra-luna*")).read_text())["prices"]
    for stamp, price in luna[:-1]:  # the last one is "now"
        expected["coingecko", "LUNAUSD", "1d", stamp - 86_400_000] = _close_only(price)
    for stamp, price in json.loads(next(charts.glob("bitcoin*-20231010.json")).read_text())[
        "prices"
    ]:
        expected["coingecko", "BTCUSD", "spot", stamp] = _close_only(price)
    minute = folder / "cryptocompare/min_api"
    days = json.loads(next(minute.glob("histoday_v1*")).read_text())["Data"][:-1]
    days += json.loads(next(minute.glob("v2_histoday*")).read_text())["Data"]["Data"][:-1]
    hours = json.loads(next(minute.glob("histohour_v1*")).read_text())[:-1]
    for interval, rows in (("1d", days), ("1h", hours)):
        for row in rows:
            names = ("open", "high", "low", "close", "volumefrom", "volumeto")
            values = tuple(row[name] for name in names)
            expected["cryptocompare", "BTCUSD", interval, row["time"] * 1000] = (
                *values,
                *(None, None, None, None),
            )
    return expected


def _close_only(price: float) -> Values:
    return (None, None, None, price, None, None, None, None, None, None)


def _stored(database: Path) -> dict[Key, Values]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "select source, symbol, interval, timestamp, open, high, low, close, volume,"
            " quote_volume, trades, taker_buy_volume, taker_buy_quote_volume, close_time"
            " from historical_prices"
        ).fetchall()
    connection.close()
    found: dict[Key, Values] = {row[:4]: row[4:] for row in rows}
    assert len(found) == len(rows)
    return found


def _series_and_start(asked: Asked) -> tuple[str, ...]:
    """What a request asks for: the series, and where its page begins or, asked backwards, ends."""
    names = ("symbol", "interval", "fsym", "startTime", "from", "days", "toTs", "limit")
    return asked.path, *(asked.query.get(name, "") for name in names)


def test_recorded_providers_end_in_the_table_as_they_were_recorded(
    histq: Histq, place: Path, realdata: Path, provider: Recorded
) -> None:
    with Loopback(provider) as server:
        environment = _environment(server.url, place)

        for command in FETCHES:
            fetched = histq("fetch", *command.split(), "--json", **environment)
            assert fetched.code == 0, fetched.err
            assert fetched.document["failed_windows"] == 0
        consumed = histq("consume", "--concurrency", "5", "--json", **environment)

        assert consumed.code == 0, consumed.err
        stored, expected = _stored(place / "histq.db"), _expected(realdata)
        assert stored == expected
        assert consumed.document["inserted"] == len(expected) == 10_747
        assert max(Counter(map(_series_and_start, server.log)).values()) == 1


def test_a_second_run_asks_for_nothing_held_and_inserts_nothing(
    histq: Histq, place: Path, provider: Recorded
) -> None:
    with Loopback(provider) as server:
        environment = _environment(server.url, place)
        for command in FETCHES:
            histq("fetch", *command.split(), **environment)
        histq("consume", **environment)
        asked_before = len(server.log)

        for command in FETCHES:
            assert histq("fetch", *command.split(), **environment).code == 0
        consumed = histq("consume", "--json", **environment)

        # Only the candles that were open are asked for again, each by itself.
        again = [
            asked.query["startTime"] if "startTime" in asked.query else asked.query["toTs"]
            for asked in server.log[asked_before:]
        ]
        assert sorted(again) == sorted(
            [
                "1637254800000",  # ETHUSDT 1h, 2021-11-18 17:00
                "1731777960000",  # ADAUSDT 1m, 2024-11-16 17:26
                "1749945600000",  # BTCUSDT 1d, 2025-06-15
                "1749945600000",  # ETHUSDT 1d
                "1654732800",  # BTCUSD 1d, 2022-06-09
                "1561273200",  # BTCUSD 1h, 2019-06-23 07:00
            ]
        )
        assert consumed.document["inserted"] == 0
        assert consumed.document["messages"] == 0
        assert max(Counter(map(_series_and_start, server.log)).values()) == 1
