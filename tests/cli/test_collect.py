"""fetch, consume and sync as processes: side by side, stopped by signals, and with a full queue."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Histq, source_at
from tests.hourly import hours
from tests.loopback import Asked, Loopback, Says
from tests.processes import start

FETCH = ("fetch", "BTC", "ETH", "-s", "binance", "--from", "2024-01-01", "--to", "2024-03-01")
HOURS = 60 * 24  # in January and February 2024


class Gate:
    """A provider that answers nothing until it is opened; `reached` when it has been asked."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, asked: Asked) -> Says:
        self.reached.set()
        self.opened.wait(30)
        return hours(asked)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


def test_fetch_says_what_it_queued_and_consume_what_it_stored(histq: Histq) -> None:
    with Loopback(hours) as server:
        fetched = histq(*FETCH, "--json", **source_at("binance", server.url)).document
        consumed = histq("consume", "--concurrency", "3", "--json").document

    assert fetched["schema"] == consumed["schema"] == 1
    assert (fetched["requests"], fetched["queued_messages"]) == (4, 4)
    assert fetched["queued_points"] == 2 * HOURS
    assert (fetched["failed_windows"], fetched["skipped"], fetched["failures"]) == (0, [], [])
    assert fetched["elapsed_ms"] > 0
    assert consumed["points"] == consumed["unique"] == consumed["inserted"] == 2 * HOURS
    assert consumed["points_per_s"] > 0


def test_stats_tells_of_queue_series_throughput_and_size(histq: Histq) -> None:
    with Loopback(hours) as server:
        histq(*FETCH, **source_at("binance", server.url))
        waiting = histq("stats", "--json").document
        histq("consume")
        stored = histq("stats", "--json").document

    queue = waiting["queue"]
    assert (queue["messages"], queue["points"], queue["ready"]) == (4, 2 * HOURS, 4)
    assert (queue["leased"], queue["delayed"], queue["dead"]) == (0, 0, 0)
    assert stored["queue"]["messages"] == 0
    assert stored["queue"]["oldest_age_s"] is None
    assert [(one["symbol"], one["points"], one["missing"]) for one in stored["series"]] == [
        ("BTCUSDT", HOURS, 0),
        ("ETHUSDT", HOURS, 0),
    ]
    assert stored["series"][0]["first"] == 1_704_067_200_000
    assert stored["throughput"][0]["source"] == "binance"
    assert stored["database"]["bytes"] > 100_000


def test_a_second_fetch_waits_for_the_first_and_then_finds_nothing_missing(
    environ: dict[str, str], place: Path, histq: Histq, gate: Gate
) -> None:
    with Loopback(gate) as server:
        settings = source_at("binance", server.url)
        first = start(environ, place, *FETCH, "--json", **settings)
        assert gate.reached.wait(20)
        second = start(environ, place, *FETCH, "--json", **settings)
        waits = second.stderr
        assert waits is not None
        said = waits.readline()
        gate.opened.set()
        out, _ = first.communicate(timeout=30)
        out_of_second, _ = second.communicate(timeout=30)

    assert "another histq fetches binance/BTCUSDT/1h" in said
    assert json.loads(out)["requests"] == 4
    assert json.loads(out_of_second)["requests"] == 0
    assert second.returncode == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_a_signal_stops_a_fetch_cleanly(
    number: int, code: int, environ: dict[str, str], place: Path, histq: Histq, gate: Gate
) -> None:
    with Loopback(gate) as server:
        settings = source_at("binance", server.url)
        process = start(environ, place, *FETCH, "--json", **settings)
        assert gate.reached.wait(20)
        process.send_signal(number)
        gate.opened.set()
        out, err = process.communicate(timeout=30)

        assert process.returncode == code, err
        assert json.loads(out)["schema"] == 1
        assert "Traceback" not in err
        # Run again, it gets what is missing, and no page twice.
        assert histq(*FETCH, **settings).code == 0
        assert histq("consume", "--json").document["points"] == 2 * HOURS
        assert histq("consume", "--json").document["duplicates"] == 0


def test_a_second_signal_ends_at_once(environ: dict[str, str], place: Path, gate: Gate) -> None:
    with Loopback(gate) as server:
        process = start(environ, place, *FETCH, **source_at("binance", server.url))
        assert gate.reached.wait(20)
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:  # until the first one is taken, the second is the same
            process.send_signal(signal.SIGTERM)
        process.communicate()

    assert process.returncode in (-signal.SIGTERM, 143)
    assert not gate.opened.is_set()


def test_a_signal_stops_a_following_consume(
    environ: dict[str, str], place: Path, histq: Histq
) -> None:
    with Loopback(hours) as server:
        histq(*FETCH, **source_at("binance", server.url))
    process = start(environ, place, "consume", "--follow", "--json")
    stored = 0
    while stored < 2 * HOURS:
        document = histq("stats", "--json").document
        stored = sum(series["points"] for series in document["series"])
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 130, err
    assert json.loads(out)["inserted"] == 2 * HOURS


def test_a_full_queue_stops_a_fetch_and_consuming_makes_room(histq: Histq) -> None:
    with Loopback(hours) as server:
        settings = {**source_at("binance", server.url), "HISTQ_QUEUE__MAX_DEPTH": "1500"}
        first = histq(*FETCH, "--json", **settings)
        histq("consume", **settings)
        rest = histq(*FETCH, "--json", **settings)

    assert first.code == 3
    assert first.document["queued_points"] == HOURS
    assert "run histq consume" in first.err
    assert rest.document["queued_points"] == HOURS


def test_sync_waits_for_room_instead(histq: Histq) -> None:
    with Loopback(hours) as server:
        settings = {**source_at("binance", server.url), "HISTQ_QUEUE__MAX_DEPTH": "1000"}
        synced = histq("sync", *FETCH[1:], "--json", **settings)

    assert synced.code == 0, synced.err
    assert synced.document["fetch"]["queued_points"] == 2 * HOURS
    assert synced.document["consume"]["inserted"] == 2 * HOURS


def test_a_slow_source_holds_up_nobody(
    environ: dict[str, str], place: Path, histq: Histq, gate: Gate
) -> None:
    with Loopback(gate) as slow, Loopback(hours) as quick:
        settings = {**source_at("coingecko", slow.url), **source_at("binance", quick.url)}
        process = start(environ, place, "fetch", "BTC", "ETH", "--from", "30d", **settings)
        assert gate.reached.wait(20)
        waiting = 0
        while waiting < 2 * 719:  # which Binance's pages are, while CoinGecko says nothing
            database = place / "histq.db"
            if database.exists():
                waiting = histq("stats", "--json").document["queue"]["points"]
        assert process.poll() is None
        process.kill()
        process.communicate()


def test_the_lease_of_a_killed_consumer_is_free_at_once(
    environ: dict[str, str], place: Path, histq: Histq
) -> None:
    with Loopback(hours) as server:
        histq(*FETCH, **source_at("binance", server.url))
    leaser = (
        "import sys; from pathlib import Path\n"
        "from histq.config import load\n"
        "from histq.host import owner_id\n"
        "from histq.pipeline.backends import Opener\n"
        "settings = load({'database': {'path': 'histq.db'}}, plain=True).settings\n"
        "opened = Opener(settings, owner_id()).open(create=False)\n"
        "print(len(opened.queue.lease(100, 10**6, 3600)), flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", leaser],
        cwd=place,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "4\n"
    left = histq("consume", "--no-wait", "--json")
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    consumed = histq("consume", "--json")

    assert (left.code, left.document["left"], left.document["points"]) == (3, 4, 0)
    assert (consumed.code, consumed.document["inserted"]) == (0, 2 * HOURS)


@pytest.mark.parametrize("command", [FETCH, ("consume",)], ids=["fetch", "consume"])
def test_nothing_to_do_is_4_only_when_asked(command: tuple[str, ...], histq: Histq) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        histq(*FETCH, **settings)
        histq("consume", **settings)

        assert histq(*command, **settings).code == 0
        assert histq(*command, "--fail-if-empty", **settings).code == 4


def test_refetch_asks_again_and_stores_nothing_twice(histq: Histq) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        histq(*FETCH, **settings)
        histq("consume", **settings)
        again = histq(*FETCH, "--refetch", "--json", **settings)
        consumed = histq("consume", "--json", **settings)

    assert again.document["requests"] == 4
    assert consumed.document["inserted"] == 0
    assert consumed.document["duplicates_stored"] == 2 * HOURS
    assert consumed.document["revised"] == 0


def test_earlier_history_is_added_without_asking_for_what_is_held(histq: Histq) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        histq(*FETCH, **settings)
        earlier = ("fetch", "BTC", "-s", "binance", "--from", "2023-12-01", "--to", "2024-03-01")
        histq(*earlier, **settings)

    december = server.log[-1].query
    assert december["startTime"] == "1701388800000"
    assert december["endTime"] == "1704067199999"
    assert len(server.log) == 5


def test_an_unknown_symbol_does_not_cost_the_known_ones(histq: Histq) -> None:
    def answer(asked: Asked) -> Says:
        if asked.query["symbol"] == "NOSUCH":
            return Says(b'{"code":-1121,"msg":"Invalid symbol."}', 400)
        return hours(asked)

    with Loopback(answer) as server:
        ended = histq("sync", "NOSUCH", *FETCH[1:], **source_at("binance", server.url))

    assert ended.code == 2
    assert "'NOSUCH'" in ended.err
    points = {one["symbol"]: one["points"] for one in histq("stats", "--json").document["series"]}
    assert points == {"BTCUSDT": HOURS, "ETHUSDT": HOURS}
