"""Binance on loopback as most tests need it: every hour has the same candle."""

import json
from collections.abc import Iterable
from itertools import islice
from typing import Final

from tests.loopback import Asked, Says

HOUR_MS: Final = 3_600_000
PAGE: Final = 1000


def hours(asked: Asked) -> Says:
    """Every hour that is asked for, as many as a page holds."""
    return page(opens(asked))


def opens(asked: Asked) -> range:
    """When the hours open that are asked for."""
    start, end = int(asked.query["startTime"]), int(asked.query.get("endTime", 2**62))
    return range(-(-start // HOUR_MS) * HOUR_MS, end + 1, HOUR_MS)


def page(opens: Iterable[int], most: int = PAGE) -> Says:
    """The candles of these hours, as Binance writes them."""
    rows = [
        [opened, "3", "4", "2", "3.5", "10", opened + HOUR_MS - 1, "35", 7, "5", "17", "0"]
        for opened in islice(opens, most)
    ]
    return Says(json.dumps(rows).encode())
