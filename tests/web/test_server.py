"""The server as the daemon has it: starting, stopping, and clients that stall."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from histq.errors import Config
from histq.settings import Settings
from tests.web import TOKEN, lay, opener, raw, server, serving, settings_in


def test_it_answers_when_it_has_started_and_not_when_it_has_stopped(settings: Settings) -> None:
    one = server(settings)
    one.start()

    assert httpx.get(f"{one.address}/healthz").status_code == 200
    assert one.alive

    one.stop()
    assert not one.alive
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{one.address}/healthz")


def test_stopping_leaves_no_thread_and_may_be_repeated(settings: Settings) -> None:
    before = threading.active_count()
    one = server(settings)
    one.start()
    httpx.get(f"{one.address}/api/stats")

    one.stop()
    one.stop()

    assert threading.active_count() == before


def test_a_server_that_was_never_started_can_be_stopped(settings: Settings) -> None:
    one = server(settings)

    one.stop()

    assert not one.alive


def test_stopping_does_not_wait_for_clients_that_stall(settings: Settings) -> None:
    with serving(settings) as client, raw(client) as idle, raw(client) as reader:
        idle.sendall(b"GET /healthz HTTP/1.1\r\n")
        reader.sendall(b"GET /assets/plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert reader.recv(100).startswith(b"HTTP/1.1 200")
        began = time.monotonic()

    assert time.monotonic() - began < 3


def test_a_taken_port_is_told_in_one_line(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(Config, match=rf"^--listen {listen}: .*; choose another port$"):
            server(settings, listen).start()


def test_every_address_needs_a_token_and_then_answers_under_each(settings: Settings) -> None:
    with pytest.raises(Config, match="needs a token"):
        server(settings, "0.0.0.0:0").start()

    one = server(settings, "0.0.0.0:0", token=TOKEN)
    one.start()
    url = one.address.replace("0.0.0.0", "127.0.0.1")
    refused = httpx.get(f"{url}/healthz")
    allowed = httpx.get(f"{url}/healthz", headers={"Authorization": f"Bearer {TOKEN}"})
    one.stop()

    assert (refused.status_code, allowed.status_code) == (401, 200)


@pytest.mark.parametrize("missing", ["uvicorn", "starlette", "prometheus_client", "plotly"])
def test_without_the_extra_one_line_says_what_to_install(missing: str, tmp_path: Path) -> None:
    script = f"""
import sys
from importlib.machinery import PathFinder
class Lacking(PathFinder):
    @classmethod
    def find_spec(cls, name, *rest):
        return None if name.partition(".")[0] == {missing!r} else super().find_spec(name, *rest)
sys.meta_path = [Lacking if finder is PathFinder else finder for finder in sys.meta_path]
from pathlib import Path
from tests.web import server, settings_in
try:
    server(settings_in(Path({str(tmp_path)!r}))).start()
except Exception as error:
    print(error.exit_code, error)
"""

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("5 ")
    assert missing in ended.stdout
    assert ended.stdout.endswith("; pip install 'histq[web]'\n")


def test_new_settings_count_from_the_next_request_on(settings: Settings, tmp_path: Path) -> None:
    other = settings_in(tmp_path / "other", queue={"alert_depth": 2})
    (tmp_path / "other").mkdir()
    lay(other)
    one = server(settings, environment="development")
    one.start()

    before = httpx.get(f"{one.address}/api/health").json()
    one.update(opener=opener(other), settings=other, targets=[], environment="production")
    after = httpx.get(f"{one.address}/api/health").json()
    one.stop()

    assert (before["environment"], after["environment"]) == ("development", "production")
    assert (before["ready"], after["ready"]) == (True, False)
    assert len(before["health"]["series"]) == 1
    assert after["health"]["series"] == []


def test_clients_that_send_nothing_or_half_keep_nobody_waiting(settings: Settings) -> None:
    with contextlib.ExitStack() as open_, serving(settings) as client:
        for number in range(60):
            stalled = open_.enter_context(raw(client))
            stalled.sendall(b"GET /api/stats HTTP/1.1\r\nHost: loc"[: number * 2])
        began = time.monotonic()

        answer = client.get("/api/stats")

    assert answer.status_code == 200
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", id="half a head"),
        pytest.param(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea", id="half a second one"
        ),
    ],
)
def test_a_client_that_stalls_is_cut_off(settings: Settings, sent: bytes) -> None:
    with serving(settings, patience_s=0.1) as client, raw(client) as stalled:
        stalled.sendall(sent)

        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := stalled.recv(10_000):
                received += piece

    assert received.startswith(b"HTTP/1.1 200" if sent.endswith(b"hea") else b"")


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(settings: Settings) -> None:
    request = b"GET /assets/plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(settings, patience_s=0.1) as client, raw(client) as stalled:
        stalled.sendall(request)
        while client.get("/metrics").text.count('path="other"') == 0:
            pass  # the server has given it up when the answer counts as ended

        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := stalled.recv(100_000):
                received += piece

    assert len(received) < 4_000_000


def test_a_client_that_reads_slowly_but_steadily_gets_all_of_it(settings: Settings) -> None:
    with serving(settings, patience_s=0.3) as client:
        began = time.monotonic()
        received = 0
        with client.stream("GET", "/assets/plotly.min.js") as answer:
            declared = int(answer.headers["content-length"])
            for piece in answer.iter_raw(16_384):
                received += len(piece)
                threading.Event().wait(0.01)

    assert received == declared > 1_000_000
    assert time.monotonic() - began > 0.6
