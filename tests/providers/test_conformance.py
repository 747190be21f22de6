"""What every provider in the folder promises, whichever it is."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import pytest

import histq
from histq.errors import HistqError, Misshapen, Permanent, Refused, Throttled, Transient
from histq.model import DAY_MS, Interval, Token, Window
from histq.providers import (
    Archive,
    Ask,
    Provider,
    Reply,
    excerpt,
    json_object,
    providers,
    retry_after_s,
    split_symbol,
)
from tests.providers import ask_for

NOW = 1_700_049_600_000  # 2023-11-15T12:00Z
KEY = "k3y-0f-n0b0dy"
BITCOIN = Token("BTC", "USDT", "bitcoin")
HTML = b"<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body>Come back</body></html>"
HALF_OF_EACH = b'{"prices": [[1, 2.0]], "Data": {"Data": [], "candles": [], "a": "'

Body = Callable[[Interval, Sequence[int]], bytes]


def binance_body(interval: Interval, times: Sequence[int]) -> bytes:
    numbers = ("1.0", "2.0", "0.5", "1.5", "10.0")
    rows = [[t, *numbers, interval.close_time(t), "15.0", 3, "4.0", "6.0", "0"] for t in times]
    return json.dumps(rows).encode()


def archive_body(interval: Interval, times: Sequence[int]) -> bytes:
    rows = json.loads(binance_body(interval, times))
    text = "".join(f"{','.join(map(str, row))}\n" for row in rows)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTCUSDT.csv", text)
    return zipped.getvalue()


def coingecko_body(interval: Interval, times: Sequence[int]) -> bytes:
    if interval.name == "spot":
        return json.dumps({"prices": [[t, 1.5] for t in times]}).encode()
    if interval.name == "1d":
        return json.dumps({"prices": [[t + DAY_MS, 1.5] for t in times]}).encode()
    return json.dumps([[t + interval.step_ms, 1.0, 2.0, 0.5, 1.5] for t in times]).encode()


def cryptocompare_body(interval: Interval, times: Sequence[int]) -> bytes:
    row = {"open": 1, "high": 2, "low": 0.5, "close": 1.5, "volumefrom": 10, "volumeto": 15}
    rows = [{"time": t // 1000, **row} for t in times]
    return json.dumps({"Response": "Success", "Type": 100, "Data": {"Data": rows}}).encode()


def demo_body(interval: Interval, times: Sequence[int]) -> bytes:
    return json.dumps({"candles": [[t, 1, 2, 0.5, 1.5, 10] for t in times]}).encode()


# A new provider adds its line to both tables.
BODIES: Mapping[str, Body] = {
    "binance": binance_body,
    "binance-archive": archive_body,
    "coingecko": coingecko_body,
    "cryptocompare": cryptocompare_body,
    "demo": demo_body,
}
EMPTY: Mapping[tuple[str, str], bytes] = {
    ("binance", "1h"): b"[]",
    ("binance-archive", "1h"): archive_body(Interval("1h"), []),
    ("coingecko", "1d"): b'{"prices": [], "market_caps": [], "total_volumes": []}',
    ("coingecko", "spot"): b'{"prices": [], "market_caps": [], "total_volumes": []}',
    ("coingecko", "4h"): b"[]",
    ("cryptocompare", "1h"): b'{"Response": "Success", "Type": 100, "Data": {"Data": []}}',
    ("cryptocompare", "1d"): b'{"Response": "Success", "Type": 100, "Data": []}',
    ("demo", "1m"): b'{"candles": []}',
}

every_provider = pytest.mark.parametrize("name", sorted(providers()))
every_interval = pytest.mark.parametrize(
    ("name", "interval"),
    [(name, interval) for name, p in sorted(providers().items()) for interval in p.intervals],
)


def last_slots(name: str, interval: str, slots: int = 4, plan: str = "") -> Ask:
    """The last closed slots before NOW."""
    provider, step = providers()[name], Interval.parse(interval)
    market = provider.market(BITCOIN)
    assert market is not None
    start = end = step.floor(NOW)
    for _ in range(slots):
        start = step.floor(start - 1)
    return ask_for(name, market, interval, Window(start, end), plan=plan, now=NOW)


def first_ask(name: str) -> Ask:
    return last_slots(name, providers()[name].defaults.intervals[0])


def open_times(ask: Ask) -> list[int]:
    times = [ask.window.start]
    while (following := ask.interval.next(times[-1])) < ask.window.end:
        times.append(following)
    return times


def plans_of(provider: Provider) -> tuple[str, ...]:
    return provider.defaults.plans or ("",)


def test_the_three_sources_are_found() -> None:
    found = set(providers())

    assert found >= {"binance", "coingecko", "cryptocompare"}


def test_every_file_in_the_folder_is_one_provider_of_that_name() -> None:
    folder = Path(histq.__file__).parent / "providers"

    stems = {file.stem for file in folder.glob("*.py")} - {"__init__"}

    assert {name.replace("-", "_") for name in providers()} == stems


def test_a_file_dropped_into_the_folder_is_a_provider_with_settings(tmp_path: Path) -> None:
    copy = tmp_path / "histq"
    shutil.copytree(Path(histq.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "providers" / "kraken.py").write_text(
        "from histq.providers.demo import Demo\n"
        "class Kraken(Demo):\n"
        "    name = 'kraken'\n"
        "PROVIDER = Kraken()\n"
    )
    program = "from histq.config import load; print(*load(plain=True).settings.sources)"

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(ended.stdout.split()) == {*providers(), "kraken"}


@every_interval
def test_an_interval_is_one_of_ours(name: str, interval: str) -> None:
    assert Interval.parse(interval).name == interval


@every_provider
def test_the_default_intervals_are_served(name: str) -> None:
    provider = providers()[name]

    assert provider.defaults.intervals
    assert set(provider.defaults.intervals) <= set(provider.intervals)


@every_provider
def test_the_default_limits_leave_room_for_a_request(name: str) -> None:
    defaults = providers()[name].defaults

    assert defaults.requests_per_minute >= 1
    assert defaults.concurrency >= 1


@every_provider
def test_a_default_host_is_secure_or_on_this_machine(name: str) -> None:
    base_url = providers()[name].defaults.base_url

    assert base_url.startswith(("https://", "http://127.0.0.1:"))
    assert not base_url.endswith("/")


@every_provider
def test_a_market_is_called_by_what_it_trades_for_what(name: str) -> None:
    market = providers()[name].market(BITCOIN)

    assert market is not None
    assert market.symbol == market.base + market.quote
    assert market.base == "BTC"


@every_interval
def test_a_page_holds_at_least_one_slot(name: str, interval: str) -> None:
    assert providers()[name].page_slots(Interval(interval)) >= 1


@every_interval
def test_a_plan_reaches_into_the_past_and_not_into_the_future(name: str, interval: str) -> None:
    provider = providers()[name]

    reaches = [provider.reach(Interval(interval), plan, NOW) for plan in plans_of(provider)]

    assert all(reach is None or reach < NOW for reach in reaches)


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        (name, interval)
        for name, p in sorted(providers().items())
        for interval in p.intervals
        if not isinstance(p, Archive)  # whose files say when they are out
    ],
)
def test_a_candle_is_published_within_a_day_of_its_close(name: str, interval: str) -> None:
    assert 0 <= providers()[name].publish_delay_ms(Interval(interval)) < DAY_MS


@every_interval
def test_a_request_is_a_path_and_plain_parameters_without_a_key(name: str, interval: str) -> None:
    provider = providers()[name]

    for plan in plans_of(provider):
        path, params = provider.request(last_slots(name, interval, plan=plan))

        assert path.startswith("/")
        assert "?" not in path
        assert all(type(value) in (str, int) for value in params.values())
        assert not [param for param in params if "key" in param.lower()]


@every_interval
def test_the_request_of_one_window_is_always_the_same(name: str, interval: str) -> None:
    ask = last_slots(name, interval)

    first, second = (providers()[name].request(ask) for _ in range(2))

    assert first == second


@every_provider
def test_without_a_key_no_header_is_sent(name: str) -> None:
    provider = providers()[name]

    assert [provider.headers("", plan) for plan in plans_of(provider)] == [{}] * len(
        plans_of(provider)
    )


@every_provider
def test_with_a_key_at_most_one_header_is_sent_and_it_carries_the_key(name: str) -> None:
    provider = providers()[name]

    for plan in plans_of(provider):
        headers = provider.headers(KEY, plan)

        assert len(headers) <= 1
        assert all(KEY in value for value in headers.values())
        assert not [header for header in headers if KEY in header]


@every_provider
def test_a_configured_host_is_kept(name: str) -> None:
    provider = providers()[name]

    kept = {provider.base_url("http://127.0.0.1:1/x", plan) for plan in plans_of(provider)}

    assert kept == {"http://127.0.0.1:1/x"}


@every_interval
def test_a_page_is_parsed_into_its_candles(name: str, interval: str) -> None:
    ask = last_slots(name, interval)
    body = BODIES[name](ask.interval, open_times(ask))

    candles = providers()[name].parse(body, ask)

    assert [candle.timestamp for candle in candles] == open_times(ask)
    assert {candle.close for candle in candles} == {1.5}


@every_interval
def test_no_candle_from_outside_the_window_is_handed_on(name: str, interval: str) -> None:
    ask = last_slots(name, interval)
    inner = Window(ask.interval.next(ask.window.start), ask.interval.floor(ask.window.end - 1))
    body = BODIES[name](ask.interval, open_times(ask))

    handed_on: list[int] = []
    try:
        candles = providers()[name].parse(body, ask._replace(window=inner))
    except Misshapen:
        pass
    else:
        handed_on = [candle.timestamp for candle in candles]

    assert [t for t in handed_on if not inner.start <= t < inner.end] == []


@pytest.mark.parametrize(("name", "interval"), list(EMPTY))
def test_an_empty_answer_holds_no_candles(name: str, interval: str) -> None:
    ask = last_slots(name, interval)

    candles = providers()[name].parse(EMPTY[name, interval], ask)

    assert candles == []


def test_an_empty_answer_of_every_provider_is_known() -> None:
    assert {name for name, _ in EMPTY} == set(providers())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HTML, id="html"),
        pytest.param(HALF_OF_EACH, id="cut off"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"prices"', id="text"),
        pytest.param(b"17", id="number"),
        pytest.param(b'{"status": "ok"}', id="another object"),
        pytest.param(b"[[1, 2]]", id="rows too short"),
        pytest.param(b'[{"price": 1}]', id="another list"),
        pytest.param(b'{"prices": [["now", 1]], "Data": 1, "candles": 1}', id="wrong types"),
        pytest.param(b"\xff\xfe[\x00]\x00", id="not utf-8"),
        pytest.param(b'[["\xff", "\xff"]]', id="text not utf-8"),
        pytest.param(b"[" * 100_000, id="lists without end"),
        pytest.param(b'{"a":' * 100_000, id="objects without end"),
    ],
)
@every_interval
def test_a_body_without_candles_is_misshapen(name: str, interval: str, body: bytes) -> None:
    ask = last_slots(name, interval)

    with pytest.raises(Misshapen) as caught:
        providers()[name].parse(body, ask)

    assert caught.value.body == body
    assert str(ask.series) in str(caught.value)
    assert "\n" not in str(caught.value)


@every_interval
def test_a_page_that_is_cut_off_anywhere_is_misshapen(name: str, interval: str) -> None:
    ask = last_slots(name, interval)
    body = BODIES[name](ask.interval, open_times(ask))

    for length in chain(range(1, len(body), 7), [len(body) - 1]):
        with pytest.raises(Misshapen):
            providers()[name].parse(body[:length], ask)


@every_provider
def test_a_good_answer_passes_the_check(name: str) -> None:
    ask = first_ask(name)
    body = BODIES[name](ask.interval, open_times(ask))

    providers()[name].check(Reply(200, {}, body), ask)


@every_provider
def test_a_page_of_html_with_status_200_is_left_to_the_parser(name: str) -> None:
    providers()[name].check(Reply(200, {}, HTML), first_ask(name))


@pytest.mark.parametrize(
    "body", [b"", HTML, b"{}", b"slow down"], ids=["bare", "html", "{}", "text"]
)
@every_provider
def test_a_429_is_throttled(name: str, body: bytes) -> None:
    with pytest.raises(Throttled) as caught:
        providers()[name].check(Reply(429, {}, body), first_ask(name))

    assert caught.value.retry_after_s is None


@every_provider
def test_a_429_says_for_how_long(name: str) -> None:
    with pytest.raises(Throttled) as caught:
        providers()[name].check(Reply(429, {"retry-after": "119"}, b""), first_ask(name))

    assert caught.value.retry_after_s == 119.0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", HTML, b"{}"], ids=["bare", "html", "{}"])
@every_provider
def test_a_fault_of_the_server_may_go_away(name: str, body: bytes, status: int) -> None:
    with pytest.raises(Transient) as caught:
        providers()[name].check(Reply(status, {"retry-after": "7"}, body), first_ask(name))

    assert type(caught.value) is Transient
    assert caught.value.retry_after_s == 7.0
    assert f"HTTP {status}" in str(caught.value)


@every_provider
def test_a_path_that_does_not_exist_is_not_asked_again(name: str) -> None:
    hint = "not yet" if isinstance(providers()[name], Archive) else "base_url"

    with pytest.raises(Permanent, match=hint):
        providers()[name].check(Reply(404, {}, b"404 page not found"), first_ask(name))


@pytest.mark.parametrize("body", [b"", b'{"Response": "Error", "code": 0}'], ids=["bare", "json"])
@every_provider
def test_a_source_that_does_not_serve_this_location_refuses(name: str, body: bytes) -> None:
    with pytest.raises(Refused, match=f"HTTP 451, .*sources.{name}") as refused:
        providers()[name].check(Reply(451, {}, body), first_ask(name))

    assert refused.value.exit_code == 6


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 418, 429, 451, 500, 503])
@every_provider
def test_what_is_said_of_an_error_is_one_line_that_names_the_series(name: str, status: int) -> None:
    ask = first_ask(name)
    body = b'{"code": 7,\n "msg": "no\r\nway",\n "x": "' + b"y" * 5000 + b'"}'

    try:
        providers()[name].check(Reply(status, {}, body), ask)
        providers()[name].parse(body, ask)
    except HistqError as error:
        said = str(error)

    assert "\n" not in said
    assert str(ask.series) in said
    assert len(said) < 600


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("0", 0.0, id="zero"),
        pytest.param("119", 119.0, id="seconds"),
        pytest.param(" 5 ", 5.0, id="blanks"),
        pytest.param("0.5", 0.5, id="half"),
        pytest.param("", None, id="empty"),
        pytest.param("-3", None, id="negative"),
        pytest.param("soon", None, id="word"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="date"),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_nothing(value: str, seconds: float | None) -> None:
    assert retry_after_s(Reply(429, {"retry-after": value}, b"")) == seconds


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        pytest.param("BTCUSDT", ("BTC", "USDT"), id="tether"),
        pytest.param("BTC/USDT", ("BTC", "USDT"), id="slash"),
        pytest.param("BTC/XYZ", ("BTC", "XYZ"), id="any quote behind a slash"),
        pytest.param("BTCUSD", ("BTC", "USD"), id="dollar"),
        pytest.param("SOLFDUSD", ("SOL", "FDUSD"), id="longest quote"),
        pytest.param("ETHBTC", ("ETH", "BTC"), id="bitcoin"),
        pytest.param("USDCUSDT", ("USDC", "USDT"), id="stable for stable"),
        pytest.param("APTUSD", ("APT", "USD"), id="base ends in T"),
        pytest.param("SHIBUSD", ("SHIB", "USD"), id="base ends in B"),
        pytest.param("BTCBUSD", ("BTC", "BUSD"), id="BUSD"),
        pytest.param("ETHTUSD", ("ETH", "TUSD"), id="TUSD"),
        pytest.param("BNBUSD", ("BNB", "USD"), id="a coin by default that ends in B"),
        pytest.param("BNBBUSD", ("BNB", "BUSD"), id="BUSD behind one that ends in B"),
        pytest.param("DOTUSD", ("DOT", "USD"), id="a coin by default that ends in T"),
        pytest.param("DOTTUSD", ("DOT", "TUSD"), id="TUSD behind one that ends in T"),
        pytest.param("USDTUSD", ("USDT", "USD"), id="tether in dollars"),
        pytest.param("BUSDUSDT", ("BUSD", "USDT"), id="BUSD in tether"),
        pytest.param("TUSDUSD", ("TUSD", "USD"), id="TUSD in dollars"),
        pytest.param("XYZBUSD", ("XYZB", "USD"), id="unknown either way: dollars"),
        pytest.param("XYZ/BUSD", ("XYZ", "BUSD"), id="a slash says which"),
        pytest.param("BTC", None, id="base alone"),
        pytest.param("XYZ", None, id="unknown"),
        pytest.param("/USDT", None, id="no base"),
        pytest.param("BTC/", None, id="no quote"),
    ],
)
def test_a_symbol_is_split_into_base_and_quote(symbol: str, parts: tuple[str, str] | None) -> None:
    assert split_symbol(symbol) == parts


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(b'{"code":\n  1}', '{"code": 1}', id="one line"),
        pytest.param(HTML, "Sorry", id="title of a page"),
        pytest.param(b"\xff!", "\ufffd!", id="not utf-8"),
        pytest.param(b"x" * 161, "x" * 160 + "…", id="cut"),
        pytest.param(b"x" * 160, "x" * 160, id="just fits"),
    ],
)
def test_the_excerpt_of_a_body_is_short_and_on_one_line(body: bytes, shown: str) -> None:
    assert excerpt(body) == shown


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(b'{"code": 1}', {"code": 1}, id="object"),
        pytest.param(b"[1]", {}, id="list"),
        pytest.param(HTML, {}, id="html"),
        pytest.param(b"\xff", {}, id="not utf-8"),
        pytest.param(b"[" * 100_000, {}, id="lists without end"),
    ],
)
def test_what_is_no_json_object_is_an_empty_one(body: bytes, found: dict[str, object]) -> None:
    assert json_object(body) == found
