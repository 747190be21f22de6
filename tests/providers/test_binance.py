"""Binance: what its klines and its refusals mean, by recorded bodies and by small ones."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from histq.errors import (
    HistqError,
    Misshapen,
    Permanent,
    Refused,
    Throttled,
    Transient,
    UnknownMarket,
)
from histq.model import Candle, Interval, Market, Token, Window
from histq.providers import Ask, Metered, Reply, Used, providers
from tests.providers import ask_for

BINANCE = providers()["binance"]
BTCUSDT = Market("BTCUSDT", "BTC", "USDT", "BTCUSDT")
MIDNIGHT = 1_704_067_200_000  # 2024-01-01
HOUR = 3_600_000

# 2024-01-01 00:00 and 01:00 of a market that does not exist.
TWO_HOURS = b"""[
 [1704067200000, "10.00000000", "12.50000000", "9.00000000", "11.00000000", "3.25000000",
  1704070799999, "35.75000000", 17, "1.25000000", "13.75000000", "0"],
 [1704070800000, "11.10000000", "11.20000000", "11.00000000", "11.10000000", "0.10000000",
  1704074399999, "1.11000000", 2, "0.00000000", "0.00000000", "0"]
]"""
FLAT = ["1.0", "1.0", "1.0", "1.0", "0.0"]


def ask(start: int, end: int, interval: str = "1h", market: Market = BTCUSDT) -> Ask:
    return ask_for("binance", market, interval, Window(start, end))


TWO_HOURS_ASK = ask(MIDNIGHT, MIDNIGHT + 2 * HOUR)


def kline(opened: int, closed: int) -> list[object]:
    return [opened, *FLAT, closed, "0.0", 0, "0.0", "0.0", "0"]


def body_of(*rows: list[object]) -> bytes:
    return json.dumps(rows).encode()


def archived(file: Path, *, skip_columns: int = 0) -> list[list[object]]:
    """The rows of an archive file in the shape of the API."""
    rows: list[list[object]] = []
    with file.open() as lines:
        for row in csv.reader(lines):
            texts = row[skip_columns:]
            if texts[0].isdigit():
                opened, closed, trades = int(texts[0]), int(texts[6]), int(texts[8])
                rows.append([opened, *texts[1:6], closed, texts[7], trades, *texts[9:]])
    return rows


def test_a_token_is_asked_for_without_separator() -> None:
    market = BINANCE.market(Token("ETH", "BTC"))

    assert market == Market("ETHBTC", "ETH", "BTC", "ETHBTC")


@pytest.mark.parametrize("symbol", ["PEPE/USDT", "PEPEUSDT"])
def test_any_symbol_is_a_market_to_ask_for(symbol: str) -> None:
    market = BINANCE.named(symbol)

    assert market == Market("PEPEUSDT", "PEPE", "USDT", "PEPEUSDT")


def test_a_symbol_of_unknown_parts_is_asked_for_as_it_is() -> None:
    market = BINANCE.named("FOOBAR")

    assert market is not None
    assert (market.symbol, market.native) == ("FOOBAR", "FOOBAR")


def test_needs_no_key_and_is_asked_by_default_at_the_host_that_no_country_is_barred_from() -> None:
    assert BINANCE.key_hint == ""
    assert BINANCE.defaults.enabled
    assert BINANCE.defaults.base_url == "https://data-api.binance.vision"
    assert BINANCE.defaults.intervals == ("1h",)


def test_stays_below_3000_requests_a_minute() -> None:
    assert BINANCE.defaults.requests_per_minute < 3000


def test_serves_every_interval_but_observations() -> None:
    assert " ".join(BINANCE.intervals) == "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M"


def test_a_key_travels_in_its_header() -> None:
    assert BINANCE.headers("s3cret", "") == {"X-MBX-APIKEY": "s3cret"}


def test_no_plan_limits_how_far_back_one_may_ask() -> None:
    assert BINANCE.reach(Interval("1h"), "", MIDNIGHT) is None


def test_a_request_names_inclusive_bounds_of_open_times() -> None:
    path, params = BINANCE.request(TWO_HOURS_ASK)

    assert path == "/api/v3/klines"
    assert params == {
        "symbol": "BTCUSDT",
        "interval": "1h",
        "startTime": 1_704_067_200_000,
        "endTime": 1_704_074_399_999,
        "limit": 1000,
    }


def test_windows_that_touch_ask_for_no_candle_twice() -> None:
    before = BINANCE.request(ask(MIDNIGHT, MIDNIGHT + HOUR)).params
    after = BINANCE.request(ask(MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)).params

    assert before["endTime"] == 1_704_070_799_999
    assert after["startTime"] == 1_704_070_800_000


@pytest.mark.parametrize("interval", ["1m", "1M"])
def test_minutes_and_months_keep_their_case(interval: str) -> None:
    params = BINANCE.request(ask(MIDNIGHT, MIDNIGHT + HOUR, interval)).params

    assert params["interval"] == interval


def test_a_page_is_as_long_as_the_limit() -> None:
    assert BINANCE.page_slots(Interval("1m")) == 1000


def test_every_field_of_a_candle_is_kept() -> None:
    first, second = BINANCE.parse(TWO_HOURS, TWO_HOURS_ASK)

    assert first == Candle(
        timestamp=1_704_067_200_000,
        open=10.0,
        high=12.5,
        low=9.0,
        close=11.0,
        volume=3.25,
        quote_volume=35.75,
        trades=17,
        taker_buy_volume=1.25,
        taker_buy_quote_volume=13.75,
        close_time=None,
    )
    assert second.open == 11.1  # not the close before it


def test_a_candle_without_trades_is_a_candle() -> None:
    page = body_of(kline(MIDNIGHT, MIDNIGHT + HOUR - 1))

    (candle,) = BINANCE.parse(page, TWO_HOURS_ASK)

    assert (candle.trades, candle.volume, candle.close) == (0, 0.0, 1.0)


def test_a_candle_that_closed_early_says_when() -> None:
    halt = 1_679_659_200_000  # 2023-03-24T12:00Z
    page = body_of(kline(halt, 1_679_661_581_646))

    (candle,) = BINANCE.parse(page, ask(halt, halt + 2 * HOUR))

    assert candle.close_time == 1_679_661_581_646


def test_an_open_time_off_the_grid_is_kept_as_it_is() -> None:
    opened = 1_518_168_494_789  # 2018-02-09T09:28:14.789Z
    page = body_of(kline(opened, opened + HOUR - 1))

    (candle,) = BINANCE.parse(page, ask(opened - 789, opened + HOUR))

    assert (candle.timestamp, candle.close_time) == (1_518_168_494_789, None)


def test_candles_that_are_absent_stay_absent() -> None:
    page = body_of(
        kline(MIDNIGHT, MIDNIGHT + HOUR - 1), kline(MIDNIGHT + 3 * HOUR, MIDNIGHT + 4 * HOUR - 1)
    )

    candles = BINANCE.parse(page, ask(MIDNIGHT, MIDNIGHT + 4 * HOUR))

    assert [c.timestamp for c in candles] == [1_704_067_200_000, 1_704_078_000_000]


def test_a_month_closes_with_the_calendar() -> None:
    february = 1_706_745_600_000  # 2024-02-01, a leap year: closes on the 29th
    page = body_of(kline(february, 1_709_251_199_999))

    (candle,) = BINANCE.parse(page, ask(february, 1_709_251_200_000, "1M"))

    assert candle.close_time is None


def test_microseconds_are_read_as_milliseconds() -> None:
    page = body_of(kline(1_735_689_600_000_000, 1_735_693_199_999_999))

    (candle,) = BINANCE.parse(page, ask(1_735_689_600_000, 1_735_693_200_000))

    assert (candle.timestamp, candle.close_time) == (1_735_689_600_000, None)


def test_prices_are_the_doubles_nearest_to_the_text() -> None:
    row = [MIDNIGHT, "0.00000001", "48189.99999999", "0.00000001", "48189.99999999", "1", 0, "1"]
    page = body_of([*row, 1, "1", "1", "0"])

    (candle,) = BINANCE.parse(page, TWO_HOURS_ASK)

    assert (candle.low, candle.high) == (1e-8, 48189.99999999)


@pytest.mark.parametrize(
    "opened",
    [
        pytest.param(MIDNIGHT - 1, id="before"),
        pytest.param(MIDNIGHT + 2 * HOUR, id="after"),
        pytest.param(0, id="epoch"),
        pytest.param(1_704_067_200, id="in seconds"),
    ],
)
def test_a_candle_that_was_not_asked_for_makes_the_page_misshapen(opened: int) -> None:
    page = body_of(kline(MIDNIGHT, MIDNIGHT + HOUR - 1), kline(opened, opened + HOUR - 1))

    with pytest.raises(Misshapen, match=f"a candle of {opened}"):
        BINANCE.parse(page, TWO_HOURS_ASK)


@pytest.mark.parametrize("interval", ["1h", "1w", "1M"])
@pytest.mark.parametrize("opened", [-9 * 10**15, 9 * 10**24], ids=["before history", "beyond time"])
def test_an_open_time_of_no_calendar_makes_the_page_misshapen(opened: int, interval: str) -> None:
    page = body_of(kline(opened, opened))

    with pytest.raises(Misshapen):
        BINANCE.parse(page, ask(MIDNIGHT, MIDNIGHT + HOUR, interval))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param([MIDNIGHT, *FLAT, 0, "0", 0, "0", "0"], id="a column short"),
        pytest.param([MIDNIGHT, *FLAT, 0, "0", 0, "0", "0", "0", "0"], id="a column more"),
        pytest.param([MIDNIGHT, "dear", *FLAT[1:], 0, "0", 0, "0", "0", "0"], id="price a word"),
        pytest.param([MIDNIGHT, None, *FLAT[1:], 0, "0", 0, "0", "0", "0"], id="price null"),
        pytest.param([str(MIDNIGHT), *FLAT, 0, "0", 0, "0", "0", "0"], id="time a text"),
    ],
)
def test_a_row_of_another_shape_makes_the_page_misshapen(row: list[object]) -> None:
    with pytest.raises(Misshapen):
        BINANCE.parse(body_of(row), TWO_HOURS_ASK)


class Refusal(NamedTuple):
    """A recorded answer, the same in short, and what it means."""

    file: str
    short: bytes
    status: int
    kind: type[HistqError]
    says: tuple[str, ...]
    headers: Mapping[str, str] = {}
    retry_after_s: float | None = None


REFUSALS = [
    Refusal(
        "400_-1121_invalid_symbol.json",
        b'{"code":-1121,"msg":"Invalid symbol."}',
        400,
        UnknownMarket,
        ("symbol 'BTCUSDT'",),
    ),
    Refusal(
        "400_-1120_invalid_interval.json",
        b'{"code":-1120,"msg":"Invalid interval."}',
        400,
        UnknownMarket,
        ("interval '1h'",),
    ),
    Refusal(
        "400_-1100_illegal_chars_symbol_2025.json",
        b'{"code":-1100,"msg":"Illegal characters found in parameter \'symbol\'"}',
        400,
        UnknownMarket,
        ("symbol 'BTCUSDT'", "spell"),
    ),
    Refusal(
        "400_-1100_illegal_chars_symbol_older.json",
        b'{"code":-1100,"msg":"Illegal characters"}',
        400,
        UnknownMarket,
        ("symbol 'BTCUSDT'",),
    ),
    Refusal(
        "400_-1102_mandatory_param.json",
        b'{"code":-1102,"msg":"Mandatory parameter \'symbol\' was not sent"}',
        400,
        Permanent,
        ("HTTP 400", "-1102", "Mandatory parameter 'symbol'", "report"),
    ),
    Refusal(
        "400_-1104_unread_params.json",
        b'{"code":-1104,"msg":"Not all sent parameters were read"}',
        400,
        Permanent,
        ("-1104", "Not all sent parameters", "report"),
    ),
    Refusal(
        "400_-1128_bad_combo.json",
        b'{"code":-1128,"msg":"Combination of optional parameters invalid."}',
        400,
        Permanent,
        ("-1128", "Combination", "report"),
    ),
    Refusal(
        "429_-1003_too_much_weight.json",
        b'{"code":-1003,"msg":"Too much request weight used"}',
        429,
        Throttled,
        ("HTTP 429", "Too much request weight"),
        {"retry-after": "17"},
        17.0,
    ),
    Refusal(
        "418_-1003_ip_banned.json",
        b'{"code":-1003,"msg":"IP banned until 1660090423228."}',
        418,
        Throttled,
        ("HTTP 418", "banned until 1660090423228"),
        {"retry-after": "259200"},
        259_200.0,
    ),
    Refusal(
        "403_cloudfront.html",
        b"<HTML><TITLE>ERROR: The request could not be satisfied</TITLE></HTML>",
        403,
        Throttled,
        ("HTTP 403", "firewall"),
    ),
    Refusal(
        "451_restricted_location.json",
        b'{"code": 0, "msg": "Service unavailable from a restricted location"}',
        451,
        Refused,
        ("451", "base_url", "https://data-api.binance.vision", "https://api.binance.us"),
    ),
]
every_refusal = pytest.mark.parametrize("refusal", REFUSALS, ids=[r.file for r in REFUSALS])


def assert_told(refusal: Refusal, body: bytes) -> None:
    with pytest.raises(refusal.kind) as caught:
        BINANCE.check(Reply(refusal.status, refusal.headers, body), TWO_HOURS_ASK)

    assert type(caught.value) is refusal.kind
    assert [text for text in refusal.says if text not in str(caught.value)] == []
    assert getattr(caught.value, "retry_after_s", None) == refusal.retry_after_s


@every_refusal
def test_a_refusal_is_told_for_what_it_is(refusal: Refusal) -> None:
    assert_told(refusal, refusal.short)


@every_refusal
def test_a_recorded_refusal_is_told_for_what_it_is(refusal: Refusal, realdata: Path) -> None:
    assert_told(refusal, (realdata / "binance" / "errors" / refusal.file).read_bytes())


def test_every_recorded_refusal_is_tested(realdata: Path) -> None:
    recorded = {file.name for file in (realdata / "binance" / "errors").iterdir()}

    assert {refusal.file for refusal in REFUSALS} == recorded - {"index.json"}


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -1008])
@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_fault_inside_the_exchange_may_go_away(code: int, status: int) -> None:
    body = json.dumps({"code": code, "msg": "An unknown error occurred"}).encode()

    with pytest.raises(Transient) as caught:
        BINANCE.check(Reply(status, {"retry-after": "3"}, body), TWO_HOURS_ASK)

    assert type(caught.value) is Transient
    assert caught.value.retry_after_s == 3.0


def test_too_many_requests_are_known_by_their_code_too() -> None:
    with pytest.raises(Throttled):
        BINANCE.check(Reply(400, {}, b'{"code":-1003,"msg":"Too many"}'), TWO_HOURS_ASK)


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"{}"], ids=["bare", "html", "{}"])
def test_a_418_is_a_ban_whatever_its_body(body: bytes) -> None:
    with pytest.raises(Throttled) as caught:
        BINANCE.check(Reply(418, {"retry-after": "120"}, body), TWO_HOURS_ASK)

    assert caught.value.retry_after_s == 120.0


def test_a_ban_without_retry_after_leaves_the_wait_to_the_client() -> None:
    with pytest.raises(Throttled) as caught:
        BINANCE.check(Reply(418, {}, b'{"code":-1003,"msg":"banned"}'), TWO_HOURS_ASK)

    assert caught.value.retry_after_s is None


def test_a_code_below_status_400_is_no_refusal() -> None:
    BINANCE.check(Reply(200, {}, b'{"code":-1121,"msg":"Invalid symbol."}'), TWO_HOURS_ASK)


def test_a_recorded_reply_holds_240_hours_the_open_one_included(realdata: Path) -> None:
    page = realdata / "binance" / "rest_json" / "klines_ETHUSDT_1h_20211108-20211118.json"
    first, end = 1_636_394_400_000, 1_637_258_400_000

    candles = BINANCE.parse(page.read_bytes(), ask(first, end))

    assert [c.timestamp for c in candles] == list(range(first, end, HOUR))
    assert candles[0] == Candle(
        timestamp=1_636_394_400_000,
        open=4782.45,
        high=4791.39,
        low=4773.61,
        close=4776.51,
        volume=9004.483,
        quote_volume=43_047_293.018771,
        trades=34_509,
        taker_buy_volume=5016.5544,
        taker_buy_quote_volume=23_984_017.176954,
    )
    assert candles[-1].volume == 20_572.6641


@pytest.mark.parametrize(
    ("file", "interval", "first", "rows"),
    [
        ("klines_ADAUSDT-probable_1m_20241116.json", "1m", 1_731_748_020_000, 500),
        ("klines_BTCUSDT_1d_20250216-20250615_lastopen.json", "1d", 1_739_664_000_000, 120),
        ("klines_ETHUSDT_1d_20250216-20250615_lastopen.json", "1d", 1_739_664_000_000, 120),
        ("klines_BTCUSDT_1m_20211022_nautilus.json", "1m", 1_634_943_780_000, 10),
    ],
    ids=["ADA-1m", "BTC-1d", "ETH-1d", "BTC-1m"],
)
def test_a_recorded_reply_is_parsed_whole(
    file: str, interval: str, first: int, rows: int, realdata: Path
) -> None:
    page = (realdata / "binance" / "rest_json" / file).read_bytes()
    end = first + rows * {"1m": 60_000, "1d": 86_400_000}[interval]

    candles = BINANCE.parse(page, ask(first, end, interval))

    assert len(candles) == rows
    assert candles[0].timestamp == first
    assert all(c.close_time is None and c.trades for c in candles)


def test_the_halt_of_march_2023_is_as_it_was_recorded(realdata: Path) -> None:
    folder = realdata / "binance" / "vision_spot_1h_2023_header"
    rows = archived(folder / "BTCUSDT-1h-2023-03.csv")

    candles = BINANCE.parse(body_of(*rows), ask(1_677_628_800_000, 1_680_307_200_000))

    assert len(candles) == 743  # one of 744 hours is missing
    halted = next(c for c in candles if c.close_time is not None)
    following = candles[candles.index(halted) + 1]
    assert halted == Candle(
        timestamp=1_679_659_200_000,
        open=28_080.0,
        high=28_080.0,
        low=28_080.0,
        close=28_080.0,
        volume=0.0,
        quote_volume=0.0,
        trades=0,
        taker_buy_volume=0.0,
        taker_buy_quote_volume=0.0,
        close_time=1_679_661_581_646,
    )
    assert following.timestamp == 1_679_666_400_000


def test_the_halt_of_february_2018_ends_its_day_after_28_minutes(realdata: Path) -> None:
    file = realdata / "binance" / "daily_since_2017" / "BTCUSDT-1d.csv"
    rows = archived(file, skip_columns=1)

    candles = BINANCE.parse(body_of(*rows), ask(1_502_928_000_000, 1_692_144_000_000, "1d"))

    assert len(candles) == 2190
    assert [(c.timestamp, c.close_time) for c in candles if c.close_time is not None] == [
        (1_518_048_000_000, 1_518_049_694_788)
    ]


def test_the_seam_between_milliseconds_and_microseconds_has_no_hole(realdata: Path) -> None:
    folder = realdata / "binance" / "vision_spot_1h"
    december = archived(folder / "BTCUSDT-1h-2024-12.csv")
    january = archived(folder / "BTCUSDT-1h-2025-01.csv")
    start, end = 1_733_011_200_000, 1_738_368_000_000

    candles = BINANCE.parse(body_of(*december, *january), ask(start, end))

    assert [c.timestamp for c in candles] == list(range(start, end, HOUR))
    assert all(c.close_time is None for c in candles)


@pytest.mark.parametrize(
    ("header", "share"),
    [("0", 0.0), ("5400", 0.9), ("6000", 1.0), ("7200", 1.2)],
)
def test_a_reply_tells_how_much_of_the_minute_is_used(header: str, share: float) -> None:
    assert isinstance(BINANCE, Metered)

    used = BINANCE.used(Reply(200, {"x-mbx-used-weight-1m": header}, b"[]"))

    assert used == Used(share, window_s=60)


@pytest.mark.parametrize("header", ["", "-1", "12a", "\u0661\u0662", "9" * 5000])
def test_a_reply_that_tells_nonsense_of_what_is_used_tells_nothing(header: str) -> None:
    assert isinstance(BINANCE, Metered)

    assert BINANCE.used(Reply(200, {"x-mbx-used-weight-1m": header}, b"[]")) is None
    assert BINANCE.used(Reply(200, {}, b"[]")) is None
