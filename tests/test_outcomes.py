"""What each recorded error of the providers leads to: the exit code, and a line for newcomers."""

import json
import sqlite3
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Histq, source_at
from tests.hourly import HOUR_MS, hours
from tests.loopback import Asked, Loopback, Says

START = 1_704_067_200_000  # 2024-01-01

COMMANDS = {
    "binance": "BTCUSDT -s binance -i 1h --from 2024-01-01 --to 2024-01-02",
    "coingecko": "BTC -s coingecko -i 1d --from 30d",
    "cryptocompare": "BTC -s cryptocompare -i 1h --from 2024-01-01 --to 2024-01-02",
}


class Case(NamedTuple):
    """A recorded body, the status it came with, the exit code and what the user is told."""

    source: str
    file: str
    status: int
    code: int
    told: tuple[str, ...]
    requests: int = 1
    headers: tuple[tuple[str, str], ...] = ()


CASES = (
    Case("binance", "400_-1121_invalid_symbol.json", 400, 2, ("no symbol 'BTCUSDT'",)),
    Case("binance", "400_-1120_invalid_interval.json", 400, 2, ("no interval '1h'",)),
    Case("binance", "400_-1100_illegal_chars_symbol_2025.json", 400, 2, ("no symbol",)),
    Case("binance", "400_-1100_illegal_chars_symbol_older.json", 400, 2, ("no symbol",)),
    Case("binance", "400_-1102_mandatory_param.json", 400, 3, ("Mandatory parameter", "report")),
    Case("binance", "400_-1104_unread_params.json", 400, 3, ("Not all sent parameters", "report")),
    Case("binance", "400_-1128_bad_combo.json", 400, 3, ("Combination of optional", "report")),
    Case("binance", "429_-1003_too_much_weight.json", 429, 6, ("HTTP 429", "Too much request")),
    Case(
        *("binance", "418_-1003_ip_banned.json", 418, 6),
        told=("HTTP 418", "not before 20"),
        headers=(("Retry-After", "7200"),),
    ),
    Case("binance", "403_cloudfront.html", 403, 6, ("HTTP 403", "firewall")),
    Case(
        "binance", "451_restricted_location.json", 451, 6, ("data-api.binance.vision", "base_url")
    ),
    Case("coingecko", "429_rate_limit.json", 429, 6, ("exceeded the Rate Limit",)),
    Case("coingecko", "throttled_plain.txt", 429, 6, ("Throttled",)),
    Case("coingecko", "cloudflare_1015_plain.txt", 429, 6, ("error code: 1015",)),
    Case("coingecko", "cloudflare_access_denied.head.html", 403, 6, ("Cloudflare",)),
    Case("coingecko", "401_10012_time_range.json", 401, 3, ("365 days", "paid")),
    Case("coingecko", "401_10002_key_missing.TRUNCATED.txt", 401, 5, ("api_key", "plan")),
    Case(
        *("coingecko", "400_10010_pro_key_on_public_host.UNVERIFIED.json", 400, 5),
        told=("api_key", "pro-api.coingecko.com"),
    ),
    Case("coingecko", "404_coin_not_found.json", 404, 2, ("bitcoin", "symbols search BTC")),
    Case("coingecko", "404_incorrect_path.json", 404, 3, ("Incorrect path", "base_url")),
    Case("cryptocompare", "api_401_key_required.json", 401, 5, ("2026-05-21", "api_key")),
    Case("cryptocompare", "min_api_rate_limit_type99.json", 200, 6, ("over your rate limit",)),
    Case("cryptocompare", "min_api_type1_no_market.json", 200, 2, ("no market BTC in USD",)),
    Case("cryptocompare", "min_api_type2_bad_tsym.json", 200, 2, ("no market BTC in USD",)),
    Case(
        *("cryptocompare", "min_api_type2_pricehistorical_warning.json", 200, 2),
        told=("no market BTC in USD",),
    ),
    Case("cryptocompare", "data_api_404_to_ts_before_first.json", 404, 0, ()),
)


def _settings(case_source: str, url: str, **settings: object) -> dict[str, str]:
    key = {"api_key": "hush-hush"} if case_source == "cryptocompare" else {}
    return dict(source_at(case_source, url, **key, **settings))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}-{case.file[:30]}")
def test_a_recorded_error_has_its_outcome(
    case: Case, histq: Histq, realdata: Path, place: Path
) -> None:
    body = (realdata / case.source / "errors" / case.file).read_bytes()
    answer = Says(body, case.status, dict(case.headers))

    with Loopback(lambda asked: answer) as server:
        ended = histq("fetch", *COMMANDS[case.source].split(), **_settings(case.source, server.url))

    assert ended.code == case.code, ended.err
    for words in case.told:
        assert words in ended.err
    assert "Traceback" not in ended.err
    assert "hush-hush" not in ended.err + ended.out
    assert len(server.log) == case.requests
    if case.code in (2, 5):
        assert not (place / "histq.db").exists()


@pytest.mark.parametrize(
    ("source", "file", "status"),
    [
        ("binance", "429_-1003_too_much_weight.json", 429),
        ("binance", "418_-1003_ip_banned.json", 418),
        ("cryptocompare", "min_api_rate_limit_type99.json", 200),
    ],
)
def test_a_throttled_request_is_tried_again(
    source: str, file: str, status: int, histq: Histq, realdata: Path
) -> None:
    body = (realdata / source / "errors" / file).read_bytes()
    refusals = [Says(body, status, {"Retry-After": "0"})]

    with Loopback(lambda asked: refusals.pop() if refusals else _good(asked)) as server:
        settings = _settings(source, server.url, max_wait_s=5)
        ended = histq("fetch", *COMMANDS[source].split(), "--json", **settings)

    assert ended.code == 0, ended.err
    assert ended.document["requests"] == 2
    assert ended.document["queued_points"] == 24


@pytest.mark.parametrize(
    "failure",
    [
        Says(b"bad gateway", 502),
        Says(b'{"code":-1001,"msg":"Internal error"}', 500),
        Says(b'{"code":-1007,"msg":"Timeout waiting for response"}', 400),
        Says(b"<html>", 200),
        Says(b"[[170406720", 200),
        Says(b'{"what":"ever"}', 200),
        Says(b"[[1704067200000,", 200, declared=5000),
    ],
    ids=["502", "-1001", "-1007", "200 html", "cut-off json", "other json", "cut-off body"],
)
def test_a_passing_failure_costs_nothing(failure: Says, histq: Histq) -> None:
    failures = [failure]

    with Loopback(lambda asked: failures.pop() if failures else _good(asked)) as server:
        settings = _settings("binance", server.url, max_wait_s=5)
        ended = histq("fetch", *COMMANDS["binance"].split(), "--json", **settings)

    assert ended.code == 0, ended.err
    assert ended.document["queued_points"] == 24


@pytest.mark.parametrize(
    ("failure", "letters"),
    [
        (Says(b"bad gateway", 502), 0),
        (Says(b"<html><title>Welcome</title>", 200), 1),
        (Says(b"[[170406720", 200), 1),
        (Says(b"[[1704067200000,", 200, declared=5000), 0),
    ],
    ids=["502", "200 html", "cut-off json", "cut-off body"],
)
def test_a_lasting_failure_leaves_a_failed_window_and_the_body(
    failure: Says, letters: int, histq: Histq, place: Path
) -> None:
    with Loopback(lambda asked: failure) as server:
        settings = _settings("binance", server.url)
        first = histq("fetch", *COMMANDS["binance"].split(), "--json", **settings)
        histq("fetch", *COMMANDS["binance"].split(), **settings)
        listed = histq("dlq", "list", "--json").document

        assert first.code == 3
        assert first.document["failed_windows"] == 1
        assert _spans(place) == [(START, START + 24 * HOUR_MS, "failed")]
        # Asked twice, one letter: of the body, whole.
        assert [one["raw_data"]["body"].encode() for one in listed["letters"]] == [
            failure.body
        ] * letters

        server.answer_with(_good)
        healed = histq("fetch", "-s", "binance", "BTC", "--to", "2024-01-02", **settings)
        assert healed.code == 0, healed.err
        assert histq("consume").code == 0
        assert _spans(place) == [(START, START + 24 * HOUR_MS, "stored")]
        assert histq("dlq", "list", "--json").document["total"] == 0


def test_one_page_that_fails_costs_the_others_nothing(histq: Histq, place: Path) -> None:
    def answer(asked: Asked) -> Says:
        if asked.query["symbol"] == "ETHUSDT" and int(asked.query["startTime"]) == START:
            return Says(b"", 500)
        return _good(asked)

    command = "BTC ETH -s binance -i 1h --from 2024-01-01 --to 2024-02-12T16:00Z --json"  # 1,024 h
    with Loopback(answer) as server:
        ended = histq("fetch", *command.split(), **_settings("binance", server.url))

    assert ended.code == 3
    assert ended.document["failed_windows"] == 1
    assert ended.document["queued_points"] == 1024 + 24


def test_one_source_that_fails_costs_the_others_nothing(histq: Histq) -> None:
    def answer(asked: Asked) -> Says:
        return Says(b"error code: 1015", 429) if asked.path.startswith("/coins") else _good(asked)

    with Loopback(answer) as server:
        settings = {**_settings("binance", server.url), **_settings("coingecko", server.url)}
        ended = histq("fetch", "BTC", "--json", **settings)

    assert ended.code == 3
    failed = {failure["source"]: failure["error"] for failure in ended.document["failures"]}
    assert list(failed) == ["coingecko"]
    points = {one["source"]: one["queued_points"] for one in ended.document["sources"]}
    assert points["binance"] >= 719
    assert [one["source"] for one in ended.document["skipped"]] == ["cryptocompare"]


def _good(asked: Asked) -> Says:
    """Every hour asked for, as the provider of that path gives it."""
    if "startTime" in asked.query:
        return hours(asked)
    until, limit = int(asked.query["toTs"]), int(asked.query["limit"])
    times = range(until - limit * 3600, until + 1, 3600)
    names = ("open", "high", "low", "close", "volumefrom", "volumeto")
    candles = [{"time": t, **dict(zip(names, (3, 4, 2, 3.5, 10, 35), strict=True))} for t in times]
    return Says(
        json.dumps({"Response": "Success", "Type": 100, "Data": {"Data": candles}}).encode()
    )


def _spans(place: Path) -> list[tuple[int, int, str]]:
    connection = sqlite3.connect(place / "histq.db")
    try:
        return connection.execute('select start, "end", state from spans order by start').fetchall()
    finally:
        connection.close()
