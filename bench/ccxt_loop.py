"""What people write with ccxt: python -m bench.ccxt_loop URL DATABASE SINCE UNTIL.

One page after the other, each committed with `insert or ignore`. In its favour: the rate limiter is
off, only spot markets are loaded, JSON is read by orjson, SQLite writes ahead.
"""

import contextlib
import json
import sqlite3
import sys
import time
from typing import Final

import ccxt

PAGE: Final = 1000
MINUTE_MS: Final = 60_000


def main(url: str, database: str, since: int, until: int) -> None:
    """Prints the seconds from the first request on."""
    exchange = ccxt.binance(
        {"enableRateLimit": False, "options": {"fetchMarkets": {"types": ["spot"]}}}
    )
    exchange.urls["api"]["public"] = f"{url}/api/v3"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute(
            "create table ohlcv (symbol text, timestamp integer, open real, high real, low real,"
            " close real, volume real, primary key (symbol, timestamp)) without rowid"
        )
        began = time.perf_counter()
        while since < until:
            page = exchange.fetch_ohlcv("BTC/USDT", "1m", since=since, limit=PAGE)
            rows = [("BTCUSDT", *candle) for candle in page if candle[0] < until]
            with connection:
                connection.executemany("insert or ignore into ohlcv values (?,?,?,?,?,?,?)", rows)
            since = page[-1][0] + MINUTE_MS
        print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
