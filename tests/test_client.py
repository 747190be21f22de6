"""The client over real HTTP: retries, patience, silence, what is closed, what is left to ask."""

import contextlib
import gzip
import json
import logging
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import httpx
import pytest
from pydantic import SecretStr

from histq.budget import Budget
from histq.client import Answer, Client, open_client
from histq.config import load
from histq.errors import (
    Credentials,
    HistqError,
    Misshapen,
    Permanent,
    Refused,
    Stopped,
    Throttled,
    Transient,
    UnknownMarket,
)
from histq.http import Http
from histq.model import Token, Window
from histq.providers import Ask, providers
from histq.settings import SourceSettings
from histq.stop import Stop
from tests.loopback import Asked, Loopback, Says
from tests.providers import ask_for

NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
MINUTE, HOUR = 60_000, 3_600_000
LATER = NOON + 24 * HOUR  # when all that is asked for has long been closed
KEY = "k3y-0f-n0b0dy"
FOREVER = 50  # requests: more than any patience of these tests allows

Opener = Callable[..., Client]


class Timeline(Stop):
    """A stop whose waits are over at once and move the clock."""

    def __init__(self, now: int = LATER) -> None:
        super().__init__()
        self.now = now
        self.slept: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def clock(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        if self:
            raise Stopped("stopped while waiting")
        self.slept.append(seconds)
        self.now += round(seconds * 1000)
        self.meanwhile()


class Watched(Stop):
    """A stop that tells when somebody waits on it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()

    def wait(self, seconds: float) -> bool:
        self.waiting.set()
        return super().wait(seconds)


@pytest.fixture
def time() -> Timeline:
    return Timeline()


@pytest.fixture
def connect(tmp_path: Path, time: Timeline) -> Iterator[Opener]:
    """Opens clients that share one clock and one budget folder."""
    with contextlib.ExitStack() as opened:

        def connected(
            url: str,
            source: str = "binance",
            *,
            max_wait_s: float = 120,
            per_minute: int = 10_000,
            timeout_s: float = 5,
            key: str = "",
            plan: str = "",
            stop: Stop = time,
            on_retry: Callable[[str, float], None] = lambda why, wait_s: None,
            transport: httpx.BaseTransport | None = None,
        ) -> Client:
            settings = SourceSettings(
                enabled=True,
                base_url=url,
                api_key=SecretStr(key),
                intervals=["1h"],
                concurrency=4,
                requests_per_minute=per_minute,
                max_wait_s=max_wait_s,
                timeout_s=timeout_s,
                plan=plan,
            )
            budget = Budget(tmp_path / "state", "host", per_minute, clock=time.clock)
            http = Http(
                providers()[source],
                settings,
                budget,
                stop=stop,
                clock=time.clock,
                on_retry=on_retry,
                # Without the certificates, which take longer to load than these tests to run.
                transport=transport or httpx.HTTPTransport(verify=False),
            )
            client = Client(providers()[source], http, time.clock)
            opened.callback(client.close)
            return client

        yield connected


def ask(start: int, end: int, interval: str = "1h", source: str = "binance") -> Ask:
    market = providers()[source].market(Token("BTC", "USDT", "bitcoin"))
    assert market is not None
    return ask_for(source, market, interval, Window(start, end), now=LATER)


TWO_HOURS = ask(NOON - 2 * HOUR, NOON)


def kline(opened: int, closed: int) -> list[object]:
    return [opened, "1.0", "1.0", "1.0", "1.0", "2.0", closed, "2.0", 5, "1.0", "1.0", "0"]


def hours(*opened: int) -> bytes:
    return json.dumps([kline(t, t + HOUR - 1) for t in opened]).encode()


GOOD = Says(hours(NOON - 2 * HOUR, NOON - HOUR), now=LATER)
HTML = b"<!DOCTYPE html><html><head><title>Sorry</title></head></html>"


def one_by_one(*answers: Says) -> Callable[[Asked], Says]:
    """Each answer once, the last one for ever."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def exchange(opened: Sequence[int], step: int, now: int = LATER) -> Callable[[Asked], Says]:
    """Answers as Binance does: candles that open within the bounds, oldest first, 1000 at most."""

    def answer(asked: Asked) -> Says:
        start, end = int(asked.query["startTime"]), int(asked.query["endTime"])
        found = [t for t in opened if start <= t <= end][: int(asked.query["limit"])]
        return Says(json.dumps([kline(t, t + step - 1) for t in found]).encode(), now=now)

    return answer


def open_times(answers: Sequence[Answer]) -> list[int]:
    return [candle.timestamp for answer in answers for candle in answer.candles]


def windows(answers: Sequence[Answer]) -> list[Window]:
    return [answer.window for answer in answers]


def test_a_page_is_asked_for_once_and_answers_for_its_window(connect: Opener) -> None:
    with Loopback(one_by_one(GOOD)) as server:
        client = connect(server.url)

        answers = client.ask(TWO_HOURS)

        assert windows(answers) == [TWO_HOURS.window]
        assert open_times(answers) == [1_700_042_400_000, 1_700_046_000_000]
        assert client.requests == len(server.log) == 1


def test_the_request_goes_below_the_base_url(connect: Opener) -> None:
    with Loopback(one_by_one(GOOD)) as server:
        for base_url in (server.url, f"{server.url}/", f"{server.url}/proxy/v9"):
            connect(base_url).ask(TWO_HOURS)

        assert [asked.path for asked in server.log] == [
            "/api/v3/klines",
            "/api/v3/klines",
            "/proxy/v9/api/v3/klines",
        ]


def test_the_request_says_who_asks(connect: Opener) -> None:
    with Loopback(one_by_one(GOOD)) as server:
        connect(server.url).ask(TWO_HOURS)

        assert server.log[0].headers["user-agent"].startswith("histq/")


def test_an_answer_without_candles_answers_for_its_window(connect: Opener) -> None:
    with Loopback(one_by_one(Says(b"[]", now=LATER))) as server:
        answers = connect(server.url).ask(TWO_HOURS)

        assert answers == [Answer(TWO_HOURS.window, [])]
        assert len(server.log) == 1


def test_candles_come_out_in_order_whatever_the_reply_does(connect: Opener) -> None:
    page = Says(hours(NOON - HOUR, NOON - 2 * HOUR), now=LATER)
    with Loopback(one_by_one(page)) as server:
        answers = connect(server.url).ask(TWO_HOURS)

        assert open_times(answers) == [NOON - 2 * HOUR, NOON - HOUR]


def test_a_retry_after_of_zero_asks_again_at_once(connect: Opener, time: Timeline) -> None:
    busy = Says(b"", 429, {"Retry-After": "0"})
    with Loopback(one_by_one(busy, busy, GOOD)) as server:
        client = connect(server.url)

        answers = client.ask(TWO_HOURS)

        assert len(open_times(answers)) == 2
        assert client.requests == len(server.log) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for_and_no_longer(
    connect: Opener, time: Timeline, status: int
) -> None:
    with Loopback(one_by_one(Says(b"", status, {"Retry-After": "7"}), GOOD)) as server:
        connect(server.url).ask(TWO_HOURS)

        assert time.slept == [7.0]
        assert len(server.log) == 2


def test_without_retry_after_waits_grow_from_a_second_and_double(
    connect: Opener, time: Timeline
) -> None:
    down = Says(b"", 503)
    with Loopback(one_by_one(down, down, down, down, GOOD)) as server:
        connect(server.url).ask(TWO_HOURS)

    for slept, least in zip(time.slept, (1, 2, 4, 8), strict=True):
        assert least <= slept <= least + 0.5


def test_a_wait_does_not_grow_beyond_half_a_minute(connect: Opener, time: Timeline) -> None:
    with Loopback(one_by_one(*[Says(b"", 503)] * 8, GOOD)) as server:
        connect(server.url, max_wait_s=1000).ask(TWO_HOURS)

    assert time.slept[-3:] == [30.0, 30.0, 30.0]


def test_patience_ends_before_max_wait_s(connect: Opener, time: Timeline) -> None:
    with Loopback(one_by_one(Says(b"", 503))) as server:
        client = connect(server.url, max_wait_s=10)

        with pytest.raises(Transient, match="HTTP 503") as caught:
            client.ask(TWO_HOURS)

        assert type(caught.value) is Transient
        assert client.requests == 4  # after 1, 2 and 4 s; 8 more would be too many
        assert sum(time.slept) <= 10


def test_waits_that_were_asked_for_count_together(connect: Opener, time: Timeline) -> None:
    with Loopback(one_by_one(Says(b"", 429, {"Retry-After": "50"}))) as server:
        client = connect(server.url, max_wait_s=120)

        with pytest.raises(Throttled):
            client.ask(TWO_HOURS)

        assert time.slept == [50.0, 50.0]
        assert client.requests == 3


def test_without_patience_there_is_one_request(connect: Opener, time: Timeline) -> None:
    with Loopback(one_by_one(Says(b"", 503))) as server:
        with pytest.raises(Transient):
            connect(server.url, max_wait_s=0).ask(TWO_HOURS)

        assert len(server.log) == 1
        assert time.slept == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_of_zero_for_ever_exhausts_patience_too(
    connect: Opener, time: Timeline, status: int
) -> None:
    busy = Says(b"", status, {"Retry-After": "0"})
    with Loopback(one_by_one(*[busy] * FOREVER, GOOD)) as server:
        client = connect(server.url, max_wait_s=1)

        with pytest.raises(Transient):
            client.ask(TWO_HOURS)

        assert client.requests < FOREVER


def test_a_ban_longer_than_patience_ends_at_once_and_says_until_when(
    connect: Opener, time: Timeline
) -> None:
    time.now = NOON
    banned = Says(b'{"code":-1003,"msg":"banned"}', 418, {"Retry-After": "3600"}, now=NOON)
    with Loopback(one_by_one(banned)) as server:
        with pytest.raises(
            Throttled, match=r"HTTP 418 .*; not before 2023-11-15T13:00Z$"
        ) as caught:
            connect(server.url).ask(TWO_HOURS)

        assert caught.value.retry_after_s == 3600.0
        assert len(server.log) == 1
        assert time.slept == []


def test_a_ban_met_by_one_silences_another_at_once(connect: Opener, time: Timeline) -> None:
    time.now = NOON
    with Loopback(one_by_one(Says(b"", 418, {"Retry-After": "3600"}))) as server:
        first, second = connect(server.url), connect(server.url)
        with pytest.raises(Throttled):
            first.ask(TWO_HOURS)
        time.now = NOON + 600_000

        with pytest.raises(Throttled, match=r"no requests for 3000 s; not before .*T13:00Z"):
            second.ask(TWO_HOURS)

        assert len(server.log) == 1
        assert (second.requests, time.slept) == (0, [])


def test_another_asks_again_when_the_ban_is_over(connect: Opener, time: Timeline) -> None:
    with Loopback(one_by_one(Says(b"", 418, {"Retry-After": "3600"}), GOOD)) as server:
        first, second = connect(server.url), connect(server.url)
        with pytest.raises(Throttled):
            first.ask(TWO_HOURS)

        time.now += 3_600_000
        second.ask(TWO_HOURS)

        assert len(server.log) == 2


def test_a_short_silence_met_by_one_is_waited_for_by_another(
    connect: Opener, time: Timeline
) -> None:
    with Loopback(one_by_one(Says(b"", 429, {"Retry-After": "30"}), GOOD)) as server:
        first, second = connect(server.url, max_wait_s=0), connect(server.url, max_wait_s=120)
        with pytest.raises(Throttled):
            first.ask(TWO_HOURS)

        second.ask(TWO_HOURS)

        assert sum(time.slept) == pytest.approx(30)
        assert len(server.log) == 2


def test_a_ban_that_comes_while_one_waits_ends_the_wait(
    connect: Opener, time: Timeline, tmp_path: Path
) -> None:
    budget = Budget(tmp_path / "state", "host", 10_000, clock=time.clock)
    budget.silence(30)
    time.meanwhile = lambda: budget.silence(3600)
    with Loopback(one_by_one(GOOD)) as server:
        with pytest.raises(Throttled):
            connect(server.url).ask(TWO_HOURS)

        assert server.log == []
        assert sum(time.slept) <= 1


def test_a_429_without_retry_after_silences_the_others_while_one_waits(
    connect: Opener, time: Timeline, tmp_path: Path
) -> None:
    budget = Budget(tmp_path / "state", "host", 10_000, clock=time.clock)
    silences: list[float] = []
    with Loopback(one_by_one(Says(b"", 429), GOOD)) as server:
        client = connect(
            server.url, on_retry=lambda why, wait_s: silences.append(budget.silence_s())
        )

        client.ask(TWO_HOURS)

    assert silences == [pytest.approx(time.slept[0], abs=0.001)]


def test_a_503_silences_nobody(connect: Opener, time: Timeline, tmp_path: Path) -> None:
    budget = Budget(tmp_path / "state", "host", 10_000, clock=time.clock)
    silences: list[float] = []
    with Loopback(one_by_one(Says(b"", 503, {"Retry-After": "9"}), GOOD)) as server:
        client = connect(
            server.url, on_retry=lambda why, wait_s: silences.append(budget.silence_s())
        )

        client.ask(TWO_HOURS)

    assert silences == [0]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Client]]:
    """Opens clients of Binance as the program does, without patience."""
    with contextlib.ExitStack() as opened:

        def started(url: str) -> Client:
            flags = {"sources": {"binance": {"base_url": url, "max_wait_s": 0}}}
            settings = load(flags, plain=True).settings.sources["binance"]
            client = open_client(providers()["binance"], settings, tmp_path, stop=Stop())
            opened.callback(client.close)
            return client

        yield started


def test_clients_of_one_host_are_silent_together(start: Callable[[str], Client]) -> None:
    with Loopback(one_by_one(Says(b"", 418, {"Retry-After": "3600"}), GOOD)) as server:
        with pytest.raises(Throttled):
            start(server.url).ask(TWO_HOURS)

        with pytest.raises(Throttled):
            start(f"{server.url}/below").ask(TWO_HOURS)

        assert len(server.log) == 1


def test_a_client_of_another_host_is_not_silenced(start: Callable[[str], Client]) -> None:
    banned = one_by_one(Says(b"", 418, {"Retry-After": "3600"}))
    with Loopback(banned) as server, Loopback(one_by_one(GOOD)) as other:
        with pytest.raises(Throttled):
            start(server.url).ask(TWO_HOURS)

        start(other.url).ask(TWO_HOURS)

        assert len(other.log) == 1


def test_each_retry_is_told_with_its_reason_and_its_wait(connect: Opener) -> None:
    told: list[tuple[str, float]] = []
    with Loopback(one_by_one(Says(b"busy", 503, {"Retry-After": "3"}), GOOD)) as server:
        connect(server.url, on_retry=lambda why, wait_s: told.append((why, wait_s))).ask(TWO_HOURS)

    assert told == [("binance/BTCUSDT/1h/2023-11-15T10:00Z..2023-11-15T12:00Z: HTTP 503 busy", 3.0)]


def test_a_spent_budget_is_waited_for_however_short_the_patience(
    connect: Opener, time: Timeline
) -> None:
    with Loopback(one_by_one(GOOD)) as server:
        client = connect(server.url, per_minute=1, max_wait_s=0)
        client.ask(TWO_HOURS)

        client.ask(TWO_HOURS)

        assert sum(time.slept) == pytest.approx(61)
        assert len(server.log) == 2


def test_retries_are_counted_against_the_budget(connect: Opener, time: Timeline) -> None:
    busy = Says(b"", 503, {"Retry-After": "0"})
    with Loopback(one_by_one(busy, GOOD)) as server:
        connect(server.url, per_minute=1).ask(TWO_HOURS)

        assert sum(time.slept) == pytest.approx(61)
        assert len(server.log) == 2


def test_an_open_candle_is_dropped_by_the_clock_of_the_server(
    connect: Opener, time: Timeline
) -> None:
    time.now = NOON + 365 * 24 * HOUR  # our clock is wrong by a year
    page = Says(hours(NOON - 2 * HOUR, NOON - HOUR, NOON), now=NOON + HOUR // 2)
    with Loopback(one_by_one(page)) as server:
        (answer,) = connect(server.url).ask(ask(NOON - 2 * HOUR, NOON + HOUR))

    assert open_times([answer]) == [NOON - 2 * HOUR, NOON - HOUR]
    assert answer.window == Window(NOON - 2 * HOUR, NOON)


def test_a_closed_candle_is_kept_though_our_clock_is_slow(connect: Opener, time: Timeline) -> None:
    time.now = NOON - 365 * 24 * HOUR
    with Loopback(one_by_one(GOOD)) as server:
        (answer,) = connect(server.url).ask(TWO_HOURS)

    assert open_times([answer]) == [NOON - 2 * HOUR, NOON - HOUR]
    assert answer.window == TWO_HOURS.window


@pytest.mark.parametrize(
    ("now", "kept"),
    [
        pytest.param(NOON - 1000, [NOON - 2 * HOUR], id="a second before its end"),
        pytest.param(NOON, [NOON - 2 * HOUR, NOON - HOUR], id="at its end"),
    ],
)
def test_a_candle_is_closed_when_its_last_millisecond_is_over(
    connect: Opener, now: int, kept: list[int]
) -> None:
    page = Says(hours(NOON - 2 * HOUR, NOON - HOUR), now=now)
    with Loopback(one_by_one(page)) as server:
        answers = connect(server.url).ask(TWO_HOURS)

    assert open_times(answers) == kept


def test_a_window_whose_candles_are_all_open_is_answered_with_an_empty_stretch(
    connect: Opener,
) -> None:
    with Loopback(one_by_one(Says(hours(NOON), now=NOON + MINUTE))) as server:
        answers = connect(server.url).ask(ask(NOON, NOON + HOUR))

    assert answers == [Answer(Window(NOON, NOON), [])]


def test_a_server_whose_clock_is_before_the_window_answers_for_none_of_it(
    connect: Opener,
) -> None:
    with Loopback(one_by_one(Says(b"[]", now=NOON - 5 * HOUR))) as server:
        answers = connect(server.url).ask(TWO_HOURS)

    assert answers == [Answer(Window(NOON - 2 * HOUR, NOON - 2 * HOUR), [])]


def test_a_candle_that_closed_early_is_kept_before_its_slot_is_over(connect: Opener) -> None:
    early = NOON + 2_381_646  # 12:39:41.646
    page = json.dumps([kline(NOON - HOUR, NOON - 1), kline(NOON, early)]).encode()
    with Loopback(one_by_one(Says(page, now=NOON + 45 * MINUTE))) as server:
        answers = connect(server.url).ask(ask(NOON - HOUR, NOON + HOUR))

    assert [(c.timestamp, c.close_time) for c in answers[0].candles] == [
        (NOON - HOUR, None),
        (NOON, early),
    ]


def test_a_candle_that_closes_early_but_later_than_now_is_open(connect: Opener) -> None:
    page = json.dumps([kline(NOON, NOON + 40 * MINUTE)]).encode()
    with Loopback(one_by_one(Says(page, now=NOON + 30 * MINUTE))) as server:
        answers = connect(server.url).ask(ask(NOON, NOON + HOUR))

    assert open_times(answers) == []


@pytest.mark.parametrize(
    "headers", [{}, {"Date": "soon"}, {"Date": ""}], ids=["none", "no date", "empty"]
)
def test_without_the_clock_of_the_server_ours_decides(
    connect: Opener, time: Timeline, headers: dict[str, str]
) -> None:
    time.now = NOON - HOUR // 2
    page = hours(NOON - 2 * HOUR, NOON - HOUR)
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, headers=headers, content=page)
    )

    (answer,) = connect("http://exchange.test", transport=transport).ask(TWO_HOURS)

    assert open_times([answer]) == [NOON - 2 * HOUR]
    assert answer.window == Window(NOON - 2 * HOUR, NOON - HOUR)


def test_a_sample_is_kept_once_its_moment_is_over(connect: Opener) -> None:
    stamps = [NOON - 3 * HOUR + 15_502, NOON - 2 * HOUR + 18_860, NOON - HOUR + 1, NOON - 1]
    page = json.dumps({"prices": [[stamp, 1.5] for stamp in stamps]}).encode()
    with Loopback(one_by_one(Says(page, now=NOON))) as server:
        (answer,) = connect(server.url, "coingecko", plan="keyless").ask(
            ask(NOON - 24 * HOUR, NOON, "spot", "coingecko")
        )

    assert open_times([answer]) == stamps
    assert answer.window == Window(NOON - 24 * HOUR, NOON)


def test_the_open_candle_of_a_recorded_reply_is_dropped(connect: Opener, realdata: Path) -> None:
    file = realdata / "binance" / "rest_json" / "klines_ETHUSDT_1h_20211108-20211118.json"
    first, last = 1_636_394_400_000, 1_637_254_800_000
    with Loopback(one_by_one(Says(file.read_bytes(), now=last + 20 * MINUTE))) as server:
        (answer,) = connect(server.url).ask(ask(first, last + HOUR))

    assert len(answer.candles) == 239
    assert answer.candles[-1].close == 4000.01
    assert answer.window == Window(first, last)


def minutes(count: int, start: int = NOON) -> list[int]:
    return [start + n * MINUTE for n in range(count)]


def test_a_full_page_on_the_grid_has_said_all(connect: Opener) -> None:
    window = Window(NOON, NOON + 1000 * MINUTE)
    with Loopback(exchange(minutes(1100), MINUTE)) as server:
        answers = connect(server.url).ask(ask(*window, "1m"))

        assert windows(answers) == [window]
        assert open_times(answers) == minutes(1000)
        assert len(server.log) == 1


def test_a_full_page_with_candles_off_the_grid_asks_for_the_rest(connect: Opener) -> None:
    window = Window(NOON, NOON + 1000 * MINUTE)
    # Three more than the grid has slots, so the last three do not fit on the page.
    opened = sorted([*minutes(1000), NOON + 1, NOON + 2, NOON + 3])
    with Loopback(exchange(opened, MINUTE)) as server:
        answers = connect(server.url).ask(ask(*window, "1m"))

        assert open_times(answers) == opened
        assert windows(answers) == [
            Window(NOON, NOON + 996 * MINUTE + 1),
            Window(NOON + 996 * MINUTE + 1, NOON + 1000 * MINUTE),
        ]
        assert [asked.query["startTime"] for asked in server.log] == [
            "1700049600000",
            "1700109360001",
        ]


def test_a_full_page_that_reaches_the_last_slot_off_the_grid_asks_for_its_rest(
    connect: Opener,
) -> None:
    end = NOON + 1000 * MINUTE
    opened = [*minutes(999), end - 50_000, end - 10_000]
    with Loopback(exchange(opened, MINUTE)) as server:
        answers = connect(server.url).ask(ask(NOON, end, "1m"))

        assert open_times(answers) == opened
        assert len(server.log) == 2


def test_a_full_page_that_ends_in_the_last_millisecond_has_said_all(connect: Opener) -> None:
    end = NOON + 1000 * MINUTE
    with Loopback(exchange([*minutes(999), end - 1], MINUTE)) as server:
        answers = connect(server.url).ask(ask(NOON, end, "1m"))

        assert windows(answers) == [Window(NOON, end)]
        assert len(server.log) == 1


def test_a_window_longer_than_a_page_is_asked_for_to_its_end(connect: Opener) -> None:
    with Loopback(exchange(minutes(2500), MINUTE, now=NOON + 48 * HOUR)) as server:
        answers = connect(server.url).ask(ask(NOON, NOON + 2500 * MINUTE, "1m"))

        assert open_times(answers) == minutes(2500)
        assert windows(answers)[0].start == NOON
        assert windows(answers)[-1].end == NOON + 2500 * MINUTE
        assert len(server.log) == 3


def test_a_full_page_that_ends_with_the_open_candle_asks_for_no_more(connect: Opener) -> None:
    now = NOON + 999 * MINUTE + 30_000
    with Loopback(exchange(minutes(1000), MINUTE, now)) as server:
        answers = connect(server.url).ask(ask(NOON, NOON + 1000 * MINUTE, "1m"))

        assert windows(answers) == [Window(NOON, NOON + 999 * MINUTE)]
        assert open_times(answers) == minutes(999)
        assert len(server.log) == 1


def test_a_server_that_repeats_its_page_for_ever_is_not_believed(connect: Opener) -> None:
    opened = sorted([*minutes(999), NOON + 1])
    page = Says(json.dumps([kline(t, t + MINUTE - 1) for t in opened]).encode(), now=LATER)
    with Loopback(one_by_one(*[page] * FOREVER, Says(b"[]", now=LATER))) as server:
        with pytest.raises(Misshapen):
            connect(server.url, max_wait_s=0).ask(ask(NOON, NOON + 1000 * MINUTE, "1m"))

        assert len(server.log) == 2


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    """A port that takes connections and never answers by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def reset(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(connection: socket.socket) -> None:
    connection.recv(4096)


def talk_nonsense(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"220 mail.example.com ESMTP ready\r\n")


def failure(client: Client) -> Transient:
    with pytest.raises(Transient) as caught:
        client.ask(TWO_HOURS)
    assert type(caught.value) is Transient
    assert str(caught.value).startswith("binance/BTCUSDT/1h/2023-11-15T10:00Z..2023-11-15T12:00Z: ")
    assert "127.0.0.1" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("behave", [reset, hang_up, talk_nonsense])
def test_a_connection_that_breaks_may_work_again(
    connect: Opener, behave: Callable[[socket.socket], None]
) -> None:
    with listening() as (listener, url), ThreadPoolExecutor() as pool:

        def serve() -> None:
            with listener.accept()[0] as connection:
                behave(connection)

        served = pool.submit(serve)

        failure(connect(url, max_wait_s=0))
        served.result()


def test_a_connection_that_is_refused_may_work_again(connect: Opener) -> None:
    with listening() as (_, url):
        pass

    error = failure(connect(url, max_wait_s=0))

    assert "refused" in str(error)


def test_a_server_that_never_answers_may_work_again(connect: Opener) -> None:
    began = monotonic()
    with listening() as (_, url):
        error = failure(connect(url, max_wait_s=0, timeout_s=0.05))

    assert "no answer in time" in str(error)
    assert monotonic() - began < 2


def test_a_server_that_speaks_no_tls_may_work_again(connect: Opener) -> None:
    with Loopback(one_by_one(GOOD)) as server:
        failure(connect(server.url.replace("http://", "https://"), max_wait_s=0))


def test_a_body_that_is_cut_off_may_come_whole(connect: Opener) -> None:
    cut_off = GOOD._replace(body=GOOD.body[:50], declared=len(GOOD.body))
    with Loopback(one_by_one(cut_off)) as server:
        failure(connect(server.url, max_wait_s=0))


def test_a_body_that_does_not_unpack_may_come_whole(connect: Opener) -> None:
    broken = GOOD._replace(headers={"Content-Encoding": "gzip"})
    with Loopback(one_by_one(broken)) as server:
        failure(connect(server.url, max_wait_s=0))


def test_a_packed_body_is_unpacked(connect: Opener) -> None:
    packed = GOOD._replace(body=gzip.compress(GOOD.body), headers={"Content-Encoding": "gzip"})
    with Loopback(one_by_one(packed)) as server:
        answers = connect(server.url).ask(TWO_HOURS)

    assert len(open_times(answers)) == 2


def test_what_broke_on_the_way_is_asked_for_again(connect: Opener, time: Timeline) -> None:
    cut_off = GOOD._replace(body=GOOD.body[:50], declared=len(GOOD.body))
    with Loopback(one_by_one(cut_off, GOOD)) as server:
        answers = connect(server.url).ask(TWO_HOURS)

        assert len(open_times(answers)) == 2
        assert len(server.log) == 2
        assert len(time.slept) == 1


def test_an_answer_without_candles_in_it_is_asked_for_again(connect: Opener) -> None:
    with Loopback(one_by_one(Says(HTML, now=LATER), GOOD)) as server:
        answers = connect(server.url).ask(TWO_HOURS)

        assert len(open_times(answers)) == 2
        assert len(server.log) == 2


@pytest.mark.parametrize(
    "body",
    [HTML, GOOD.body[:80], b'{"hello": "world"}', b""],
    ids=["html", "cut off", "another shape", "nothing"],
)
def test_an_answer_that_stays_without_candles_is_handed_over_with_its_body(
    connect: Opener, body: bytes
) -> None:
    with Loopback(one_by_one(Says(body, now=LATER))) as server:
        client = connect(server.url, max_wait_s=10)

        with pytest.raises(Misshapen) as caught:
            client.ask(TWO_HOURS)

        assert caught.value.body == body
        assert client.requests == 4


@pytest.mark.parametrize(
    ("source", "says", "kind"),
    [
        pytest.param("binance", Says(b'{"code":-1121}', 400), UnknownMarket, id="unknown market"),
        pytest.param("binance", Says(b'{"code":-1102}', 400), Permanent, id="our mistake"),
        pytest.param("binance", Says(b'{"code":0}', 451), Refused, id="refused"),
        pytest.param("binance", Says(b"not found", 404), Permanent, id="not found"),
        pytest.param("coingecko", Says(b"", 401), Credentials, id="credentials"),
        pytest.param(
            "coingecko",
            Says(b'{"error":{"status":{"error_code":10012}}}', 401),
            Permanent,
            id="beyond the plan",
        ),
        pytest.param("cryptocompare", Says(b"", 401), Credentials, id="no key"),
        pytest.param(
            "cryptocompare",
            Says(b'{"Response": "Error", "Type": 1}'),
            UnknownMarket,
            id="unknown market with status 200",
        ),
    ],
)
def test_what_asking_again_does_not_change_is_asked_for_once(
    connect: Opener, time: Timeline, source: str, says: Says, kind: type[HistqError]
) -> None:
    interval = "1d" if source == "coingecko" else "1h"
    day = ask(NOON - 36 * HOUR, NOON - 12 * HOUR, interval, source)
    with Loopback(one_by_one(says)) as server:
        with pytest.raises(HistqError) as caught:
            connect(server.url, source).ask(day)

        assert type(caught.value) is kind
        assert len(server.log) == 1
        assert time.slept == []


def test_a_rate_limit_told_with_status_200_is_retried(connect: Opener, time: Timeline) -> None:
    limited = Says(b'{"Response": "Error", "Type": 99, "Message": "over your rate limit"}')
    page = Says(b'{"Response": "Success", "Type": 100, "Data": {"Data": []}}', now=LATER)
    with Loopback(one_by_one(limited, page)) as server:
        connect(server.url, "cryptocompare").ask(ask(NOON - HOUR, NOON, "1h", "cryptocompare"))

        assert len(server.log) == 2
        assert len(time.slept) == 1


def test_a_stop_before_a_request_leaves_it_unasked(connect: Opener) -> None:
    stop = Stop()
    stop.set()
    with Loopback(one_by_one(GOOD)) as server:
        with pytest.raises(Stopped):
            connect(server.url, stop=stop).ask(TWO_HOURS)

        assert server.log == []


def test_a_stop_ends_the_wait_before_a_retry(connect: Opener) -> None:
    stop = Watched()
    busy = Says(b"", 503, {"Retry-After": "90"})
    with Loopback(one_by_one(busy)) as server, ThreadPoolExecutor() as pool:
        asked = pool.submit(connect(server.url, stop=stop).ask, TWO_HOURS)
        assert stop.waiting.wait(10)

        stop.set()

        with pytest.raises(Stopped):
            asked.result(timeout=10)
        assert len(server.log) == 1


def test_a_stop_ends_the_wait_for_the_budget(connect: Opener) -> None:
    stop = Watched()
    with Loopback(one_by_one(GOOD)) as server, ThreadPoolExecutor() as pool:
        client = connect(server.url, stop=stop, per_minute=1)
        client.ask(TWO_HOURS)
        asked = pool.submit(client.ask, TWO_HOURS)
        assert stop.waiting.wait(10)

        stop.set()

        with pytest.raises(Stopped):
            asked.result(timeout=10)
        assert len(server.log) == 1


def test_threads_may_share_a_client(connect: Opener) -> None:
    with Loopback(exchange(minutes(400), MINUTE)) as server, ThreadPoolExecutor(4) as pool:
        client = connect(server.url)
        pages = [ask(NOON + n * 20 * MINUTE, NOON + (n + 1) * 20 * MINUTE, "1m") for n in range(20)]

        answers = [answer for found in pool.map(client.ask, pages) for answer in found]

        assert open_times(answers) == minutes(400)
        assert client.requests == len(server.log) == 20


def test_a_redirect_is_not_followed_with_the_key_in_hand(connect: Opener) -> None:
    with Loopback(one_by_one(GOOD)) as elsewhere:
        moved = Says(b"", 302, {"Location": f"{elsewhere.url}/api/v3/klines"})
        with Loopback(one_by_one(moved)) as server:
            with pytest.raises(HistqError):
                connect(server.url, key=KEY, max_wait_s=0).ask(TWO_HOURS)

            assert len(server.log) == 1
        assert elsewhere.log == []


KEYED = [
    pytest.param("binance", "", "1h", id="binance"),
    pytest.param("coingecko", "demo", "1d", id="coingecko demo"),
    pytest.param("coingecko", "paid", "1d", id="coingecko paid"),
    pytest.param("cryptocompare", "", "1h", id="cryptocompare"),
]


@pytest.mark.parametrize(("source", "plan", "interval"), KEYED)
def test_a_key_travels_in_one_header_and_nowhere_else(
    connect: Opener, source: str, plan: str, interval: str
) -> None:
    day = ask(NOON - 36 * HOUR, NOON - 12 * HOUR, interval, source)
    with Loopback(one_by_one(Says(b"", 500))) as server, pytest.raises(Transient):
        connect(server.url, source, key=KEY, plan=plan, max_wait_s=0).ask(day)

    (asked,) = server.log
    assert len([value for value in asked.headers.values() if KEY in value]) == 1
    assert KEY not in asked.path
    assert KEY not in str(asked.query)


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(Says(b"[]", now=LATER), id="200"),
        pytest.param(Says(HTML), id="html"),
        pytest.param(Says(b"", 302, {"Location": "/elsewhere"}), id="302"),
        pytest.param(Says(b'{"code":-1102}', 400), id="400"),
        pytest.param(Says(b"", 401), id="401"),
        pytest.param(Says(b"", 404), id="404"),
        pytest.param(Says(b"", 418, {"Retry-After": "9999"}), id="418"),
        pytest.param(Says(b"", 429, {"Retry-After": "1"}), id="429"),
        pytest.param(Says(b"", 451), id="451"),
        pytest.param(Says(b"", 503), id="503"),
        pytest.param(Says(b"[", declared=10), id="cut off"),
    ],
)
@pytest.mark.parametrize(("source", "plan", "interval"), KEYED)
def test_no_error_and_no_log_record_holds_the_key(
    connect: Opener,
    caplog: pytest.LogCaptureFixture,
    source: str,
    plan: str,
    interval: str,
    says: Says,
) -> None:
    caplog.set_level(logging.DEBUG)
    day = ask(NOON - 36 * HOUR, NOON - 12 * HOUR, interval, source)
    told: list[str] = []
    with Loopback(one_by_one(says)) as server:
        client = connect(
            server.url,
            source,
            key=KEY,
            plan=plan,
            max_wait_s=2,
            on_retry=lambda why, wait_s: told.append(why),
        )
        told.append(text_of_failure(client, day))

    assert caplog.records
    assert KEY not in caplog.text
    assert KEY not in "".join(told)


def text_of_failure(client: Client, ask: Ask) -> str:
    """What a traceback of it shows, causes included; empty where nothing failed."""
    try:
        client.ask(ask)
    except HistqError as error:
        return "".join(traceback.format_exception(error))
    return ""


@pytest.mark.parametrize(
    "blemish",
    [
        pytest.param("{}\n", id="line end"),
        pytest.param("{}\r\n", id="line end of another system"),
        pytest.param("{} ", id="blank behind"),
        pytest.param("{}\0", id="nul"),
        pytest.param("{}ключ", id="letters beyond ascii"),
        pytest.param("“{}”", id="curly quotes"),
    ],
)
def test_a_key_that_was_pasted_with_more_than_itself_is_not_shown(
    tmp_path: Path, time: Timeline, blemish: str
) -> None:
    with Loopback(one_by_one(Says(b"", 500))) as server:
        flags: Mapping[str, object] = {
            "base_url": server.url,
            "api_key": blemish.format(KEY),
            "max_wait_s": 0,
        }

        shown = text_of_start("cryptocompare", flags, Budget(tmp_path, "host", 60), time)

    assert KEY not in shown


def text_of_start(source: str, flags: Mapping[str, object], budget: Budget, time: Timeline) -> str:
    """What a traceback shows of settings or of a client that failed at their key."""
    provider = providers()[source]
    interval = provider.defaults.intervals[0]
    try:
        settings = load({"sources": {source: dict(flags)}}, plain=True).settings.sources[source]
        http = Http(provider, settings, budget, stop=time, clock=time.clock)
        with contextlib.closing(Client(provider, http, time.clock)) as client:
            client.ask(ask(NOON - 36 * HOUR, NOON - 12 * HOUR, interval, source))
    except HistqError as error:
        return "".join(traceback.format_exception(error))
    return ""
