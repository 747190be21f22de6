"""--from listing: the first candle is asked for, never guessed."""

from tests.conftest import Histq, source_at
from tests.hourly import HOUR_MS, opens, page
from tests.loopback import Asked, Loopback, Says

LISTED = 1_704_067_200_000  # 2024-01-01, whatever a user asks for


def hours(asked: Asked) -> Says:
    """Hours from the listing on; klines as Binance gives them, with or without an end."""
    wanted = opens(asked)
    known = range(max(wanted.start, LISTED), wanted.stop, HOUR_MS)
    return page(known, int(asked.query["limit"]))


def test_history_begins_with_the_first_candle_that_the_provider_has(histq: Histq) -> None:
    command = ("fetch", "BTC", "-s", "binance", "--from", "listing", "--to", "2024-01-03", "--json")
    with Loopback(hours) as server:
        fetched = histq(*command, **source_at("binance", server.url))

    probe, page = server.log
    assert (probe.query["startTime"], probe.query["limit"]) == ("0", "1")
    assert page.query["startTime"] == str(LISTED)
    assert fetched.document["queued_points"] == 48


def test_earlier_history_is_added_in_one_command(histq: Histq) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        tail = ("-s", "binance", "--to", "2024-01-03")
        histq("fetch", "BTC", *tail, "--from", "2024-01-02", **settings)

        earlier = histq("fetch", "BTC", *tail, "--from", "listing", "--json", **settings)

    assert earlier.document["queued_points"] == 24
    assert server.log[-1].query["endTime"] == str(LISTED + 24 * HOUR_MS - 1)


def test_an_unknown_symbol_has_no_listing(histq: Histq) -> None:
    refusal = Says(b'{"code":-1121,"msg":"Invalid symbol."}', 400)
    with Loopback(lambda asked: refusal) as server:
        ended = histq(
            *("fetch", "NOPE", "-s", "binance", "--from", "listing"),
            **source_at("binance", server.url),
        )

    assert ended.code == 2
    assert "'NOPE'" in ended.err


def test_a_source_that_cannot_tell_says_so(histq: Histq) -> None:
    ended = histq("fetch", "BTC", "-s", "coingecko", "--from", "listing")

    assert ended.code == 2
    assert ended.err == (
        "histq: coingecko cannot tell when a market was listed; name a date with --from\n"
    )


def test_a_dry_run_cannot_ask_for_the_listing(histq: Histq) -> None:
    ended = histq("fetch", "BTC", "-s", "binance", "--from", "listing", "--dry-run")

    assert ended.code == 2
    assert "name a date" in ended.err


def test_what_the_plan_does_not_serve_is_not_asked_for(histq: Histq) -> None:
    with Loopback(lambda asked: Says(b'{"prices": []}')) as server:
        ended = histq(
            *("fetch", "BTC", "-s", "coingecko", "--from", "2020-01-01", "--json"),
            **source_at("coingecko", server.url),
        )

    assert ended.code == 3
    assert len(server.log) == 1
    assert int(server.log[0].query["days"]) <= 365
    (failure,) = ended.document["failures"]
    assert "365 days" in failure["error"]
    assert failure["start"] == 1_577_836_800_000
