"""Candles of one minute as Binance says them: a price for every minute, by arithmetic alone."""

import functools
import json
from typing import Any, Final

from tests.loopback import Asked, Says

MINUTE_MS: Final = 60_000
LISTED: Final = 1_502_942_400_000  # 2017-08-17
MOST: Final = 1000
USUAL: Final = 500


def row(opened: int) -> list[Any]:
    """The candle that opened then, in the order and the types of a reply."""
    minute = opened // MINUTE_MS
    low = 40_000 + minute * 7_919 % 1_000_003 / 100
    volume = minute * 104_729 % 9_999_991 / 100_000
    prices = (low + 7.25, low + 21.5, low, low + 13.75)
    return [
        opened,
        *(f"{price:.8f}" for price in prices),
        f"{volume:.8f}",
        opened + MINUTE_MS - 1,
        f"{volume * low:.8f}",
        minute % 1_500,
        f"{volume / 2:.8f}",
        f"{volume * low / 2:.8f}",
        "0",
    ]


def klines(asked: Asked) -> Says:
    """The page that is asked for; both bounds are inclusive, and the later one may be left out."""
    limit = min(MOST, int(asked.query.get("limit", USUAL)))
    start = -(-max(LISTED, int(asked.query["startTime"])) // MINUTE_MS) * MINUTE_MS
    end = int(asked.query.get("endTime", start + limit * MINUTE_MS - 1))
    return Says(_page(start, min(limit, (end - start) // MINUTE_MS + 1)))


@functools.cache
def _page(start: int, count: int) -> bytes:
    times = range(start, start + count * MINUTE_MS, MINUTE_MS)
    return json.dumps([row(opened) for opened in times]).encode()
