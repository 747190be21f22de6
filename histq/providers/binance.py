"""Binance spot candles: GET /api/v3/klines.

Times are Unix milliseconds, numbers come as strings. At most 1000 candles a request, whose
`startTime` and `endTime` are both inclusive and compare the open time. A request weighs 2 of 6000 a
minute and IP address, so 3000 requests; every reply tells what is used of them, by whomever, in
the current minute of the UTC clock. Outages are absent rows, open times may be off the grid and
a halted candle closes early. The last row is usually the candle that is still open.
https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md
"""

import re
from typing import ClassVar, Final

import msgspec

from histq.errors import Misshapen, Permanent, Refused, Throttled, Transient, UnknownMarket
from histq.model import MICROSECONDS_FROM, Candle, Interval, Market, Token
from histq.providers import (
    UNREADABLE,
    Ask,
    Defaults,
    Reply,
    Request,
    Used,
    check_status,
    excerpt,
    json_object,
    retry_after_s,
    split_symbol,
)

PAGE_LIMIT: Final = 1000
WEIGHT_A_MINUTE: Final = 6000

_UNKNOWN = {-1100: "symbol", -1120: "interval", -1121: "symbol"}
_TRANSIENT = (-1000, -1001, -1006, -1007, -1008)
_TOO_MANY = -1003

_Row = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
_decode = msgspec.json.Decoder(list[_Row]).decode


class Binance:
    name: ClassVar = "binance"
    intervals: ClassVar = (
        *("1s", "1m", "3m", "5m", "15m", "30m"),
        *("1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"),
    )
    defaults: ClassVar = Defaults(
        # Market data only: needs no key and is not blocked by country.
        base_url="https://data-api.binance.vision",
        enabled=True,
        intervals=("1h",),
        requests_per_minute=2400,
        concurrency=5,
        cost=2,
        unit="request weight",
    )
    key_hint: ClassVar = ""

    def market(self, token: Token) -> Market | None:
        symbol = token.base + token.quote
        return Market(symbol, token.base, token.quote, symbol)

    def named(self, symbol: str) -> Market | None:
        joined = symbol.replace("/", "")
        base, quote = split_symbol(symbol) or (joined, "")
        return Market(joined, base, quote, joined)

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
        return {"X-MBX-APIKEY": api_key} if api_key else {}

    def request(self, ask: Ask) -> Request:
        return Request(
            "/api/v3/klines",
            {
                "symbol": ask.market.native,
                "interval": ask.interval.name,
                "startTime": ask.window.start,
                "endTime": ask.window.end - 1,
                "limit": PAGE_LIMIT,
            },
        )

    def first_request(self, ask: Ask) -> Request:
        params = {"symbol": ask.market.native, "interval": ask.interval.name}
        return Request("/api/v3/klines", {**params, "startTime": 0, "limit": 1})

    def first_open(self, body: bytes, ask: Ask) -> list[int]:
        try:
            return [_milliseconds(row[0]) for row in _decode(body)]
        except UNREADABLE as error:
            raise Misshapen(f"{ask}: no candle in the answer: {error}", body) from error

    def check(self, reply: Reply, ask: Ask) -> None:
        if reply.status < 300:
            return
        code = json_object(reply.body).get("code")
        said = f"{ask}: HTTP {reply.status} {excerpt(reply.body)}"
        if reply.status == 451:
            raise Refused(
                f"{ask.series}: HTTP 451, this host does not serve your location; set base_url of"
                " [sources.binance] to https://data-api.binance.vision (market data only, not"
                " blocked by country) or, for another exchange with its own prices,"
                " https://api.binance.us"
            )
        if reply.status == 403:
            raise Throttled(f"{ask}: HTTP 403, Binance's firewall blocks this address for a while")
        if reply.status in (418, 429) or code == _TOO_MANY:
            raise Throttled(said, retry_after_s(reply) or _banned_s(reply, ask))
        if isinstance(code, int) and code in _UNKNOWN:
            what = _UNKNOWN[code]
            value = ask.market.native if what == "symbol" else ask.interval.name
            raise UnknownMarket(
                f"{ask.series}: Binance has no {what} {value!r}"
                f" ({json_object(reply.body).get('msg')}); spell markets like BTCUSDT"
            )
        if code in _TRANSIENT:
            raise Transient(said, retry_after_s(reply))
        if reply.status == 400:
            raise Permanent(f"{said}; this is a fault of histq, please report the whole line")
        check_status(reply, ask)

    def used(self, reply: Reply) -> Used | None:
        weight = reply.headers.get("x-mbx-used-weight-1m", "")
        if not re.fullmatch(r"[0-9]{1,9}", weight):
            return None
        return Used(int(weight) / WEIGHT_A_MINUTE, window_s=60)

    def parse(self, body: bytes, ask: Ask) -> list[Candle]:
        try:
            candles = [_candle(row, ask.interval) for row in _decode(body)]
        except UNREADABLE as error:
            raise Misshapen(f"{ask}: no candles in the answer: {error}", body) from error
        for candle in candles:
            if not ask.window.start <= candle.timestamp < ask.window.end:
                raise Misshapen(
                    f"{ask}: a candle of {candle.timestamp}, which was not asked for", body
                )
        return candles


def _banned_s(reply: Reply, ask: Ask) -> float | None:
    """How long a ban lasts by its text, which names its end in ms; None where it names none."""
    until = re.search(rb"banned until (\d{13})\b", reply.body)
    return max(0, int(until[1]) - ask.now) / 1000 if until else None


def _candle(row: _Row, interval: Interval) -> Candle:
    opened, closed = _milliseconds(row[0]), _milliseconds(row[6])
    return Candle(
        timestamp=opened,
        open=float(row[1]),
        high=float(row[2]),
        low=float(row[3]),
        close=float(row[4]),
        volume=float(row[5]),
        quote_volume=float(row[7]),
        trades=row[8],
        taker_buy_volume=float(row[9]),
        taker_buy_quote_volume=float(row[10]),
        close_time=None if closed == interval.close_time(opened) else closed,
    )


def _milliseconds(instant: int) -> int:
    return instant // 1000 if instant >= MICROSECONDS_FROM else instant


PROVIDER = Binance()
