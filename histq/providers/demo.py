"""The loopback source of `histq demo`: generated prices over real HTTP, from `histq/demo.py`.

GET /candles?symbol&interval&start&end: `{"candles": [[open time ms, o, h, l, c, volume], ...]}`.
"""

from typing import ClassVar, Final

import msgspec

from histq.errors import Misshapen
from histq.model import Candle, Interval, Market, Token
from histq.providers import UNREADABLE, Ask, Defaults, Reply, Request, check_status

PAGE_LIMIT: Final = 1000


class _Answer(msgspec.Struct):
    candles: list[tuple[int, float, float, float, float, float]]


_decode = msgspec.json.Decoder(_Answer).decode


class Demo:
    name: ClassVar = "demo"
    intervals: ClassVar = ("1m", "1h")
    defaults: ClassVar = Defaults(
        base_url="http://127.0.0.1:8765",
        enabled=False,
        intervals=("1m",),
        requests_per_minute=6000,
        concurrency=5,
    )
    key_hint: ClassVar = ""

    def market(self, token: Token) -> Market | None:
        symbol = token.base + token.quote
        return Market(symbol, token.base, token.quote, symbol)

    def named(self, symbol: str) -> Market | None:
        return None

    def page_slots(self, interval: Interval) -> int:
        return PAGE_LIMIT

    def reach(self, interval: Interval, plan: str, now: int) -> int | None:
        return None

    def publish_delay_ms(self, interval: Interval) -> int:
        return 0

    def cache_ms(self, interval: Interval) -> int:
        return 0

    def base_url(self, configured: str, plan: str) -> str:
        return configured

    def headers(self, api_key: str, plan: str) -> dict[str, str]:
        return {}

    def request(self, ask: Ask) -> Request:
        return Request(
            "/candles",
            {
                "symbol": ask.market.native,
                "interval": ask.interval.name,
                "start": ask.window.start,
                "end": ask.window.end,
            },
        )

    def check(self, reply: Reply, ask: Ask) -> None:
        check_status(reply, ask)

    def parse(self, body: bytes, ask: Ask) -> list[Candle]:
        try:
            candles = [Candle(*row) for row in _decode(body).candles]
        except UNREADABLE as error:
            raise Misshapen(f"{ask}: no candles in the answer: {error}", body) from error
        return [c for c in candles if ask.window.start <= c.timestamp < ask.window.end]


PROVIDER = Demo()
