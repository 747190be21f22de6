"""CoinGecko in dollars: daily closes (1d), price samples (spot), candles without volume (30m, 4h).

`/coins/{id}/market_chart` with interval=daily: samples at 00:00 UTC, so the one of day D is the
close of D-1 and is stored there; the last sample is "now" and is dropped. `/market_chart/range`
(seconds in, milliseconds out): hourly only for windows of more than 1 and at most 90 days. `/ohlc`:
days is one of 1, 7, 14, 30; 30-minute rows for 1 day, 4-hour rows up to 30; stamps are closes.
`total_volumes` is a rolling 24-hour figure, no candle's volume, and is not kept. Without a paid
plan history ends 365 days ago (HTTP 401, code 10012). Keyless access is limited by address, about 5
requests a minute; a demo key by 10,000 requests a month.
https://docs.coingecko.com/reference/coins-id-market-chart
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from statistics import median
from typing import ClassVar, Final

import msgspec

from histq.errors import Credentials, Misshapen, Permanent, Throttled, UnknownMarket
from histq.model import DAY_MS, HOUR_MS, MINUTE_MS, SPOT, Candle, Interval, Market, Token
from histq.providers import (
    UNREADABLE,
    Ask,
    Coin,
    Defaults,
    Reply,
    Request,
    check_status,
    excerpt,
    retry_after_s,
)

PRO_URL: Final = "https://pro-api.coingecko.com/api/v3"
PUBLIC_URL: Final = "https://api.coingecko.com/api/v3"
FREE_DAYS: Final = 365
FIREWALL: Final = 1020
SPOT_DAYS: Final = 90
# Past a day, and never more than 90: below and above it samples are not hourly.
SPOT_LEAST_MS: Final = DAY_MS + HOUR_MS

_DOLLARS: Mapping[str, str | int] = {"vs_currency": "usd", "precision": "full"}
_BEYOND = (
    f"beyond what this CoinGecko plan serves: without a paid plan history reaches back {FREE_DAYS}"
    f' days; ask --from {FREE_DAYS}d, or set api_key and plan = "paid" in [sources.coingecko]'
)
_OHLC_DAYS = {"30m": (1,), "4h": (7, 14, 30)}
# A finished day appears at 00:35 and caches forget by 00:40; samples are cached for 30 minutes and
# candles for 15.
_PUBLISH_DELAY = {"1d": 40 * MINUTE_MS, SPOT: HOUR_MS, "30m": 15 * MINUTE_MS, "4h": 15 * MINUTE_MS}
_KEY_CODES = (10002, 10010, 10011)
_BEYOND_PLAN = (10005, 10012)
_THROTTLED = re.compile(rb"\s*(Throttled|error code: 1015)")
_CODE = re.compile(rb'"error_code"\s*:\s*(\d+)')


class _Chart(msgspec.Struct):
    prices: list[tuple[int, float | None]]


class _Coin(msgspec.Struct):
    id: str
    symbol: str
    name: str


_Ohlc = list[tuple[int, float | None, float | None, float | None, float | None]]
_decode_chart = msgspec.json.Decoder(_Chart).decode
_decode_coins = msgspec.json.Decoder(list[_Coin]).decode
_decode_ohlc = msgspec.json.Decoder(_Ohlc).decode


class CoinGecko:
    name: ClassVar = "coingecko"
    intervals: ClassVar = ("30m", "4h", "1d", SPOT)
    defaults: ClassVar = Defaults(
        base_url=PUBLIC_URL,
        enabled=True,
        intervals=("1d",),
        requests_per_minute=5,
        concurrency=1,
        plans=("auto", "keyless", "demo", "paid"),
        unit="monthly credits",
        monthly_credits={"demo": 10_000},
    )
    key_hint: ClassVar = ""

    def market(self, token: Token) -> Market | None:
        if not token.coingecko_id:
            return None
        return Market(f"{token.base}USD", token.base, "USD", token.coingecko_id)

    def named(self, symbol: str) -> Market | None:
        return None  # a ticker names several coins; only an id says which

    def page_slots(self, interval: Interval) -> int:
        if interval.name == SPOT:
            return SPOT_DAYS * DAY_MS // interval.step_ms
        return 20_000  # the API has no limit of its own; this is 54 years of days

    def reach(self, interval: Interval, plan: str, now: int) -> int | None:
        if interval.name in _OHLC_DAYS:
            # The first row of a reply may cover only the rest of its slot, so one slot is given up.
            longest = max(_OHLC_DAYS[interval.name]) * DAY_MS
            return interval.next(interval.ceil(now - longest))
        if plan == "paid":
            return None
        if interval.name == SPOT:
            # A slot is given up: the request goes out a little later than it was planned.
            return interval.next(interval.ceil(now - FREE_DAYS * DAY_MS))
        return now - now % DAY_MS - FREE_DAYS * DAY_MS

    def publish_delay_ms(self, interval: Interval) -> int:
        return _PUBLISH_DELAY[interval.name]

    def cache_ms(self, interval: Interval) -> int:
        # Ranges of more than 90 days, which daily closes come in, are cached for 12 hours.
        return 12 * HOUR_MS if interval.name == "1d" else 30 * MINUTE_MS

    def base_url(self, configured: str, plan: str) -> str:
        return PRO_URL if plan == "paid" and configured.rstrip("/") == PUBLIC_URL else configured

    def headers(self, api_key: str, plan: str) -> dict[str, str]:
        if not api_key or plan == "keyless":
            return {}
        return {"x-cg-pro-api-key" if plan == "paid" else "x-cg-demo-api-key": api_key}

    def request(self, ask: Ask) -> Request:
        self._refuse_beyond_reach(ask)
        coin = f"/coins/{ask.market.native}"
        start = ask.window.start
        match ask.interval.name:
            case "1d":
                # N days end with today's 00:00, the close of yesterday: today - start of them reach
                # back to the close of the first day; one more for safety where the plan has it.
                days = (ask.now - ask.now % DAY_MS - start) // DAY_MS
                days = max(1, days if days == FREE_DAYS else days + 1)
                return Request(
                    f"{coin}/market_chart", {**_DOLLARS, "days": days, "interval": "daily"}
                )
            case "spot":
                return Request(f"{coin}/market_chart/range", {**_DOLLARS, **self._span(ask)})
            case name:
                choices = _OHLC_DAYS[name]
                reaching = (
                    d for d in choices if ask.now - d * DAY_MS + ask.interval.step_ms <= start
                )
                return Request(f"{coin}/ohlc", {**_DOLLARS, "days": next(reaching, choices[-1])})

    def _refuse_beyond_reach(self, ask: Ask) -> None:
        """Raises Permanent for what the plan would refuse, or what no reply would hold."""
        reach = self.reach(ask.interval, ask.plan, ask.now)
        if reach is None or reach < ask.window.end:
            return
        if days := _OHLC_DAYS.get(ask.interval.name):
            raise Permanent(
                f"{ask}: CoinGecko serves {ask.interval.name} candles of the last {days[-1]} days"
                " only; ask for 1d, which reaches further back"
            )
        raise Permanent(f"{ask}: {_BEYOND}")

    def _span(self, ask: Ask) -> dict[str, str | int]:
        """Seconds, long enough for hourly samples, and not further back than the plan reaches."""
        start, end = ask.window
        since = min(start, end - SPOT_LEAST_MS)
        reach = self.reach(ask.interval, ask.plan, ask.now)
        if reach is not None and since < reach:
            since = min(start, reach)
        return {"from": since // 1000, "to": -(-max(end, since + SPOT_LEAST_MS) // 1000)}

    def check(self, reply: Reply, ask: Ask) -> None:
        said = f"{ask}: HTTP {reply.status} {excerpt(reply.body)}"
        found = _CODE.search(reply.body) if reply.status >= 400 else None
        code = int(found[1]) if found else 0
        if reply.status == 429 or code == 429 or _THROTTLED.match(reply.body):
            raise Throttled(said, retry_after_s(reply))
        if code in _BEYOND_PLAN:
            raise Permanent(f"{ask}: {_BEYOND} (code {code})")
        if code in _KEY_CODES or reply.status == 401:
            raise Credentials(
                f"{ask.series}: CoinGecko does not accept this access (HTTP {reply.status}, code"
                f" {code}): check api_key and plan in [sources.coingecko]; a demo key belongs to"
                " api.coingecko.com, a paid one to pro-api.coingecko.com"
            )
        if reply.status == 404 and b"coin not found" in reply.body:
            raise UnknownMarket(
                f"{ask.series}: CoinGecko has no coin {ask.market.native!r} (coingecko_id of token"
                f" {ask.market.base}); find the id with: histq symbols search {ask.market.base}"
            )
        if (
            reply.status == 403
            or code == FIREWALL
            or (reply.status >= 400 and b"cloudflare" in reply.body.lower())
        ):
            raise Throttled(said, retry_after_s(reply))
        check_status(reply, ask)

    def parse(self, body: bytes, ask: Ask) -> list[Candle]:
        try:
            match ask.interval.name:
                case "1d":
                    candles = _daily(_decode_chart(body).prices)
                case "spot":
                    candles = _samples(_decode_chart(body).prices)
                case _:
                    candles = _candles(_decode_ohlc(body), ask.interval)
        except UNREADABLE as error:
            raise Misshapen(f"{ask}: no prices in the answer: {error}", body) from error
        return [c for c in candles if ask.window.start <= c.timestamp < ask.window.end]

    def search_request(self) -> Request:
        return Request("/coins/list", {})

    def found(self, body: bytes, ticker: str, ask: Ask) -> list[Coin]:
        try:
            coins = _decode_coins(body)
        except UNREADABLE as error:
            raise Misshapen(f"{ask}: no list of coins in the answer: {error}", body) from error
        return [Coin(c.id, c.symbol, c.name) for c in coins if c.symbol.lower() == ticker.lower()]


def _daily(samples: list[tuple[int, float | None]]) -> list[Candle]:
    midnights = [(stamp, price) for stamp, price in samples if stamp % DAY_MS == 0]
    # All but the last ("now") of a daily reply; hardly any of an hourly one.
    if len(midnights) < (len(samples) - 1) / 2:
        raise ValueError(f"{len(samples) - len(midnights)} of {len(samples)} samples are not daily")
    return [Candle(timestamp=stamp - DAY_MS, close=price) for stamp, price in midnights]


def _samples(samples: list[tuple[int, float | None]]) -> list[Candle]:
    stamps = [stamp for stamp, _ in samples]
    steps = [after - before for before, after in pairwise(stamps)]
    # Single steps vary between two minutes and more than an hour; another granularity is off by 12.
    if len(steps) >= 3 and not HOUR_MS // 2 <= median(steps) <= 2 * HOUR_MS:
        raise ValueError(f"samples are {median(steps) / MINUTE_MS:g} minutes apart, not an hour")
    return [Candle(timestamp=stamp, close=price) for stamp, price in samples]


def _candles(rows: _Ohlc, interval: Interval) -> list[Candle]:
    return [
        Candle(timestamp=stamp - interval.step_ms, open=o, high=h, low=low, close=c)
        for stamp, o, h, low, c in rows
        if stamp % interval.step_ms == 0  # the bucket in progress is stamped "now"
    ]


PROVIDER = CoinGecko()
