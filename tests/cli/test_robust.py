"""Fetches that others found ways to break: what is held stays held, and nothing hangs or lies."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import Histq, source_at
from tests.hourly import HOUR_MS, opens, page
from tests.loopback import Asked, Loopback, Says

START = 1_704_067_200_000  # 2024-01-01
DAY = ("fetch", "BTC", "-s", "binance", "--from", "2024-01-01", "--to", "2024-01-02")


class Hours:
    """Hours of any symbol, but for those that are absent."""

    def __init__(self, absent: range = range(0)) -> None:
        self.absent = absent

    def __call__(self, asked: Asked) -> Says:
        return page(t for t in opens(asked) if (t - START) // HOUR_MS not in self.absent)


def ledger(place: Path) -> list[tuple[int, int, str]]:
    """In hours."""
    connection = sqlite3.connect(place / "histq.db")
    try:
        rows = connection.execute('select start, "end", state from spans order by start')
        return [((s - START) // HOUR_MS, (e - START) // HOUR_MS, state) for s, e, state in rows]
    finally:
        connection.close()


@pytest.mark.parametrize(
    "broken",
    [
        {"HTTPS_PROXY": "foo://x", "HTTP_PROXY": "foo://x", "NO_PROXY": ""},
        {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": ""},
        {"SSL_CERT_FILE": "/nonexistent"},
        {"HISTQ_SOURCES__BINANCE__BASE_URL": "http://a..b"},
    ],
    ids=["proxy of no kind", "socks without support", "no certificates", "no host name"],
)
def test_http_that_cannot_be_set_up_is_a_fault_of_the_settings(
    broken: dict[str, str], histq: Histq, place: Path
) -> None:
    ended = histq(*DAY, **{"HISTQ_SOURCES__BINANCE__MAX_WAIT_S": "0", **broken})

    assert ended.code == 5, ended
    assert "Traceback" not in ended.err
    assert "nothing is missing" not in ended.out
    assert list(place.iterdir()) == []


def test_a_page_that_waits_already_is_not_taken_for_another_answer(
    histq: Histq, place: Path
) -> None:
    with Loopback(Hours(absent=range(5, 24))) as server:
        settings = source_at("binance", server.url)
        histq(*DAY, **settings)
        server.answer_with(Hours())
        again = histq(*DAY, "--refetch", **settings)
        histq("consume")
        third = histq(*DAY, "--refetch", "--json", **settings)
        histq("consume")

    assert "waits in the queue already" in again.err
    assert third.document["queued_points"] == 24
    assert ledger(place) == [(0, 24, "stored")]


@pytest.mark.parametrize(
    "later",
    [Hours(absent=range(3, 5)), Hours(absent=range(24)), lambda asked: Says(b"", 500)],
    ids=["a hole", "nothing", "an error"],
)
def test_asking_again_takes_nothing_back(later: Hours, histq: Histq, place: Path) -> None:
    with Loopback(Hours()) as server:
        settings = source_at("binance", server.url)
        histq(*DAY, **settings)
        histq("consume")
        server.answer_with(later)

        histq(*DAY, "--refetch", **settings)
        histq("consume")

    assert ledger(place) == [(0, 24, "stored")]
    (series,) = histq("stats", "--json").document["series"]
    assert (series["points"], series["missing"]) == (24, 0)


def test_fetches_that_name_their_symbols_in_another_order_do_not_wait_for_each_other(
    environ: dict[str, str], place: Path
) -> None:
    both = threading.Barrier(2, timeout=20)

    def answer(asked: Asked) -> Says:
        if not both.broken and both.n_waiting == 0:
            threading.Timer(1.0, both.abort).start()
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
        return Hours()(asked)

    with Loopback(answer) as server:
        settings = {**environ, **source_at("binance", server.url)}
        command = [sys.executable, "-m", "histq"]
        dates = DAY[2:]
        fetches = [
            subprocess.Popen(
                [*command, "fetch", *names, *dates],
                cwd=place,
                env=settings,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for names in (("BTC", "ETH"), ("ETH", "BTC"))
        ]
        codes = [fetch.wait(60) for fetch in fetches]

    assert codes == [0, 0]
    assert len(server.log) == 2


def test_two_tokens_that_are_one_market_of_a_source_are_asked_for_once(
    histq: Histq, place: Path
) -> None:
    (place / "histq.toml").write_text(
        '[[tokens]]\nbase = "BTC"\nquote = "USDT"\ncoingecko_id = "bitcoin"\n'
        '[[tokens]]\nbase = "BTC"\nquote = "USDC"\ncoingecko_id = "bitcoin"\n'
    )
    with Loopback(lambda asked: Says(b'{"prices": []}')) as server:
        histq("fetch", "-s", "coingecko", "--from", "10d", **source_at("coingecko", server.url))

    assert len(server.log) == 1


def test_a_symbol_that_keeps_failing_does_not_cost_another_its_data(histq: Histq) -> None:
    def answer(asked: Asked) -> Says:
        return Says(b"", 500) if asked.query["symbol"] == "BTCUSDT" else Hours()(asked)

    command = "fetch BTC ETH -s binance --from 2024-01-01 --to 2024-12-01 --json"
    with Loopback(answer) as server:
        ended = histq(*command.split(), **source_at("binance", server.url, concurrency=1))

    asked = [one.query["symbol"] for one in server.log]
    assert ended.code == 3
    assert ended.document["queued_points"] == 335 * 24
    assert (asked.count("BTCUSDT"), asked.count("ETHUSDT")) == (3, 9)


@pytest.mark.parametrize(
    "options",
    [
        "--from 2024-01-01T00:10Z --to 2024-01-01T00:50Z",
        "--from now",
    ],
)
def test_a_time_without_a_whole_candle_is_not_called_complete(
    options: str, histq: Histq, place: Path
) -> None:
    with Loopback(Hours()) as server:
        settings = source_at("binance", server.url)
        ended = histq("fetch", "BTC", "-s", "binance", *options.split(), **settings)

    assert ended.code == 0
    assert "no whole candle has opened and closed" in ended.out
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("options", ["--to 2024-01-01", "-i 1M"])
def test_the_default_start_is_reckoned_from_the_end_and_holds_a_candle(
    options: str, histq: Histq
) -> None:
    with Loopback(lambda asked: Says(b"[]")) as server:
        settings = source_at("binance", server.url)
        histq("fetch", "BTC", "-s", "binance", *options.split(), **settings)

    assert len(server.log) == 1


class Dripping:
    """A byte now and then, for ever; says when it has begun."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def __call__(self, asked: Asked) -> Says:
        self.begun.set()
        return Says(b"[" + b" " * 200, declared=100_000, drip_s=0.2)


def test_ctrl_c_ends_a_fetch_whose_answer_never_ends(environ: dict[str, str], place: Path) -> None:
    dripping = Dripping()
    with Loopback(dripping) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "histq", *DAY],
            cwd=place,
            env={**environ, **source_at("binance", server.url, timeout_s=60)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert dripping.begun.wait(20)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=15)

    assert process.returncode == 130


def test_an_answer_that_drips_past_the_time_out_is_a_passing_failure(histq: Histq) -> None:
    with Loopback(Dripping()) as server:
        ended = histq(*DAY, **source_at("binance", server.url, timeout_s=1))

    assert ended.code == 3
    assert "the answer took longer than 1 s" in ended.err


def test_what_a_provider_says_is_shown_as_it_is(histq: Histq) -> None:
    body = b'[[1704067200000,"[/x]","2","1","1.5","1",1704070799999,"1",1,"1","1","0"]]'
    with Loopback(lambda asked: Says(body)) as server:
        histq(*DAY, **source_at("binance", server.url))

    assert "[/x]" in histq("dlq", "list").out
    assert histq("stats").code == 0
    assert "[/x]" in histq("dlq", "show", "1").out


def test_init_makes_the_database_that_the_environment_names(histq: Histq, place: Path) -> None:
    ended = histq("init", HISTQ_DB=str(place / "mine.db"))

    assert ended.code == 0
    assert (place / "mine.db").exists()
    assert not (place / "histq.db").exists()
