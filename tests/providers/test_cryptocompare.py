"""CryptoCompare: what its rows and its refusals mean, by recorded bodies and by small ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from histq.errors import (
    Credentials,
    HistqError,
    Misshapen,
    Permanent,
    Throttled,
    Transient,
    UnknownMarket,
)
from histq.model import Candle, Interval, Market, Token, Window
from histq.providers import Ask, Reply, providers
from tests.providers import ask_for

COMPARE = providers()["cryptocompare"]
BITCOIN = Market("BTCUSD", "BTC", "USD", "BTC")
HOUR, DAY = 3_600_000, 86_400_000
MIDNIGHT = 1_704_067_200_000  # 2024-01-01


def ask(interval: str, start: int, end: int) -> Ask:
    return ask_for("cryptocompare", BITCOIN, interval, Window(start, end))


THREE_HOURS = ask("1h", MIDNIGHT, MIDNIGHT + 3 * HOUR)


def row(opened: int, close: float, volume: float = 2) -> dict[str, object]:
    prices = {"open": close, "high": close, "low": close, "close": close}
    volumes = {"volumefrom": volume, "volumeto": volume * close}
    return {"time": opened // 1000, **prices, **volumes, "conversionType": "direct"}


def page_of(*rows: Mapping[str, object]) -> bytes:
    return json.dumps(
        {
            "Response": "Success",
            "Message": "",
            "HasWarning": False,
            "Type": 100,
            "RateLimit": {},
            "Data": {"Aggregated": False, "TimeFrom": 0, "TimeTo": 0, "Data": rows},
        }
    ).encode()


def test_a_token_is_asked_for_in_dollars() -> None:
    market = COMPARE.market(Token("BTC", "USDT", "bitcoin"))

    assert market == Market("BTCUSD", "BTC", "USD", "BTC")


@pytest.mark.parametrize(
    ("symbol", "market"),
    [
        pytest.param("PEPE/USDT", Market("PEPEUSD", "PEPE", "USD", "PEPE"), id="slash"),
        pytest.param("PEPEUSDT", Market("PEPEUSD", "PEPE", "USD", "PEPE"), id="tether"),
        pytest.param("PEPEUSD", Market("PEPEUSD", "PEPE", "USD", "PEPE"), id="dollar"),
        pytest.param("APTUSD", Market("APTUSD", "APT", "USD", "APT"), id="base ends in T"),
        pytest.param("SHIBUSD", Market("SHIBUSD", "SHIB", "USD", "SHIB"), id="base ends in B"),
        pytest.param("BTCBUSD", Market("BTCUSD", "BTC", "USD", "BTC"), id="BUSD"),
        pytest.param("ETHTUSD", Market("ETHUSD", "ETH", "USD", "ETH"), id="TUSD"),
        pytest.param("PEPE/BUSD", Market("PEPEUSD", "PEPE", "USD", "PEPE"), id="BUSD by slash"),
    ],
)
def test_a_symbol_is_asked_for_by_its_base(symbol: str, market: Market) -> None:
    assert COMPARE.named(symbol) == market


def test_a_symbol_that_does_not_say_its_base_is_no_market() -> None:
    assert COMPARE.named("FOOBAR") is None


def test_is_off_without_a_key_and_says_since_when_and_what_to_set() -> None:
    hint = COMPARE.key_hint

    assert "2026-05-21" in hint
    assert "api_key" in hint
    assert "[sources.cryptocompare]" in hint
    assert "HISTQ_SOURCES__CRYPTOCOMPARE__API_KEY" in hint


def test_serves_minutes_hours_and_days_and_by_default_hours() -> None:
    assert COMPARE.intervals == ("1m", "1h", "1d")
    assert COMPARE.defaults.intervals == ("1h",)
    assert COMPARE.defaults.base_url == "https://min-api.cryptocompare.com"


def test_a_key_travels_in_its_header() -> None:
    assert COMPARE.headers("s3cret", "") == {"authorization": "Apikey s3cret"}


def test_a_limit_of_n_is_asked_for_n_plus_one_rows_that_end_inclusive() -> None:
    path, params = COMPARE.request(THREE_HOURS)

    assert path == "/data/v2/histohour"
    assert params == {
        "fsym": "BTC",
        "tsym": "USD",
        "toTs": 1_704_074_400,  # 02:00, the last of three
        "limit": 2,
        "tryConversion": "false",
    }


@pytest.mark.parametrize(
    ("interval", "path"),
    [
        ("1m", "/data/v2/histominute"),
        ("1h", "/data/v2/histohour"),
        ("1d", "/data/v2/histoday"),
    ],
)
def test_an_interval_has_its_path(interval: str, path: str) -> None:
    assert COMPARE.request(ask(interval, MIDNIGHT, MIDNIGHT + 2 * DAY)).path == path


def test_a_whole_page_stays_within_the_limit() -> None:
    slots = COMPARE.page_slots(Interval("1h"))

    params = COMPARE.request(ask("1h", MIDNIGHT - slots * HOUR, MIDNIGHT)).params

    assert slots == 2000
    assert params["limit"] == 1999
    assert params["toTs"] == 1_704_063_600


def test_a_single_slot_is_asked_for_with_a_neighbour() -> None:
    params = COMPARE.request(ask("1h", MIDNIGHT, MIDNIGHT + HOUR)).params

    assert (params["limit"], params["toTs"]) == (1, 1_704_067_200)


def test_a_neighbour_that_was_not_wanted_is_left_out() -> None:
    page = page_of(row(MIDNIGHT - HOUR, 10.0), row(MIDNIGHT, 11.0), row(MIDNIGHT + HOUR, 12.0))

    candles = COMPARE.parse(page, ask("1h", MIDNIGHT, MIDNIGHT + HOUR))

    assert [(c.timestamp, c.close) for c in candles] == [(MIDNIGHT, 11.0)]


def test_base_and_quote_volume_are_kept_apart() -> None:
    page = b"""{"Response": "Success", "Type": 100, "Data": {"Data": [
        {"time": 1704067200, "high": 12.5, "low": 9, "open": 10.0, "volumefrom": 3.25,
         "volumeto": 35.75, "close": 11.0, "conversionType": "direct", "conversionSymbol": ""}]}}"""

    candles = COMPARE.parse(page, THREE_HOURS)

    assert candles == [
        Candle(
            timestamp=1_704_067_200_000,
            open=10.0,
            high=12.5,
            low=9.0,
            close=11.0,
            volume=3.25,
            quote_volume=35.75,
        )
    ]


def test_whole_numbers_are_prices_too() -> None:
    (candle,) = COMPARE.parse(page_of(row(MIDNIGHT, 245)), THREE_HOURS)

    assert candle.close == 245.0
    assert type(candle.close) is float


def test_rows_of_zeros_are_never_returned() -> None:
    page = page_of(row(MIDNIGHT, 0, 0), row(MIDNIGHT + HOUR, 0, 0))

    assert COMPARE.parse(page, THREE_HOURS) == []


def test_a_row_of_zeros_inside_a_history_ends_nothing() -> None:
    page = page_of(row(MIDNIGHT, 5), row(MIDNIGHT + HOUR, 0, 0), row(MIDNIGHT + 2 * HOUR, 6))

    candles = COMPARE.parse(page, THREE_HOURS)

    assert [c.close for c in candles] == [5.0, 6.0]


def test_a_flat_row_without_volume_is_a_candle() -> None:
    (candle,) = COMPARE.parse(page_of(row(MIDNIGHT, 272, 0)), THREE_HOURS)

    assert (candle.close, candle.volume, candle.quote_volume) == (272.0, 0.0, 0.0)


def test_a_row_with_volume_but_without_prices_is_not_hidden() -> None:
    (candle,) = COMPARE.parse(page_of({**row(MIDNIGHT, 0, 0), "volumefrom": 7}), THREE_HOURS)

    assert (candle.close, candle.volume) == (0.0, 7.0)


def test_a_missing_number_stays_missing() -> None:
    (candle,) = COMPARE.parse(page_of({**row(MIDNIGHT, 5), "close": None}), THREE_HOURS)

    assert candle.close is None


def test_rows_at_the_top_level_are_read_as_well() -> None:
    page = json.dumps({"Response": "Success", "Type": 100, "Data": [row(MIDNIGHT, 5)]}).encode()

    candles = COMPARE.parse(page, THREE_HOURS)

    assert [c.timestamp for c in candles] == [MIDNIGHT]


def test_an_error_that_passed_as_data_is_misshapen() -> None:
    with pytest.raises(Misshapen):
        COMPARE.parse(b'{"Response": "Error", "Type": 99, "Data": {}}', THREE_HOURS)


class Refusal(NamedTuple):
    """A recorded answer, the same in short, and what it means."""

    file: str
    short: bytes
    status: int
    kind: type[HistqError]
    says: Sequence[str]


REFUSALS = [
    Refusal(
        "api_401_key_required.json",
        b'{"Data":{},"Err":{"type":2,"message":"API key required","http_status_code":401}}',
        401,
        Credentials,
        ["2026-05-21", "api_key"],
    ),
    Refusal(
        "min_api_rate_limit_type99.json",
        b'{"Response": "Error", "Message": "You are over your rate limit", "Type": 99}',
        200,
        Throttled,
        ["You are over your rate limit"],
    ),
    Refusal(
        "min_api_type1_no_market.json",
        b'{"Response":"Error","Type":1,"Message":"market does not exist (ETH-AAA)"}',
        200,
        UnknownMarket,
        ["BTC in USD", "market does not exist"],
    ),
    Refusal(
        "min_api_type2_bad_tsym.json",
        b'{"Response": "Error", "Message": "There is no data for the toSymbol PWD .", "Type": 2}',
        200,
        UnknownMarket,
        ["BTC in USD", "no data for the toSymbol"],
    ),
    Refusal(
        "min_api_type2_pricehistorical_warning.json",
        b'{"Response":"Error","Message":"Reworded.","Type":2,"ParamWithError":"tsyms"}',
        200,
        UnknownMarket,
        ["BTC in USD"],
    ),
]
every_refusal = pytest.mark.parametrize("refusal", REFUSALS, ids=[r.file for r in REFUSALS])


def told(body: bytes, status: int, headers: Mapping[str, str] = {}) -> HistqError:
    with pytest.raises(HistqError) as caught:
        COMPARE.check(Reply(status, headers, body), THREE_HOURS)
    return caught.value


def assert_told(refusal: Refusal, body: bytes) -> None:
    error = told(body, refusal.status)

    assert type(error) is refusal.kind
    assert [text for text in refusal.says if text not in str(error)] == []


@every_refusal
def test_a_refusal_is_told_for_what_it_is(refusal: Refusal) -> None:
    assert_told(refusal, refusal.short)


@every_refusal
def test_a_recorded_refusal_is_told_for_what_it_is(refusal: Refusal, realdata: Path) -> None:
    assert_told(refusal, (realdata / "cryptocompare" / "errors" / refusal.file).read_bytes())


def test_every_recorded_refusal_is_tested(realdata: Path) -> None:
    recorded = {file.name for file in (realdata / "cryptocompare" / "errors").iterdir()}

    begins_later = "data_api_404_to_ts_before_first.json"  # no refusal, see below
    assert {r.file for r in REFUSALS} | {begins_later} == recorded - {"index.json"}


BEGINS_LATER = b"""{"Data":[],"Err":{"type":1,"message":"Invalid: to_ts parameter.",
    "other_info":{"param":"to_ts","first":1279324800}}}"""


def test_the_beginning_of_history_is_no_error() -> None:
    COMPARE.check(Reply(404, {}, BEGINS_LATER), THREE_HOURS)

    assert COMPARE.parse(BEGINS_LATER, THREE_HOURS) == []


def test_the_recorded_beginning_of_history_is_no_error(realdata: Path) -> None:
    folder = realdata / "cryptocompare" / "errors"
    body = (folder / "data_api_404_to_ts_before_first.json").read_bytes()

    COMPARE.check(Reply(404, {}, body), THREE_HOURS)

    assert COMPARE.parse(body, THREE_HOURS) == []


def test_another_404_is_an_error() -> None:
    assert type(told(b'{"Data":[],"Err":{"type":1,"other_info":{}}}', 404)) is Permanent


def test_a_missing_key_is_known_by_its_body_too() -> None:
    assert type(told(b'{"Data":{},"Err":{"http_status_code":401}}', 200)) is Credentials


def test_a_bare_401_is_a_matter_of_credentials() -> None:
    assert type(told(b"", 401)) is Credentials


@pytest.mark.parametrize("status", [200, 429])
def test_a_rate_limit_says_for_how_long_when_it_does(status: int) -> None:
    error = told(b'{"Response": "Error", "Type": 99}', status, {"retry-after": "60"})

    assert isinstance(error, Throttled)
    assert error.retry_after_s == 60.0


def test_a_bad_parameter_of_ours_is_reported_whole() -> None:
    body = (
        b'{"Response": "Error", "Type": 2, "Message": "limit is larger", "ParamWithError": "limit"}'
    )

    error = told(body, 200)

    assert type(error) is Permanent
    assert "limit is larger" in str(error)
    assert "report" in str(error)


@pytest.mark.parametrize("status", [500, 503])
def test_a_fault_of_the_server_told_in_json_may_go_away(status: int) -> None:
    error = told(b'{"Response": "Error", "Message": "internal error", "Type": 3}', status)

    assert type(error) is Transient


def test_a_429_told_in_json_is_throttled() -> None:
    error = told(b'{"Response": "Error", "Message": "slow down", "Type": 3}', 429)

    assert type(error) is Throttled


def test_success_with_a_warning_is_success() -> None:
    body = b'{"Response": "Success", "HasWarning": true, "Type": 100, "Data": {"Data": []}}'

    COMPARE.check(Reply(200, {}, body), THREE_HOURS)


def min_api(realdata: Path, name: str) -> bytes:
    return (realdata / "cryptocompare" / "min_api" / name).read_bytes()


def test_the_recorded_reply_to_a_limit_of_30_fills_a_window_of_31_days(realdata: Path) -> None:
    page = min_api(realdata, "v2_histoday_BTC-USD_limit30_20220510-20220609.json")
    start = 1_652_140_800_000  # 2022-05-10
    window = ask("1d", start, start + 31 * DAY)

    candles = COMPARE.parse(page, window)

    assert COMPARE.request(window).params["limit"] == 30
    assert COMPARE.request(window).params["toTs"] == 1_654_732_800
    assert [c.timestamp for c in candles] == list(range(start, start + 31 * DAY, DAY))
    assert candles[0] == Candle(
        timestamp=start,
        open=30_076.9,
        high=32_625.41,
        low=29_836.19,
        close=31_013.12,
        volume=103_840.6,
        quote_volume=3_244_062_170.09,
    )
    assert candles[-1].volume == 1_700.04  # the open one, the client's to drop


def test_recorded_days_without_trades_are_kept(realdata: Path) -> None:
    page = min_api(realdata, "histoday_v1_BTC-USD-probable_2001candles_20150504-20201024.json")
    start = 1_430_697_600_000  # 2015-05-04

    candles = COMPARE.parse(page, ask("1d", start, start + 2001 * DAY))

    assert len(candles) == 2001
    flat = [c for c in candles if c.volume == 0]
    assert len(flat) == 11
    assert (flat[0].timestamp, flat[0].close) == (1_436_227_200_000, 272.0)


def test_recorded_hours_are_consecutive(realdata: Path) -> None:
    rows = min_api(realdata, "histohour_v1_dataarray_2001candles_20190331-20190623.json")
    start = 1_554_073_200_000  # 2019-03-31T23:00Z

    candles = COMPARE.parse(b'{"Data": ' + rows + b"}", ask("1h", start, start + 2001 * HOUR))

    assert [c.timestamp for c in candles] == list(range(start, start + 2001 * HOUR, HOUR))
