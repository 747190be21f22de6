"""What a key may spend in a day or a month: shown before, kept to, and told when it is spent."""

from pathlib import Path

from tests.conftest import Histq, source_at
from tests.loopback import Loopback, Says

THREE = ("fetch", "BTC", "ETH", "SOL", "-s", "coingecko", "--from", "10d")
NO_PRICES = Says(b'{"prices": []}')


def test_a_fetch_ends_where_the_credits_do_and_the_next_asks_nobody(histq: Histq) -> None:
    with Loopback(lambda asked: NO_PRICES) as server:
        settings = source_at("coingecko", server.url, credits_per_month=2)

        first = histq(*THREE, **settings)
        second = histq("fetch", "SOL", *THREE[4:], "--json", **settings)

        assert len(server.log) == 2
    assert (first.code, second.code) == (3, 6)
    said = "2 of 2 credits of this month are spent, see credits_per_month of [sources.coingecko]"
    assert said in first.err
    assert said in second.err
    assert second.document["requests"] == 0


def test_a_dry_run_says_whether_the_credits_suffice(histq: Histq) -> None:
    with Loopback(lambda asked: NO_PRICES) as server:
        settings = source_at("coingecko", server.url, credits_per_month=3)

        before = histq(*THREE, "--dry-run", "--json", **settings).document["sources"]
        histq("fetch", "BTC", *THREE[4:], **settings)
        after = histq(*THREE[:1], *THREE[2:], "DOGE", "--dry-run", **settings)
        document = histq(*THREE[:1], *THREE[2:], "DOGE", "--dry-run", "--json", **settings).document

    (fitting,), (scarce,) = before, document["sources"]
    assert (fitting["requests"], fitting["cost"], fitting["fits"]) == (3, 3, True)
    (balance,) = fitting["credits"]
    assert (balance["period"], balance["limit"], balance["spent"]) == ("month", 3, 0)
    assert (scarce["requests"], scarce["fits"], scarce["credits"][0]["left"]) == (3, False, 2)
    assert after.code == 0
    assert (
        "coingecko: the plan does not fit: 1 of 3 credits of this month are spent, 2 are left until"
        in after.out
    )
    assert "see credits_per_month of [sources.coingecko]" in after.out


def test_a_dry_run_without_credits_to_count_fits(histq: Histq) -> None:
    planned = histq(*THREE, "--dry-run", "--json")

    (source,) = planned.document["sources"]
    assert (source["credits"], source["fits"]) == ([], True)


def test_sources_shows_what_is_left(histq: Histq) -> None:
    with Loopback(lambda asked: NO_PRICES) as server:
        settings = source_at("coingecko", server.url, credits_per_month=500, credits_per_day=20)
        histq(*THREE, **settings)

        shown = histq("sources", **settings)
        found = histq("sources", "--json", **settings).document["sources"]

    assert "17 this day, 497 this month" in shown.out
    (gecko,) = (one for one in found if one["source"] == "coingecko")
    assert [balance["left"] for balance in gecko["credits"]] == [17, 497]


def test_looking_makes_no_state(histq: Histq, environ: dict[str, str]) -> None:
    assert histq("sources").code == 0
    assert histq(*THREE, "--dry-run").code == 0

    assert not Path(environ["HISTQ_STATE_DIR"]).exists()


def test_a_state_folder_that_holds_no_file_for_us_is_told_in_a_line(
    histq: Histq, environ: dict[str, str]
) -> None:
    with Loopback(lambda asked: NO_PRICES) as server:
        host = server.url.removeprefix("http://").replace(":", "_")
        (Path(environ["HISTQ_STATE_DIR"]) / f"{host}.json").mkdir(parents=True)

        ended = histq(*THREE, **source_at("coingecko", server.url))

        assert server.log == []
    assert ended.code == 5
    assert "cannot keep the request budget in" in ended.err
    assert "Traceback" not in ended.err
