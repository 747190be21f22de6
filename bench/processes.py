"""Whole processes, measured: python -m bench.processes.

`histq fetch` and `histq consume` of 100,000 one-minute candles from a server on loopback that takes
50 ms a request; start-up, planning and closing included.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Final

from tests.loopback import Asked, Loopback, Says

ROUNDS: Final = 3
LATENCY_S: Final = 0.05
MINUTE_MS: Final = 60_000
FETCH: Final = "fetch -q BTC -s binance -i 1m --from 2024-01-01 --to 2024-03-10T10:40Z"
POINTS: Final = 100_000


def klines(asked: Asked) -> Says:
    """A page of candles as Binance gives them, after a while."""
    time.sleep(LATENCY_S)
    start, end = int(asked.query["startTime"]), int(asked.query["endTime"])
    values = ("42283.58000000", "42298.62000000", "42261.02000000", "42298.61000000", "35.92724000")
    taken = ("1519032.75231300", 1327, "23.18766000", "980394.29272130", "0")
    rows = [
        [opened, *values, opened + MINUTE_MS - 1, *taken]
        for opened in range(start, end + 1, MINUTE_MS)
    ]
    return Says(json.dumps(rows[:1000]).encode())


def seconds() -> tuple[float, float]:
    """For the fetch, and for the consume."""
    with Loopback(klines) as server, tempfile.TemporaryDirectory() as folder:
        environ = {
            **os.environ,
            "HISTQ_SOURCES__BINANCE__BASE_URL": server.url,
            "HISTQ_STATE_DIR": folder,
        }
        began = time.perf_counter()
        _run(FETCH, folder, environ)
        fetched = time.perf_counter()
        _run("consume -q", folder, environ)
        consumed = time.perf_counter()
        stats = json.loads(_run("stats --json", folder, environ))
    if (stored := stats["series"][0]["points"]) != POINTS:
        raise SystemExit(f"stored {stored} of {POINTS} points: no figure is worth this")
    return fetched - began, consumed - fetched


def _run(command: str, folder: str, environ: dict[str, str]) -> str:
    histq = [sys.executable, "-m", "histq", *command.split()]
    ended = subprocess.run(
        histq, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True, check=True
    )
    return ended.stdout


def main() -> None:
    """Prints the medians."""
    found = [seconds() for _ in range(ROUNDS)]
    fetch_s, consume_s = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"{POINTS:,} candles, {LATENCY_S * 1000:.0f} ms a request: medians of {ROUNDS} rounds")
    print(f"fetch {fetch_s:.2f} s, consume {consume_s:.2f} s")
    print(f"together {POINTS / (fetch_s + consume_s):,.0f} candles/s")


if __name__ == "__main__":
    main()
