"""Manners towards a provider: what its headers say is used, credits, and two fetches at once."""

import contextlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from histq.budget import Budget
from histq.client import Client
from histq.config import load
from histq.errors import Throttled
from histq.http import open_budget, open_http
from histq.model import Token, Window
from histq.providers import Ask, providers
from histq.stop import Stop
from tests.budget import Hands
from tests.conftest import source_at
from tests.loopback import Asked, Loopback, Says
from tests.processes import start
from tests.providers import ask_for

NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
HOUR = 3_600_000
DAY = 24 * HOUR
WEIGHT = "X-MBX-USED-WEIGHT-1M"


class Timeline(Stop):
    """A stop whose waits are over at once and move the clock."""

    def __init__(self, now: int = NOON) -> None:
        super().__init__()
        self.now = now

    def clock(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


Opener = Callable[..., Client]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Opener]:
    """Opens clients as the program does, of one machine, each with a clock of the test's."""
    with contextlib.ExitStack() as opened:

        def connected(
            timeline: Timeline, url: str, name: str = "binance", **more: object
        ) -> Client:
            flags = {"sources": {name: {"base_url": url, "requests_per_minute": 6000, **more}}}
            source = load(flags, plain=True).settings.sources[name]
            http = open_http(
                providers()[name], source, tmp_path, stop=timeline, clock=timeline.clock
            )
            client = Client(providers()[name], http, timeline.clock)
            opened.callback(client.close)
            return client

        yield connected


def ask(source: str = "binance", interval: str = "1h") -> Ask:
    market = providers()[source].market(Token("BTC", "USDT", "bitcoin"))
    assert market is not None
    return ask_for(source, market, interval, Window(NOON - 3 * DAY, NOON - DAY), now=NOON)


def weighing(used: str, now: int) -> Callable[[Asked], Says]:
    return lambda asked: Says(b"[]", headers={WEIGHT: used}, now=now)


@pytest.mark.parametrize(
    ("used", "said_at", "resumed_at"),
    [
        ("5400", NOON + 20_000, NOON + 45_000),
        ("6001", NOON + 20_000, NOON + 45_000),
        ("5399", NOON + 20_000, NOON + 5_000),
        ("5999", NOON + 59_000, NOON + 6_000),
        ("", NOON, NOON + 5_000),
        ("-1", NOON, NOON + 5_000),
        ("9" * 5000, NOON, NOON + 5_000),
        ("9" * 9, NOON + 30_000, NOON + 35_000),
    ],
    ids=[
        *("at 90 %", "over the limit", "below", "end of the minute", "empty", "negative"),
        *("a number without end", "more than there is"),
    ],
)
def test_all_wait_for_the_next_minute_when_most_of_this_one_is_used(
    used: str, said_at: int, resumed_at: int, connect: Opener
) -> None:
    timeline = Timeline(NOON + 5_000)  # our clock is late or fast; the server's minute counts
    with Loopback(weighing(used, said_at)) as server:
        one, other = (connect(timeline, server.url, max_wait_s=0) for _ in range(2))
        one.ask(ask())

        other.ask(ask())

        assert len(server.log) == 2
    assert timeline.now == resumed_at


def test_a_budget_larger_than_the_limit_stays_below_it(connect: Opener) -> None:
    timeline = Timeline()
    used: Counter[int] = Counter()

    def answer(asked: Asked) -> Says:
        minute = timeline.now // 60_000
        used[minute] += 300  # of 6000, as if others sent most of it
        timeline.now += 100
        return Says(b"[]", headers={WEIGHT: str(used[minute])}, now=timeline.now)

    with Loopback(answer) as server:
        one, other = (connect(timeline, server.url) for _ in range(2))
        for _ in range(30):
            one.ask(ask())
            other.ask(ask())

    assert list(used.values()) == [5400, 5400, 5400, 1800]


@pytest.mark.parametrize("used", ["5400", "5399"])
def test_a_ban_silences_for_as_long_as_it_says_whatever_is_used(used: str, connect: Opener) -> None:
    timeline = Timeline()
    banned = Says(b"", 418, {"Retry-After": "3600", WEIGHT: used}, now=NOON)
    with Loopback(lambda asked: banned) as server:
        for _ in range(2):
            with pytest.raises(Throttled, match=r"not before 2023-11-15T13:00Z"):
                connect(timeline, server.url).ask(ask())

        assert len(server.log) == 1


def test_nothing_is_asked_once_the_credits_are_spent(connect: Opener) -> None:
    timeline = Timeline()
    chart = Says(b'{"prices": []}', now=NOON)
    with Loopback(lambda asked: chart) as server:
        key = {"api_key": "CG-k3y0fn0b0dy", "credits_per_month": 3}
        client = connect(timeline, server.url, "coingecko", **key)
        for _ in range(3):
            client.ask(ask("coingecko", "1d"))

        with pytest.raises(Throttled) as caught:
            connect(timeline, server.url, "coingecko", **key).ask(ask("coingecko", "1d"))

        assert len(server.log) == 3
    assert str(caught.value) == (
        "coingecko/BTCUSD/1d/2023-11-12T12:00Z..2023-11-14T12:00Z: 3 of 3 credits of this month are"
        " spent, see credits_per_month of [sources.coingecko]; not before 2023-12-01"
    )
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"api_key": "CG-k3y0fn0b0dy"}, [10_000]),
        ({"api_key": "CG-k3y0fn0b0dy", "credits_per_month": 500}, [500]),
        ({"api_key": "CG-k3y0fn0b0dy", "plan": "paid"}, []),
        ({"api_key": "CG-k3y0fn0b0dy", "plan": "paid", "credits_per_month": 500_000}, [500_000]),
        ({}, []),
        ({"credits_per_day": 7}, [7]),
    ],
    ids=["demo", "demo and a figure", "paid", "paid and a figure", "keyless", "a day"],
)
def test_a_plan_has_its_credits_unless_the_settings_say_otherwise(
    settings: dict[str, object], limit: list[int], tmp_path: Path
) -> None:
    flags = {"sources": {"coingecko": settings}}
    source = load(flags, plain=True).settings.sources["coingecko"]

    found = open_budget(providers()["coingecko"], source, tmp_path).balances()

    assert [balance.limit for balance in found] == limit


def test_the_next_day_is_waited_for_where_patience_reaches(connect: Opener) -> None:
    timeline = Timeline(NOON + DAY // 2 - 30_000)
    with Loopback(lambda asked: Says(b"[]", now=NOON)) as server:
        client = connect(timeline, server.url, credits_per_day=1, max_wait_s=60)
        client.ask(ask())

        client.ask(ask())

        assert len(server.log) == 2
    assert timeline.now == NOON + DAY // 2


class Exchange:
    """Binance as it bans: for good, whoever is above so many requests in any 60 seconds."""

    def __init__(self, most: int, earlier: list[float]) -> None:
        self.banned = False
        self._most = most
        self._times = deque(earlier)
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Says:
        with self._lock:
            now = time.time()
            while self._times and self._times[0] <= now - 60:
                self._times.popleft()
            self._times.append(now)
            self.banned = self.banned or len(self._times) > self._most
        if self.banned:
            return Says(b'{"code":-1003,"msg":"banned"}', 418, {"Retry-After": "7200"})
        return Says(b"[]", headers={WEIGHT: str(2 * len(self._times))})


def test_two_fetches_at_once_are_never_banned_and_ask_for_every_page_once(
    environ: dict[str, str], place: Path
) -> None:
    a_minute = 240
    with Loopback(lambda asked: Says(b"[]")) as server:
        # Histq was here a minute ago and used its budget up, so that what it may ask now comes
        # free in the next seconds and not all at once.
        began = int(time.time()) * 1000
        spent_at = [began - 60_001 + 1000 * second for second in (3, 4, 5)]
        clock = Hands()
        host = server.url.removeprefix("http://")
        earlier = Budget(Path(environ["HISTQ_STATE_DIR"]), host, a_minute, clock=clock)
        for clock.now in spent_at:
            assert [earlier.take() for _ in range(80)] == [0] * 80
        earlier.give_back()
        exchange = Exchange(a_minute, [now / 1000 for now in spent_at for _ in range(80)])
        server.answer_with(exchange)
        settings = {**environ, **source_at("binance", server.url, requests_per_minute=a_minute)}
        # 72,000 minutes are 72 pages of each symbol, and a question for its first candle; ETH is
        # wanted by both.
        rest = ["-s", "binance", "-i", "1m", "--from", "2024-01-01", "--to", "2024-02-20"]

        fetches = [
            start(settings, place, "fetch", *names, *rest, "--json")
            for names in (["BTC", "ETH"], ["ETH", "SOL"])
        ]
        ended = [fetch.communicate(timeout=120) for fetch in fetches]

    assert not exchange.banned
    assert [fetch.returncode for fetch in fetches] == [0, 0], ended
    pages = Counter((asked.query["symbol"], asked.query["startTime"]) for asked in server.log)
    assert set(pages.values()) == {1}
    assert Counter(symbol for symbol, _ in pages) == {"BTCUSDT": 73, "ETHUSDT": 73, "SOLUSDT": 73}
    requests = [json.loads(out)["requests"] for out, _ in ended]
    assert sum(requests) == 219
    assert min(requests) >= 72  # each had its share


def test_a_429_seen_by_one_process_silences_another_in_the_midst_of_its_work(
    environ: dict[str, str], place: Path
) -> None:
    both_work, refused = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Says:
        if asked.query["symbol"] == "BTCUSDT":
            both_work.wait(30)
            return Says(b"", 429, {"Retry-After": "3600"})
        if sum(one.query["symbol"] == "ETHUSDT" for one in server.log) == 20:
            both_work.set()
            refused.wait(30)
        return Says(b"[]")

    with Loopback(answer) as server:
        settings = {**environ, **source_at("binance", server.url, concurrency=1)}
        rest = ["-s", "binance", "-i", "1m", "--from", "2024-01-01", "--to", "2024-06-01"]
        one, other = (
            start(settings, place, "fetch", name, *rest, "--json") for name in ("BTC", "ETH")
        )
        one.communicate(timeout=60)
        refused.set()
        _, said = other.communicate(timeout=60)

    asked = Counter(asked.query["symbol"] for asked in server.log)
    assert asked == {"BTCUSDT": 1, "ETHUSDT": 20}
    assert (one.returncode, other.returncode) == (6, 3)
    assert "binance wants no requests for" in said
