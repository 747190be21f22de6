"""Whole processes, measured: python -m bench.processes.

`histq fetch` and `histq consume` of 100,000 one-minute candles, and a ccxt loop that writes them to
SQLite, in turns, from a server on loopback that takes 50 ms a request and has a process of its own.
Start-up, planning and closing are included. Needs the extra `bench`.
"""

import contextlib
import json
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from bench.candles import MINUTE_MS, klines
from bench.measure import (
    MEMORY_MB,
    ROUNDS,
    Ended,
    at_least,
    at_most,
    environ,
    machine,
    ratio,
    run,
)
from bench.serving import Served
from tests.loopback import Asked, Says

LATENCY_S: Final = 0.05
POINTS: Final = 100_000
SINCE: Final = 1_704_067_200_000  # 2024-01-01
FETCH: Final = "fetch -q BTC -s binance -i 1m --from 2024-01-01 --to 2024-03-10T10:40Z"
RATE: Final = 25_000
TIMES_CCXT: Final = 1.5

MARKETS: Final = {
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "isSpotTradingAllowed": True,
            "permissions": ["SPOT"],
            "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01"}],
        }
    ]
}


class Round(NamedTuple):
    """Both processes of histq, and the loop's, with the seconds that it counts itself."""

    fetch: Ended
    consume: Ended
    loop: Ended
    loop_s: float

    @property
    def histq_s(self) -> float:
        return self.fetch.seconds + self.consume.seconds


def binance(asked: Asked) -> Says:
    """What is asked for, after a while."""
    time.sleep(LATENCY_S)
    if asked.path.endswith("/exchangeInfo"):
        return Says(json.dumps(MARKETS).encode())
    return klines(asked)


def measured(url: str, folder: Path) -> Round:
    """One round. Raises SystemExit where the two tables differ."""
    surroundings = environ(folder, sources__binance__base_url=url)
    fetch = run("histq", *FETCH.split(), cwd=folder, environ=surroundings)
    consume = run("histq", "consume", "-q", cwd=folder, environ=surroundings)
    span = [str(SINCE), str(SINCE + POINTS * MINUTE_MS)]
    loop = run("bench.ccxt_loop", url, "ccxt.db", *span, cwd=folder, environ=surroundings)
    ours, theirs = _summary(folder / "histq.db", "prices"), _summary(folder / "ccxt.db", "ohlcv")
    if ours != theirs or ours[0] != POINTS:
        raise SystemExit(f"{ours} and {theirs} of {POINTS} candles: no figure is worth this")
    return Round(fetch, consume, loop, json.loads(loop.out)["seconds"])


def _summary(path: Path, table: str) -> tuple[int, ...]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found: tuple[int, ...] = connection.execute(
            "select count(*), sum(timestamp), sum(cast(close * 100 as integer)),"
            f" sum(cast(volume * 100000 as integer)) from {table}"
        ).fetchone()
    return found


def main() -> None:
    """Prints the medians. A round before the first fills the server's cache."""
    print(f"{machine()}: medians of {ROUNDS} rounds")
    print(f"{POINTS:,} candles, {LATENCY_S * 1000:.0f} ms a request")
    found = []
    with Served(binance) as server:
        for number in range(ROUNDS + 1):
            with tempfile.TemporaryDirectory() as name:
                each = measured(server.url, Path(name))
            if number:
                found.append(each)
    _show(found)


def _show(found: list[Round]) -> None:
    histq_s = [each.histq_s for each in found]
    loop_s = [each.loop.seconds for each in found]
    print(f"{'':16}{'seconds':>9}{'candles/s':>12}{'peak, MB':>10}")
    for name, ended in (
        ("fetch", [each.fetch for each in found]),
        ("consume", [each.consume for each in found]),
        ("ccxt loop", [each.loop for each in found]),
    ):
        seconds = statistics.median(each.seconds for each in ended)
        peak = max(each.peak_mb for each in ended)
        print(f"{name:16}{seconds:>9.2f}{POINTS / seconds:>12,.0f}{peak:>10.0f}")
    running = statistics.median(each.loop_s for each in found)
    print(f"the ccxt loop without start-up: {running:.2f} s")
    at_least("fetch and consume", POINTS / statistics.median(histq_s), RATE, " candles/s")
    at_least("against the ccxt loop", ratio(loop_s, histq_s), TIMES_CCXT, "x")
    peaks = [max(each.fetch.peak_mb, each.consume.peak_mb) for each in found]
    at_most("memory of a histq process", max(peaks), MEMORY_MB, " MB")


if __name__ == "__main__":
    main()
