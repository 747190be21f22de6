"""CryptoCompare candles of its price index: GET /data/v2/histominute, histohour, histoday.

Times are Unix seconds and open times. `limit` N gives N + 1 rows (at most 2001) that end at `toTs`,
inclusive. Errors come with HTTP 200 and `Response: "Error"`; rows of zeros stand for "no data",
before the listing and inside a history. `volumefrom` is in base currency, `volumeto` in quote
currency. Keyless access ended on 2026-05-21.
https://min-api.cryptocompare.com/documentation
"""

from typing import ClassVar, Final

import msgspec

from histq.errors import Credentials, Misshapen, Permanent, Throttled, UnknownMarket
from histq.model import DAY_MS, SECOND_MS, Candle, Interval, Market, Token
from histq.providers import (
    UNREADABLE,
    Ask,
    Defaults,
    Reply,
    Request,
    check_status,
    excerpt,
    json_object,
    retry_after_s,
    split_symbol,
)

PAGE_LIMIT: Final = 2000
MINUTES_REACH_MS: Final = 7 * DAY_MS
DOLLARS: Final = ("USD", "USDT", "USDC", "FDUSD", "BUSD", "TUSD")
KEY_HINT: Final = (
    "keyless access to CryptoCompare ended on 2026-05-21; set api_key in [sources.cryptocompare]"
    " or HISTQ_SOURCES__CRYPTOCOMPARE__API_KEY"
)

_PATHS = {"1m": "histominute", "1h": "histohour", "1d": "histoday"}
_NO_MARKET, _BAD_PARAMETER, _RATE_LIMIT = 1, 2, 99


class _Row(msgspec.Struct):
    time: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volumefrom: float | None
    volumeto: float | None


class _Nested(msgspec.Struct):
    rows: list[_Row] = msgspec.field(name="Data")


class _Answer(msgspec.Struct):
    # v2 nests the rows once more than v1 does.
    data: _Nested | list[_Row] = msgspec.field(name="Data")


_decode = msgspec.json.Decoder(_Answer).decode


class CryptoCompare:
    name: ClassVar = "cryptocompare"
    intervals: ClassVar = tuple(_PATHS)
    defaults: ClassVar = Defaults(
        base_url="https://min-api.cryptocompare.com",
        enabled=True,
        intervals=("1h",),
        requests_per_minute=120,
        concurrency=2,
    )
    key_hint: ClassVar = KEY_HINT

    def market(self, token: Token) -> Market | None:
        return Market(f"{token.base}USD", token.base, "USD", token.base)

    def named(self, symbol: str) -> Market | None:
        # Only where the symbol says that dollars are meant: WBTC is a coin, and ETHBTC no dollars.
        base, quote = split_symbol(symbol) or ("", "")
        return Market(f"{base}USD", base, "USD", base) if quote in DOLLARS else None

    def page_slots(self, interval: Interval) -> int:
        return PAGE_LIMIT

    def reach(self, interval: Interval, plan: str, now: int) -> int | None:
        # Of minutes the lower plans keep a week; what lies before it is asked for apart.
        return interval.next(now - MINUTES_REACH_MS) if interval.name == "1m" else None

    def publish_delay_ms(self, interval: Interval) -> int:
        return 0

    def cache_ms(self, interval: Interval) -> int:
        return 610 * SECOND_MS

    def base_url(self, configured: str, plan: str) -> str:
        return configured

    def headers(self, api_key: str, plan: str) -> dict[str, str]:
        return {"authorization": f"Apikey {api_key}"} if api_key else {}

    def request(self, ask: Ask) -> Request:
        slots = ask.interval.slots(*ask.window)
        return Request(
            f"/data/v2/{_PATHS[ask.interval.name]}",
            {
                "fsym": ask.market.native,
                "tsym": ask.market.quote,
                "toTs": ask.interval.floor(ask.window.end - 1) // 1000,
                "limit": max(1, slots - 1),
                "tryConversion": "false",  # else prices may be routed through another market
            },
        )

    def check(self, reply: Reply, ask: Ask) -> None:
        answer = json_object(reply.body)
        trouble = answer.get("Err")
        trouble = trouble if isinstance(trouble, dict) else {}
        if reply.status == 401 or trouble.get("http_status_code") == 401:
            raise Credentials(f"{ask.series}: CryptoCompare asks for another key; {KEY_HINT}")
        if _before_history(reply, trouble):
            return
        if answer.get("Response") != "Error" or reply.status in (429, 451) or reply.status >= 500:
            check_status(reply, ask)
            return
        said = f"{ask}: {answer.get('Message') or excerpt(reply.body)}"
        parameter = str(answer.get("ParamWithError", ""))
        match answer.get("Type"):
            case t if t == _RATE_LIMIT:
                raise Throttled(said, retry_after_s(reply))
            case t if t == _NO_MARKET or (
                t == _BAD_PARAMETER and ("sym" in parameter or "no data for" in said)
            ):
                raise UnknownMarket(
                    f"{ask.series}: CryptoCompare has no market {ask.market.base} in"
                    f" {ask.market.quote} ({answer.get('Message')})"
                )
        raise Permanent(f"{said}; this is a fault of histq, please report the whole line")

    def parse(self, body: bytes, ask: Ask) -> list[Candle]:
        try:
            data = _decode(body).data
        except UNREADABLE as error:
            raise Misshapen(f"{ask}: no candles in the answer: {error}", body) from error
        rows = data if isinstance(data, list) else data.rows
        candles = (_candle(row) for row in rows if not _blank(row))
        # A limit of 0 is not one: a window of a single slot is asked with a neighbour.
        return [c for c in candles if ask.window.start <= c.timestamp < ask.window.end]


def _before_history(reply: Reply, trouble: dict[str, object]) -> bool:
    """Whether a 404 only says that history begins later; its empty page is then the answer."""
    info = trouble.get("other_info")
    return reply.status == 404 and isinstance(info, dict) and "first" in info


def _blank(row: _Row) -> bool:
    """Rows of zeros are how this provider says that it has nothing."""
    return not any((row.open, row.high, row.low, row.close, row.volumefrom, row.volumeto))


def _candle(row: _Row) -> Candle:
    return Candle(
        timestamp=row.time * 1000,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volumefrom,
        quote_volume=row.volumeto,
    )


PROVIDER = CryptoCompare()
