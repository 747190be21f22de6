"""A market that goes on second by second, and a provider of it with faults."""

import json
import random
import threading
import time
from typing import Final

from tests.loopback import Asked, Says

SECOND_MS: Final = 1000
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
OUTAGE: Final = 7
"""Every so many minutes there is a minute in which no candle was made from second 20 to 30."""


def halted(opened: int) -> bool:
    """Whether no candle opened then, for nobody traded."""
    minute, second = divmod(opened // SECOND_MS, 60)
    return minute % OUTAGE == 0 and 20 <= second < 30


def price(symbol: str, opened: int) -> float:
    """All four of the candle that opened then."""
    return 100 + opened // SECOND_MS % 1000 + SYMBOLS.index(symbol)


BAN_EVERY_S: Final = 300
BANNED_S: Final = 20


class Market:
    """Answers as Binance does; every fifth answer or so is a fault, while it is `faulty`.

    In the middle of every five minutes of its life it wants nobody from here.
    """

    def __init__(self, seed: int) -> None:
        self.faulty = True
        self._began = time.monotonic()
        self._dice = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def bans(self) -> int:
        """Those that are over."""
        whole, part = divmod(self._past_first_ban_s(), BAN_EVERY_S)
        return max(0, int(whole) + (part >= BANNED_S))

    def _past_first_ban_s(self) -> float:
        return time.monotonic() - self._began - BAN_EVERY_S / 2

    def __call__(self, asked: Asked) -> Says:
        past_s = self._past_first_ban_s()
        if past_s >= 0 and past_s % BAN_EVERY_S < BANNED_S:
            return Says(b'{"code":0,"msg":"not available where you are"}', 451)
        with self._lock:
            fault = self._dice.randrange(20) if self.faulty else 19
        start = -(-int(asked.query["startTime"]) // SECOND_MS) * SECOND_MS
        end = int(asked.query.get("endTime", 2**53))
        now = int(time.time() * 1000)
        rows: list[list[object]] = []
        for opened in range(start, min(end, now) + 1, SECOND_MS):
            if not halted(opened) and len(rows) < 1000:
                value = str(price(asked.query["symbol"], opened))
                rows.append([opened, *[value] * 4, "1", opened + 999, value, 1, "1", value, "0"])
        body = json.dumps(rows).encode()
        match fault:
            case 0:
                return Says(b"down", 503)
            case 1:
                return Says(b'{"code":-1003,"msg":"slow"}', 429, {"Retry-After": "1"})
            case 2:
                return Says(body[: len(body) // 2])
            case 3:
                return Says(body[: len(body) // 2], declared=len(body))
            case _:
                return Says(body)
