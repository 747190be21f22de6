"""Each condition from its cause: a queue, a store and a source that go wrong, and right again."""

from typing import Any

import pytest

from histq.alerts.conditions import CONDITIONS
from histq.db import Database
from histq.errors import StorageFailed
from histq.model import Series
from histq.page import Flat
from histq.stores import Store, Written
from histq.stores.sqlite import SqliteStore
from tests.daemon.watched import HandClock, Provider, Watch, Watched
from tests.loopback import Loopback, Says
from tests.pipeline import BTC, ETH, HOUR, START, candle, draft

HOURLY = "binance/BTCUSDT/1h"


def shallow(tree: dict[str, Any]) -> None:
    tree["queue"]["alert_depth"] = 10


def test_a_queue_that_stays_deep_is_told_until_it_is_drained(watch: Watch) -> None:
    watched = watch(shallow)
    watched.put(draft([candle(slot) for slot in range(11)], slots=11))
    watched.look(0, 59)
    assert watched.told("queue_deep") == []

    watched.look(1)
    assert "11 points wait in the queue" in watched.begun("queue_deep", "queue")

    watched.consume()
    watched.look(0, 59)
    assert len(watched.told("queue_deep")) == 1
    watched.look(1)
    assert "0 points wait in the queue" in watched.over("queue_deep", "queue")


def test_a_queue_that_is_deep_for_less_than_a_minute_is_told_to_nobody(watch: Watch) -> None:
    watched = watch(shallow)
    for first in (0, 11):
        watched.put(draft([candle(slot) for slot in range(first, first + 11)], slots=first + 11))
        watched.look(0, 59)
        watched.consume()
        watched.look(1, 100)

    assert watched.told("queue_deep") == []
    assert watched.counted["queue_deep"] == 0


def test_a_page_that_nobody_stores_is_told_until_somebody_does(watch: Watch) -> None:
    watched = watch()
    watched.put(draft([candle(0)]))
    watched.look(900, 30)
    assert watched.told("queue_slow") == []

    watched.look(1, 60)
    said = watched.begun("queue_slow", "queue")
    assert "the oldest page has waited 991 s in the queue; alerts.lag_s is 900" in said

    watched.consume()
    watched.look(0, 60)
    assert "has waited 0 s" in watched.over("queue_slow", "queue")


def test_batches_of_which_much_is_bad_are_told_until_good_ones_outweigh_them(watch: Watch) -> None:
    watched = watch()
    bad = [candle(slot, high=1.0) for slot in range(9, 12)]
    watched.put(draft([*(candle(slot) for slot in range(9)), *bad], slots=12))
    watched.consume()

    said = watched.begun("failures", "batches")
    assert said.startswith("25.0% of the points of the last batches could not be stored")

    watched.put(draft([candle(slot) for slot in range(12, 60)], slots=60))
    watched.consume()
    assert watched.over("failures", "batches").startswith("5.0% of the points")


class FailingStore(SqliteStore):
    """On a disk that fails wherever the candles of one series would be."""

    def __init__(self, database: Database, clock: HandClock) -> None:
        super().__init__(database, clock=clock)

    def write(self, series: Series, page: Flat) -> Written:
        if series == ETH:
            raise StorageFailed("disk I/O error")
        return super().write(series, page)


def failing(database: Database, clock: HandClock) -> Store:
    return FailingStore(database, clock)


def test_pages_that_are_given_up_are_failures_too(watch: Watch) -> None:
    watched = watch(lambda tree: None, failing)
    watched.put(draft([candle(0)], ETH))
    watched.put(*[draft([candle(slot)], BTC, slots=slot + 1) for slot in range(8)])
    for wait_s in (0, 10, 20, 40):
        watched.clock.forward(wait_s)
        watched.consume()

    assert watched.begun("failures", "batches").startswith("11.1% of the points")
    assert watched.told("dead_letters") == [("start", "queue")]


@pytest.mark.parametrize(
    ("drop", "wait_s", "over"),
    [
        pytest.param(True, 0, "0 dead letters", id="dropped"),
        pytest.param(False, 3600, "1 dead letter, none of them new", id="an hour old"),
    ],
)
def test_a_new_dead_letter_is_told_until_it_is_neither(
    watch: Watch, drop: bool, wait_s: int, over: str
) -> None:
    watched = watch()
    watched.put(draft([candle(0), candle(1, high=1.0)]))
    watched.consume()
    said = watched.begun("dead_letters", "queue")
    assert "1 dead letter, the latest of 2024-01-10T12:00Z; histq dlq list" in said

    with watched.opener.open(create=False) as backends:
        assert backends.queue.drop([1] if drop else []) == drop
    watched.clock.forward(wait_s)

    assert watched.over("dead_letters", "queue") == over


def test_a_candle_that_is_buried_again_is_new_again(watch: Watch) -> None:
    watched = watch()
    for slot in (0, 1):
        watched.put(draft([candle(slot, high=1.0)], slots=slot + 1))
        watched.consume()
    watched.begun("dead_letters", "queue")
    watched.look(3600)
    watched.over("dead_letters", "queue")

    watched.put(draft([candle(0, high=1.0)], slots=1))
    watched.consume()
    watched.look()

    assert [state for state, _ in watched.told("dead_letters")] == ["start", "end", "start"]


def test_a_series_whose_source_is_down_is_told_until_it_is_fetched(
    asking: Watched, provider: Provider
) -> None:
    asking.run()
    asking.consume()
    provider.instead = Says(b"", 500)
    for _ in range(2):
        asking.clock.forward(3600)
        assert asking.run().exit_code == 3
        asking.look()
    asking.look(3600, 899)
    assert asking.told("series_stale") == []

    asking.look(1)
    said = asking.begun("series_stale", HOURLY)
    assert "has nothing after 2024-01-10T11:00Z; 2024-01-10T14:00Z is due" in said

    provider.instead = None
    asking.run()
    asking.look()
    asking.consume()
    said = asking.over("series_stale", HOURLY)
    assert said == f"{HOURLY} has nothing after 2024-01-10T14:00Z; 2024-01-10T14:00Z is due"


def test_a_minute_of_requests_that_is_used_up_for_long_is_told(watch: Watch) -> None:
    watched = watch(lambda tree: tree["sources"]["binance"].update(requests_per_minute=60))
    budget = watched.budget("binance")
    for _ in range(360):
        budget.take()
        budget.take()
        watched.look(1)

    said = watched.begun("budget_low", "binance/minute")
    assert said.startswith("binance: 3% of the minute's requests are left; fetch less")

    watched.look(62, 60)
    assert watched.over("budget_low", "binance/minute").startswith("binance: 100% of the minute's")


def with_credits(tree: dict[str, Any]) -> None:
    tree["sources"]["coingecko"] = {
        "enabled": True,
        "api_key": "CG-key-of-a-test",
        "requests_per_minute": 60,
        "credits_per_month": 50,
    }


def test_credits_that_run_out_are_told_until_the_next_month(watch: Watch) -> None:
    watched = watch(with_credits)
    budget = watched.budget("coingecko")
    for _ in range(45):
        assert budget.take() == 0
        watched.look(1)
    assert watched.told("budget_low") == []

    budget.take()
    said = watched.begun("budget_low", "coingecko/month")
    assert said.startswith("coingecko: 4 of 50 credits of this month are left until 2024-02-01;")

    watched.clock.now = START + 31 * 24 * HOUR
    said = watched.over("budget_low", "coingecko/month")
    assert said.startswith("coingecko: 50 of 50 credits of this month are left until 2024-03-01")


@pytest.mark.parametrize(
    ("answer", "lasts_s", "said"),
    [
        pytest.param(
            Says(b'{"code":-1003}', 418, {"Retry-After": "600"}), 600, "HTTP 418", id="a ban"
        ),
        pytest.param(
            Says(b'{"code":-1003}', 429, {"Retry-After": "600"}), 600, "HTTP 429", id="a rate limit"
        ),
        pytest.param(Says(b"", 429), 0, "HTTP 429", id="a rate limit that names no end"),
        pytest.param(Says(b"", 403), 0, "Binance's firewall blocks this address", id="a firewall"),
        pytest.param(Says(b"{}", 451), 0, "HTTP 451, this host does not serve", id="a block"),
    ],
)
def test_a_source_that_refuses_is_told_until_it_serves(
    asking: Watched, provider: Provider, answer: Says, lasts_s: int, said: str
) -> None:
    provider.instead = answer
    assert asking.run().exit_code == 6
    asking.look()
    asking.run()
    text = asking.begun("source_refuses", "binance")
    assert said in text
    assert text.endswith("; nothing comes from binance until it answers again")

    provider.instead = None
    asking.look(max(0, lasts_s - 3), 1)
    assert len(asking.told("source_refuses")) == 1
    asking.clock.forward(lasts_s)
    assert asking.run().exit_code == 0

    assert asking.over("source_refuses", "binance") == "binance answers again"


def test_a_source_that_refused_and_then_fails_otherwise_has_not_answered(
    asking: Watched, provider: Provider
) -> None:
    provider.instead = Says(b"{}", 451)
    asking.run()
    asking.begun("source_refuses", "binance")

    provider.instead = Says(b"", 500)
    asking.run()
    asking.look()

    assert asking.told("source_refuses") == [("start", "binance")]


def test_an_archive_that_wants_silence_is_told_until_that_is_over_whoever_lives_then(
    watch: Watch, provider: Provider
) -> None:
    with Loopback(provider) as server:

        def both(tree: dict[str, Any]) -> None:
            tree["sources"]["binance"]["base_url"] = server.url
            tree["sources"]["binance-archive"] = {"base_url": "http://archive.invalid"}

        watched = watch(both)
        provider.clock = watched.clock
        watched.budget("binance-archive").silence(600)
        said = watched.begun("source_refuses", "binance-archive")
        assert said.startswith("archive.invalid wants no requests for 600 s; nothing comes from")

        watched.restart()
        watched.look(600)
        assert len(watched.told("source_refuses")) == 1
        watched.run()

        assert watched.over("source_refuses", "binance-archive") == "binance-archive answers again"


def test_a_day_in_which_all_goes_well_tells_nothing(asking: Watched) -> None:
    for _ in range(24):
        asking.run()
        asking.look()
        asking.consume()
        asking.look(0, 1800, 1800)

    # The disk of this machine may be low, and is not asked about here.
    told = [one for name in CONDITIONS if name != "disk_low" for one in asking.told(name)]
    assert told == []
