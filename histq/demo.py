"""A provider on loopback with generated prices, for `histq demo`: no network, no keys.

Prices are a function of symbol and time, so that every page of every run agrees with every other.
It answers after a few milliseconds, says 503 once, and knows of one outage.
"""

import json
import math
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

from histq.host import wall_clock
from histq.model import DAY_MS, HOUR_MS, MINUTE_MS, Interval

LEVELS: Final = {"BTCUSDT": 64_000.0, "ETHUSDT": 3_100.0, "SOLUSDT": 150.0}
LATENCY_S: Final = 0.02
OUTAGE_MS: Final = 2 * HOUR_MS
PAGE_LIMIT: Final = 1000


def price(symbol: str, instant: int) -> float:
    """Smooth over days, hours and minutes, with a little noise; the same whenever it is asked."""
    days = instant / DAY_MS
    swing = 0.08 * math.sin(days / 9) + 0.03 * math.sin(days * 2.1) + 0.006 * math.sin(days * 41)
    noise = (zlib.crc32(f"{symbol}{instant}".encode()) / 2**32 - 0.5) * 0.001
    return round(LEVELS[symbol] * (1 + swing + noise), 2)


def candle(symbol: str, opened: int, step_ms: int) -> list[float]:
    """[open time, open, high, low, close, volume]"""
    first, last = price(symbol, opened), price(symbol, opened + step_ms)
    reach = zlib.crc32(f"{opened}{symbol}".encode()) / 2**32
    high = round(max(first, last) * (1 + 0.0005 * reach), 2)
    low = round(min(first, last) * (1 - 0.0005 * reach), 2)
    return [opened, first, high, low, last, round(1 + 40 * reach, 4)]


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(LATENCY_S)
        if self.server.first_request():
            self._answer(503, {"error": "briefly out of service"}, retry_after="1")
            return
        asked = dict(parse_qsl(urlsplit(self.path).query))
        self._answer(200, {"candles": self._candles(asked)})

    def _candles(self, asked: dict[str, str]) -> list[list[float]]:
        interval = Interval.parse(asked["interval"])
        start, end = int(asked["start"]), int(asked["end"])
        opened = interval.ceil(start)
        found: list[list[float]] = []
        while opened < end and opened <= wall_clock() and len(found) < PAGE_LIMIT:
            if not self.server.outage <= opened < self.server.outage + OUTAGE_MS:
                found.append(candle(asked["symbol"], opened, interval.step_ms))
            opened = interval.next(opened)
        return found

    def _answer(self, status: int, content: object, retry_after: str | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the terminal belongs to the demo."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # Within a page of a first run, so that one reply shows what came before and after it.
        first = Interval("1m").floor(wall_clock()) - 30 * DAY_MS
        self.outage = first + 20 * PAGE_LIMIT * MINUTE_MS + 300 * MINUTE_MS
        self._lock = threading.Lock()
        self._answered = 0

    def first_request(self) -> bool:
        with self._lock:
            self._answered += 1
            return self._answered == 1


class DemoServer:
    """Serves while the block runs; `url` is its base_url."""

    def __init__(self) -> None:
        self._server = _Server()
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
