"""CoinGecko: what its samples, candles and refusals mean, by recorded bodies and by small ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from histq.budget import Budget
from histq.client import Client
from histq.errors import (
    Credentials,
    HistqError,
    Misshapen,
    Permanent,
    Throttled,
    Transient,
    UnknownMarket,
)
from histq.http import Http
from histq.model import Candle, Interval, Market, Token, Window
from histq.providers import Ask, Reply, providers
from histq.settings import SourceSettings
from histq.stop import Stop
from tests.loopback import Loopback, Says
from tests.providers import ask_for

GECKO = providers()["coingecko"]
BITCOIN = Market("BTCUSD", "BTC", "USD", "bitcoin")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = 1_700_049_600_000  # 2023-11-15T12:00Z
TODAY = 1_700_006_400_000  # 2023-11-15
YEAR_AGO = 1_668_470_400_000  # 2022-11-15, 365 days before
PLANS = ("keyless", "demo", "paid")


def ask(interval: str, start: int, end: int, *, plan: str = "demo", now: int = NOW) -> Ask:
    return ask_for("coingecko", BITCOIN, interval, Window(start, end), plan=plan, now=now)


def chart(*samples: tuple[int, float | None]) -> bytes:
    """With what comes along and must not be taken for volume."""
    totals = [(stamp, 1e10) for stamp, _ in samples]
    arrays = {"prices": samples, "market_caps": totals, "total_volumes": totals}
    return json.dumps(arrays).encode()


def params_of(ask: Ask) -> Mapping[str, str | int]:
    return GECKO.request(ask).params


LAST_WEEK = ask("1d", TODAY - 7 * DAY, TODAY)
SPOT_DAY = ask("spot", TODAY - DAY, TODAY)


def test_a_token_is_asked_for_by_its_id_and_quoted_in_dollars() -> None:
    market = GECKO.market(Token("BTC", "USDT", "bitcoin"))

    assert market == Market("BTCUSD", "BTC", "USD", "bitcoin")


def test_a_token_without_an_id_has_no_market() -> None:
    assert GECKO.market(Token("BTC", "USDT")) is None


@pytest.mark.parametrize("symbol", ["BTC", "BTCUSD", "BTC/USD"])
def test_a_ticker_alone_names_no_coin(symbol: str) -> None:
    assert GECKO.named(symbol) is None


def test_works_without_a_key_at_five_requests_a_minute() -> None:
    assert GECKO.key_hint == ""
    assert GECKO.defaults.enabled
    assert GECKO.defaults.requests_per_minute == 5
    assert GECKO.defaults.intervals == ("1d",)
    assert GECKO.defaults.base_url == "https://api.coingecko.com/api/v3"


@pytest.mark.parametrize(
    ("plan", "headers"),
    [
        ("keyless", {}),
        ("demo", {"x-cg-demo-api-key": "s3cret"}),
        ("paid", {"x-cg-pro-api-key": "s3cret"}),
    ],
)
def test_a_key_travels_in_the_header_of_its_plan(plan: str, headers: dict[str, str]) -> None:
    assert GECKO.headers("s3cret", plan) == headers


@pytest.mark.parametrize(
    ("plan", "host"),
    [
        ("keyless", "https://api.coingecko.com/api/v3"),
        ("demo", "https://api.coingecko.com/api/v3"),
        ("paid", "https://pro-api.coingecko.com/api/v3"),
    ],
)
def test_a_plan_has_its_own_host(plan: str, host: str) -> None:
    assert GECKO.base_url("https://api.coingecko.com/api/v3", plan) == host


@pytest.mark.parametrize("plan", PLANS)
def test_a_host_of_ones_own_is_kept_under_every_plan(plan: str) -> None:
    assert GECKO.base_url("https://proxy.example/cg", plan) == "https://proxy.example/cg"


def test_days_are_asked_for_as_a_daily_chart_that_reaches_back_to_the_first() -> None:
    path, params = GECKO.request(LAST_WEEK)

    assert path == "/coins/bitcoin/market_chart"
    assert params == {"vs_currency": "usd", "precision": "full", "days": 8, "interval": "daily"}


@pytest.mark.parametrize("plan", PLANS)
def test_a_whole_free_year_is_asked_for_with_no_day_too_many(plan: str) -> None:
    whole_year = ask("1d", YEAR_AGO, TODAY, plan=plan)

    assert params_of(whole_year)["days"] == 365


def test_the_day_after_the_first_free_one_is_still_within_the_plan() -> None:
    assert params_of(ask("1d", YEAR_AGO + DAY, TODAY))["days"] == 365


def test_yesterday_alone_is_asked_for_with_two_days() -> None:
    assert params_of(ask("1d", TODAY - DAY, TODAY))["days"] == 2


def test_samples_are_asked_for_by_seconds() -> None:
    path, params = GECKO.request(ask("spot", TODAY - 3 * DAY, TODAY))

    assert path == "/coins/bitcoin/market_chart/range"
    assert params == {
        "vs_currency": "usd",
        "precision": "full",
        "from": 1_699_747_200,
        "to": 1_700_006_400,
    }


@pytest.mark.parametrize("hours", [1, 2, 24], ids=["1h", "2h", "24h"])
def test_samples_of_a_short_window_are_asked_for_with_more_than_a_day(hours: int) -> None:
    params = params_of(ask("spot", TODAY - hours * HOUR, TODAY))

    assert int(params["to"]) - int(params["from"]) > 86_400
    assert int(params["from"]) <= (TODAY - hours * HOUR) // 1000
    assert int(params["to"]) >= TODAY // 1000


def test_a_page_of_samples_is_no_longer_than_90_days() -> None:
    slots = GECKO.page_slots(Interval("spot"))

    params = params_of(ask("spot", TODAY - slots * HOUR, TODAY))

    assert int(params["to"]) - int(params["from"]) == 90 * 86_400


@pytest.mark.parametrize("plan", ["keyless", "demo"])
def test_samples_are_free_no_further_back_than_365_days_from_now(plan: str) -> None:
    reach = GECKO.reach(Interval("spot"), plan, NOW)

    assert reach is not None
    assert NOW - 365 * DAY <= reach <= NOW - 364 * DAY


def test_the_first_free_samples_are_asked_for_without_leaving_the_plan() -> None:
    first_hour = NOW - 365 * DAY

    params = params_of(ask("spot", first_hour, first_hour + 2 * HOUR))

    assert int(params["from"]) * 1000 >= NOW - 365 * DAY
    assert int(params["to"]) - int(params["from"]) > 86_400


@pytest.mark.parametrize("plan", ["keyless", "demo"])
def test_days_are_free_for_a_year(plan: str) -> None:
    assert GECKO.reach(Interval("1d"), plan, NOW) == YEAR_AGO


@pytest.mark.parametrize("interval", ["1d", "spot"])
def test_a_paid_plan_reaches_back_to_the_beginning(interval: str) -> None:
    assert GECKO.reach(Interval(interval), "paid", NOW) is None


@pytest.mark.parametrize(
    ("interval", "ago", "days"),
    [
        pytest.param("30m", 2 * HOUR, 1, id="30m"),
        pytest.param("30m", 23 * HOUR, 1, id="30m, a day"),
        pytest.param("4h", DAY, 7, id="4h"),
        pytest.param("4h", 6 * DAY, 7, id="4h, a week"),
        pytest.param("4h", 7 * DAY, 14, id="4h, just over a week"),
        pytest.param("4h", 10 * DAY, 14, id="4h, a fortnight"),
        pytest.param("4h", 20 * DAY, 30, id="4h, a month"),
    ],
)
def test_candles_are_asked_for_with_the_fewest_days_that_reach_back(
    interval: str, ago: int, days: int
) -> None:
    step = Interval(interval).step_ms

    path, params = GECKO.request(ask(interval, NOW - ago, NOW - ago + step))

    assert path == "/coins/bitcoin/ohlc"
    assert params == {"vs_currency": "usd", "precision": "full", "days": days}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("interval", "reach"),
    [
        # From now back 1 day or 30, and one slot that may be cut.
        pytest.param("30m", NOW - DAY + 30 * MINUTE, id="30m"),
        pytest.param("4h", NOW - 30 * DAY + 4 * HOUR, id="4h"),
    ],
)
def test_candles_reach_back_as_far_as_their_days(interval: str, reach: int, plan: str) -> None:
    assert GECKO.reach(Interval(interval), plan, NOW) == reach


def test_candles_older_than_any_reply_are_not_taken_for_absent(tmp_path: Path) -> None:
    """What was never answered must not count as answered with nothing."""
    two_months_ago = NOW - 60 * DAY
    recent = json.dumps([[NOW - 4 * HOUR, 1.0, 2.0, 0.5, 1.5]]).encode()
    with Loopback(lambda asked: Says(recent, now=NOW)) as server:
        settings = SourceSettings(
            enabled=True,
            base_url=server.url,
            intervals=["4h"],
            concurrency=1,
            requests_per_minute=60,
            max_wait_s=0,
        )
        http = Http(GECKO, settings, Budget(tmp_path, "gecko", 60), stop=Stop())
        client = Client(GECKO, http)

        try:
            with pytest.raises(Permanent):
                client.ask(ask("4h", two_months_ago, two_months_ago + 8 * HOUR))
        finally:
            client.close()


def test_a_finished_day_is_waited_for_until_the_caches_know_it() -> None:
    assert GECKO.publish_delay_ms(Interval("1d")) == 40 * MINUTE


def test_a_price_at_midnight_is_the_close_of_the_day_before() -> None:
    page = chart((TODAY - DAY, 36_000.5), (TODAY, 35_500.25), (NOW, 37_000.0))

    candles = GECKO.parse(page, LAST_WEEK)

    assert candles == [
        Candle(timestamp=1_699_833_600_000, close=36_000.5),  # 2023-11-13
        Candle(timestamp=1_699_920_000_000, close=35_500.25),  # 2023-11-14
    ]


def test_what_a_daily_sample_does_not_say_is_unknown() -> None:
    (candle,) = GECKO.parse(chart((TODAY, 1.0), (NOW, 2.0)), LAST_WEEK)

    assert (candle.open, candle.high, candle.low, candle.volume) == (None, None, None, None)
    assert (candle.quote_volume, candle.trades, candle.close_time) == (None, None, None)


def test_the_price_of_now_is_no_day() -> None:
    assert GECKO.parse(chart((NOW, 37_000.0)), LAST_WEEK) == []


def test_days_outside_the_window_are_left_out() -> None:
    page = chart((TODAY - 2 * DAY, 1.0), (TODAY - DAY, 2.0), (TODAY, 3.0), (NOW, 4.0))

    candles = GECKO.parse(page, ask("1d", TODAY - 2 * DAY, TODAY - DAY))

    assert candles == [Candle(timestamp=TODAY - 2 * DAY, close=2.0)]


def test_a_missing_price_stays_missing() -> None:
    (candle,) = GECKO.parse(chart((TODAY, None), (NOW, 1.0)), LAST_WEEK)

    assert candle.close is None


def test_small_prices_in_scientific_notation_are_read() -> None:
    page = b'{"prices": [[1700006400000, 4.668340842558628e-05], [1700049600000, 1]]}'

    (candle,) = GECKO.parse(page, LAST_WEEK)

    assert candle.close == 0.00004668340842558628


def spaced(step: int, *, count: int = 24, first: int = TODAY - DAY + 622_085) -> bytes:
    return chart(*((first + n * step, 1.0 + n) for n in range(count)))


def test_hourly_samples_are_no_days() -> None:
    with pytest.raises(Misshapen, match="not daily"):
        GECKO.parse(spaced(HOUR), LAST_WEEK)


def test_samples_are_kept_at_the_moment_they_were_taken() -> None:
    stamps = [TODAY - DAY + 15_502, TODAY - DAY + HOUR + 18_860, TODAY - DAY + HOUR + 142_051]
    page = chart(*((stamp, 27_000.5) for stamp in stamps))

    candles = GECKO.parse(page, SPOT_DAY)

    assert candles == [Candle(timestamp=stamp, close=27_000.5) for stamp in stamps]


@pytest.mark.parametrize("step", [5 * MINUTE, DAY], ids=["5 minutes", "a day"])
def test_samples_that_are_not_hourly_are_misshapen(step: int) -> None:
    with pytest.raises(Misshapen, match=f"{step // MINUTE} minutes apart"):
        GECKO.parse(spaced(step), SPOT_DAY)


@pytest.mark.parametrize("step", [31 * MINUTE, HOUR, 119 * MINUTE], ids=["31m", "1h", "119m"])
def test_samples_that_are_about_hourly_are_taken(step: int) -> None:
    assert GECKO.parse(spaced(step, count=4), SPOT_DAY)


def test_samples_of_the_day_before_that_only_made_the_window_long_enough_are_left_out() -> None:
    page = chart((TODAY - 2 * HOUR, 1.0), (TODAY - HOUR, 2.0), (TODAY - 1, 3.0), (TODAY, 4.0))

    candles = GECKO.parse(page, ask("spot", TODAY - HOUR, TODAY))

    assert [c.close for c in candles] == [2.0, 3.0]


@pytest.mark.parametrize("interval", ["30m", "4h"])
def test_a_stamp_is_a_close_and_becomes_an_open(interval: str) -> None:
    step = Interval(interval).step_ms
    page = json.dumps([[TODAY + step, 10.0, 12.5, 9.0, 11.0]]).encode()

    candles = GECKO.parse(page, ask(interval, TODAY, TODAY + 8 * HOUR))

    assert candles == [Candle(timestamp=TODAY, open=10.0, high=12.5, low=9.0, close=11.0)]


def test_the_bucket_in_progress_is_left_out() -> None:
    rows = [[TODAY + 4 * HOUR, 1.0, 1.0, 1.0, 1.0], [TODAY + 5 * HOUR + 17, 2.0, 2.0, 2.0, 2.0]]

    candles = GECKO.parse(json.dumps(rows).encode(), ask("4h", TODAY, TODAY + 8 * HOUR))

    assert [c.timestamp for c in candles] == [TODAY]


class Refusal(NamedTuple):
    """A recorded answer, the same in short, and what it means."""

    file: str
    short: bytes
    status: int
    kind: type[HistqError]
    says: Sequence[str]


REFUSALS = [
    Refusal(
        "400_10010_pro_key_on_public_host.UNVERIFIED.json",
        b'{"status":{"error_code":10010,"error_message":"please change your root URL"}}',
        400,
        Credentials,
        ["api_key", "plan", "[sources.coingecko]", "pro-api.coingecko.com"],
    ),
    Refusal(
        "401_10002_key_missing.TRUNCATED.txt",
        b'{"status":{"timestamp":"2026-05-17","error_code":10002,"error_message":"API Key Mis',
        401,
        Credentials,
        ["10002", "api_key", "plan", "api.coingecko.com"],
    ),
    Refusal(
        "401_10012_time_range.json",
        b'{"error":{"status":{"error_code":10012,"error_message":"exceeds the time range"}}}',
        401,
        Permanent,
        ["365 days", "2023-11-08..2023-11-15", "paid"],
    ),
    Refusal(
        "404_coin_not_found.json",
        b'{"error":"coin not found"}',
        404,
        UnknownMarket,
        ["'bitcoin'", "token BTC", "histq symbols search BTC"],
    ),
    Refusal(
        "404_incorrect_path.json",
        b'{"error":"Incorrect path."}',
        404,
        Permanent,
        ["HTTP 404", "Incorrect path", "base_url"],
    ),
    Refusal(
        "429_rate_limit.json",
        b'{"status":{"error_code":429,"error_message":"You\'ve exceeded the Rate Limit."}}',
        429,
        Throttled,
        ["HTTP 429", "exceeded the Rate Limit"],
    ),
    Refusal("cloudflare_1015_plain.txt", b"error code: 1015", 429, Throttled, ["1015"]),
    Refusal(
        "cloudflare_access_denied.head.html",
        b"<html><title>Access denied | used Cloudflare to restrict access</title></html>",
        403,
        Throttled,
        ["HTTP 403", "Access denied"],
    ),
    Refusal("throttled_plain.txt", b"Throttled", 429, Throttled, ["Throttled"]),
]
every_refusal = pytest.mark.parametrize("refusal", REFUSALS, ids=[r.file for r in REFUSALS])


def told(body: bytes, status: int, headers: Mapping[str, str] = {}) -> HistqError:
    with pytest.raises(HistqError) as caught:
        GECKO.check(Reply(status, headers, body), LAST_WEEK)
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
    assert_told(refusal, (realdata / "coingecko" / "errors" / refusal.file).read_bytes())


def test_every_recorded_refusal_is_tested(realdata: Path) -> None:
    recorded = {file.name for file in (realdata / "coingecko" / "errors").iterdir()}

    assert {refusal.file for refusal in REFUSALS} == recorded - {"index.json"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":{"error_code":429,"error_message":"slow"}}',
        b'{"error":{"status":{"error_code": 429}}}',
        b"Throttled",
        b"\nThrottled\n",
        b"error code: 1015",
    ],
)
@pytest.mark.parametrize("status", [403, 429, 503])
def test_too_many_requests_are_known_in_every_shape(body: bytes, status: int) -> None:
    error = told(body, status, {"retry-after": "119"})

    assert isinstance(error, Throttled)
    assert error.retry_after_s == 119.0


@pytest.mark.parametrize("body", [b"Throttled", b"error code: 1015"])
def test_bare_text_is_throttled_even_with_status_200(body: bytes) -> None:
    assert type(told(body, 200)) is Throttled


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_page_of_cloudflare_is_throttled(status: int) -> None:
    body = b"<html><title>Just a moment...</title><i>CLOUDFLARE</i></html>"

    assert type(told(body, status)) is Throttled


def test_a_window_beyond_the_plan_is_not_blamed_on_the_key() -> None:
    error = told(b'{"error":{"status":{"error_code":10012}}}', 401)

    assert not isinstance(error, Credentials)
    assert "does not accept" not in str(error)
    assert "check api_key" not in str(error)


@pytest.mark.parametrize("code", [10002, 10010, 10011])
@pytest.mark.parametrize("status", [400, 401])
def test_a_key_at_the_wrong_host_is_a_matter_of_credentials(code: int, status: int) -> None:
    error = told(json.dumps({"status": {"error_code": code}}).encode(), status)

    assert type(error) is Credentials
    assert "a demo key belongs to api.coingecko.com" in str(error)


def test_a_401_without_a_code_is_a_matter_of_credentials() -> None:
    assert type(told(b"", 401)) is Credentials


def test_a_500_in_html_may_go_away() -> None:
    error = told(b"<html><title>500 Internal Server Error</title></html>", 500)

    assert type(error) is Transient
    assert "500 Internal Server Error" in str(error)


def market_chart(realdata: Path, name: str) -> bytes:
    return (realdata / "coingecko" / "market_chart" / name).read_bytes()


def test_a_recorded_daily_chart_is_1156_closes_without_the_price_of_now(realdata: Path) -> None:
    page = market_chart(realdata, "terra-luna-probable_usd_days-max_daily_20190508-20220706.json")
    first = 1_557_187_200_000  # 2019-05-07, whose close is the price of 2019-05-08 00:00
    last = 1_656_979_200_000  # 2022-07-05

    candles = GECKO.parse(page, ask("1d", first, last + DAY, plan="paid"))

    assert [c.timestamp for c in candles] == list(range(first, last + DAY, DAY))
    assert len(candles) == 1156
    assert candles[0] == Candle(timestamp=first, close=3.2699771961339086)
    assert candles[-1] == Candle(timestamp=last, close=0.00011701632943358091)


def test_a_recorded_hourly_chart_is_169_samples_as_they_are(realdata: Path) -> None:
    page = market_chart(realdata, "bitcoin_usd_days-7_hourly_20231003-20231010.json")

    candles = GECKO.parse(page, ask("spot", 1_696_356_000_000, 1_696_964_400_000))

    assert len(candles) == 169
    assert candles[0] == Candle(timestamp=1_696_359_622_085, close=27_309.802923311734)
    assert candles[-1] == Candle(timestamp=1_696_963_303_000, close=27_339.363878680077)


def test_two_recorded_samples_of_one_hour_are_both_kept(realdata: Path) -> None:
    name = "bitcoin_usd_days-7_hourly_20231007-20231014_wrapped-in-data.json"
    wrapped = json.loads(market_chart(realdata, name))
    page = json.dumps(wrapped["data"]).encode()

    candles = GECKO.parse(page, ask("spot", 1_696_636_800_000, 1_697_245_200_000))

    assert len(candles) == 170
    four_o_clock = [c for c in candles if 1_697_169_600_000 <= c.timestamp < 1_697_173_200_000]
    assert [c.timestamp for c in four_o_clock] == [1_697_169_682_247, 1_697_169_805_433]


def test_a_recorded_hourly_chart_is_not_taken_for_days(realdata: Path) -> None:
    page = market_chart(realdata, "bitcoin_usd_days-7_hourly_20231003-20231010.json")

    with pytest.raises(Misshapen):
        GECKO.parse(page, ask("1d", 1_696_291_200_000, 1_697_068_800_000))


def test_a_recorded_daily_chart_is_not_taken_for_samples(realdata: Path) -> None:
    page = market_chart(realdata, "terra-luna-probable_usd_days-max_daily_20190508-20220706.json")

    with pytest.raises(Misshapen):
        GECKO.parse(page, ask("spot", 1_557_273_600_000, 1_565_049_600_000, plan="paid"))


def test_the_official_example_of_candles_opens_half_an_hour_before_its_stamps(
    realdata: Path,
) -> None:
    examples = json.loads(
        (realdata / "coingecko" / "misc" / "official_oas_examples_demo.json").read_bytes()
    )
    page = json.dumps(examples["/coins/{id}/ohlc"]).encode()

    candles = GECKO.parse(page, ask("30m", 1_779_195_600_000, 1_779_202_800_000))

    assert candles == [
        Candle(timestamp=1_779_197_400_000, open=76769, high=76889, low=76744, close=76818),
        Candle(timestamp=1_779_199_200_000, open=76712, high=76712, low=76321, close=76422),
    ]
