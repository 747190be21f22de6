"""How a command ends that nobody reads, and one that is stopped while another is in its way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Histq, source_at
from tests.hourly import hours
from tests.loopback import Loopback
from tests.processes import start, until

FETCH = ("fetch", "BTC", "-s", "binance", "--from", "2024-01-01", "--to", "2024-01-02")
LOCKS = Path("/proc/locks")

HOLD = """
import sys
from pathlib import Path
from histq.db import Database
with Database.open(Path("histq.db")) as database, database.transaction():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(hours) as running:
        yield running


def waits_for_a_lock(pid: int) -> bool:
    """Whether the kernel queues the process for a flock: "1: -> FLOCK ADVISORY WRITE 7"."""
    blocked = (line.split() for line in LOCKS.read_text().splitlines() if "-> FLOCK" in line)
    return any(words[5] == str(pid) for words in blocked)


@pytest.fixture
def frozen_writer(
    environ: dict[str, str], place: Path, histq: Histq, server: Loopback
) -> Iterator["subprocess.Popen[str]"]:
    """A process that was stopped, as by Ctrl-Z, in a write to a database with a page queued."""
    if not LOCKS.exists():
        pytest.skip("only Linux tells who waits for a lock")
    histq(*FETCH, **source_at("binance", server.url))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=place,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        pytest.param("fetch", signal.SIGINT, 130, id="fetch by Ctrl-C"),
        pytest.param("fetch", signal.SIGTERM, 143, id="fetch by SIGTERM"),
        pytest.param("consume", signal.SIGINT, 130, id="consume by Ctrl-C"),
        pytest.param("sync", signal.SIGTERM, 143, id="sync by SIGTERM"),
    ],
)
def test_who_waits_for_a_frozen_writer_can_be_stopped(
    command: str,
    number: signal.Signals,
    code: int,
    environ: dict[str, str],
    place: Path,
    server: Loopback,
    frozen_writer: "subprocess.Popen[str]",
    histq: Histq,
) -> None:
    dates = ("BTC", "-s", "binance", "--from", "2024-01-02", "--to", "2024-01-03")
    arguments = () if command == "consume" else dates
    settings = source_at("binance", server.url)
    process = start(environ, place, command, *arguments, **settings)
    until(lambda: process.poll() is not None or waits_for_a_lock(process.pid))

    process.send_signal(number)
    _, told = process.communicate(timeout=20)

    assert process.returncode == code
    assert "Traceback" not in told
    frozen_writer.kill()
    frozen_writer.wait()
    later = histq("sync", *dates, "--json", **settings)
    held = histq("stats", "--json").document
    assert later.code == 0
    assert (held["queue"]["messages"], held["series"][0]["points"]) == (0, 48)


@pytest.mark.parametrize(
    "arguments",
    ["--help", "--version", "stats --help", "dlq", "config show", "config show --json", "sources"],
)
def test_a_reader_that_went_away_ends_a_command_as_it_ends_others(
    arguments: str, environ: dict[str, str], place: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody_reads:  # noqa: PTH123, a descriptor has no path
        ended = subprocess.run(
            [sys.executable, "-m", "histq", *arguments.split()],
            cwd=place,
            env=environ,
            stdout=nobody_reads,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )

    assert (ended.returncode, ended.stderr) == (141, "")


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_that_nobody_reads_keeps_its_exit_code(
    form: str, environ: dict[str, str], place: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody_reads:  # noqa: PTH123, a descriptor has no path
        ended = subprocess.run(
            [sys.executable, "-m", "histq", "stats", "--log-format", form],
            cwd=place,
            env=environ,
            stdout=nobody_reads,
            stderr=nobody_reads,
            timeout=60,
        )

    assert ended.returncode == 10
