"""The recorded providers, served by their own rules: in pages, at the time of recording."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.loopback import Asked, Says

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
STEP_MS = {"1m": MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
# https://api.binance.com ... /api/v3/klines: at most so many rows a page.
BINANCE_LIMIT = 1000

Row = list[Any]
Key = tuple[str, str, str, int]
Values = tuple[float | int | None, ...]


class Recorded:
    """Answers as Binance, CoinGecko and CryptoCompare did, by path.

    Each recording has its own "now", a little after its last row, which was open then.
    """

    def __init__(self, folder: Path) -> None:
        months = ("2024-11", "2024-12", "2025-01")
        self._klines: dict[tuple[str, str], list[tuple[int, list[Row]]]] = {}
        for symbol in ("BTCUSDT", "ETHUSDT"):
            files = [folder / f"binance/vision_spot_1h/{symbol}-1h-{month}.csv" for month in months]
            rows = [row for file in files for row in _archive_rows(file)]
            self._add(symbol, "1h", rows, now=rows[-1][0] + 2 * HOUR_MS)
        rest = folder / "binance/rest_json"
        for symbol, interval, name in (
            ("ETHUSDT", "1h", "klines_ETHUSDT_1h_20211108-20211118"),
            ("ADAUSDT", "1m", "klines_ADAUSDT-probable_1m_20241116"),
            ("BTCUSDT", "1d", "klines_BTCUSDT_1d_20250216-20250615_lastopen"),
            ("ETHUSDT", "1d", "klines_ETHUSDT_1d_20250216-20250615_lastopen"),
        ):
            rows = json.loads((rest / f"{name}.json").read_text())
            self._add(symbol, interval, rows, now=rows[-1][0] + 30_000)
        charts = folder / "coingecko/market_chart"
        self._luna = json.loads(next(charts.glob("terra-luna*")).read_text())["prices"]
        self._bitcoin = json.loads(next(charts.glob("bitcoin*-20231010.json")).read_text())[
            "prices"
        ]
        minute = folder / "cryptocompare/min_api"
        self._days: list[list[dict[str, Any]]] = [
            json.loads(next(minute.glob("histoday_v1*")).read_text())["Data"],
            json.loads(next(minute.glob("v2_histoday*")).read_text())["Data"]["Data"],
        ]
        self._hours: list[dict[str, Any]] = json.loads(
            next(minute.glob("histohour_v1*")).read_text()
        )

    def _add(self, symbol: str, interval: str, rows: list[Row], now: int) -> None:
        self._klines.setdefault((symbol, interval), []).append((now, rows))

    def __call__(self, asked: Asked) -> Says:
        match asked.path.split("/")[1:]:
            case ["api", "v3", "klines"]:
                return self._binance(asked.query)
            case ["coins", "terra-luna", "market_chart"]:
                return _says({"prices": self._luna}, now=self._luna[-1][0])
            case ["coins", "bitcoin", "market_chart", "range"]:
                return self._range(asked.query)
            case ["data", "v2", "histoday"]:
                recordings = [(rows, DAY_MS) for rows in self._days]
            case ["data", "v2", "histohour"]:
                recordings = [(self._hours, HOUR_MS)]
            case _:
                return Says(b"{}", 404)
        if asked.headers.get("authorization") != "Apikey k":
            return Says(b'{"Data":{},"Err":{"type":2,"message":"API key required"}}', 401)
        return _cryptocompare(asked.query, recordings)

    def _binance(self, query: dict[str, str]) -> Says:
        start, end = int(query["startTime"]), int(query["endTime"])
        recordings = self._klines.get((query["symbol"], query["interval"]))
        if recordings is None:
            return Says(b'{"code":-1121,"msg":"Invalid symbol."}', 400)
        limit = min(int(query["limit"]), BINANCE_LIMIT)
        # The recording that the window falls into; before it and after it there is nothing.
        overlapping = (r for r in recordings if start <= r[1][-1][0] and r[1][0][0] <= end)
        now, rows = next(overlapping, (0, []))
        page = [row for row in rows if start <= row[0] <= end][:limit]
        return _says(page, now=now or end)

    def _range(self, query: dict[str, str]) -> Says:
        start, end = int(query["from"]) * 1000, int(query["to"]) * 1000
        page = [sample for sample in self._bitcoin if start <= sample[0] <= end]
        return _says({"prices": page}, now=self._bitcoin[-1][0] + 2 * HOUR_MS)


def _says(content: object, now: int) -> Says:
    return Says(json.dumps(content).encode(), now=now)


def _cryptocompare(
    query: dict[str, str], recordings: Iterable[tuple[list[dict[str, Any]], int]]
) -> Says:
    until = int(query["toTs"])
    rows, step = next(r for r in recordings if r[0][0]["time"] <= until <= r[0][-1]["time"])
    # limit N gives N + 1 rows that end at toTs, inclusive
    page = [row for row in rows if row["time"] <= until][-int(query["limit"]) - 1 :]
    answer = {"Response": "Success", "Type": 100, "Data": {"Aggregated": False, "Data": page}}
    return _says(answer, now=rows[-1]["time"] * 1000 + step // 2)


def _archive_rows(file: Path) -> list[Row]:
    """The archive's rows as the API gives them: integers, strings, milliseconds."""
    found = []
    for row in csv.reader(file.read_text().splitlines()):
        opened, closed = (int(row[i]) // (1000 if len(row[i]) == 16 else 1) for i in (0, 6))
        found.append([opened, *row[1:6], closed, row[7], int(row[8]), *row[9:12]])
    return found


def binance_values(rows: Sequence[Row], symbol: str, interval: str) -> dict[Key, Values]:
    """(source, symbol, interval, open time) to the twelve columns' worth of values, by hand."""
    return {
        ("binance", symbol, interval, row[0]): (
            *(float(row[i]) for i in (1, 2, 3, 4, 5, 7)),
            row[8],
            float(row[9]),
            float(row[10]),
            None if row[6] == row[0] + STEP_MS[interval] - 1 else row[6],
        )
        for row in rows
    }
