"""Signals while the database is locked, and a writer from outside: none hangs, nothing is lost."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3

from histq.locks import FairLock, NamedLocks
from tests.cli.test_collect import FETCH, HOURS
from tests.conftest import Histq, source_at
from tests.hourly import hours
from tests.loopback import Loopback
from tests.pipeline import candle, configured, draft
from tests.processes import start, until

SIGNALS = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)

ROW = "1704067200000,3,4,2,3.5,10,1704070799999,35,7,5,17,0\n"
POINTS = 3


@pytest.fixture
def queued(place: Path) -> None:
    """Pages of three points wait in the queue."""
    with configured(place).open(create=True) as backends:
        backends.queue.put([draft([candle(0), candle(1)], slots=2), draft([candle(2)], slots=3)])


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Another program, which knows nothing of ours, holds the database locked."""
    with closing(sqlite3.connect(place / "histq.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        yield


def waiting(place: Path, process: "subprocess.Popen[str]") -> bool:
    """Whether the process holds the fair lock, as one that waits for SQLite's does."""
    assert process.poll() is None
    lock = FairLock(place / "histq.db-lock")
    held = not lock.acquire(0)
    lock.close()
    return held


@SIGNALS
@pytest.mark.usefixtures("queued")
def test_a_stopped_consume_that_cannot_finish_ends_in_time_and_loses_nothing(
    number: int, code: int, environ: dict[str, str], place: Path, histq: Histq
) -> None:
    with locked(place):
        shutdown = {"HISTQ_CONSUME__SHUTDOWN_SECONDS": "0.5"}
        process = start(environ, place, "consume", "--json", **shutdown)
        until(lambda: waiting(place, process))
        process.send_signal(number)
        out, err = process.communicate(timeout=15)

    assert (process.returncode, err) == (code, "")
    assert json.loads(out)["messages"] == 0
    assert histq("consume", "--json").document["inserted"] == POINTS


@SIGNALS
def test_a_second_signal_ends_a_consume_at_once_and_loses_nothing(
    number: int, code: int, queued: None, environ: dict[str, str], place: Path, histq: Histq
) -> None:
    with locked(place):
        process = start(environ, place, "consume", HISTQ_CONSUME__SHUTDOWN_SECONDS="600")
        until(lambda: waiting(place, process))
        process.send_signal(number)
        while process.poll() is None:  # until the first one is taken, the second is the same
            process.send_signal(number)
        process.communicate()

    assert process.returncode in (-number, code)
    assert histq("consume", "--json").document["inserted"] == POINTS


def test_the_audit_trail_keeps_nobody_from_stopping(
    queued: None, environ: dict[str, str], place: Path, histq: Histq
) -> None:
    process = start(
        environ, place, "consume", "--follow", "--json", HISTQ_CONSUME__SHUTDOWN_SECONDS="0.5"
    )
    with configured(place).open(create=False) as backends:
        while backends.queue.depth().messages:
            assert process.poll() is None
    with locked(place):
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 143
    assert len(err.splitlines()) == 1
    assert "the end of this run is not on record" in err
    assert json.loads(out)["inserted"] == POINTS


@SIGNALS
def test_an_import_that_waits_for_a_series_ends_with_the_code_of_its_signal(
    number: int, code: int, environ: dict[str, str], place: Path, histq: Histq
) -> None:
    histq("init")
    (place / "BTCUSDT-1h.csv").write_text(ROW)
    with NamedLocks(place / "histq.db-fetch") as locks:
        assert locks.try_acquire("binance/BTCUSDT/1h")
        process = start(
            environ, place, "import", "BTCUSDT-1h.csv", "--symbol", "BTCUSDT", "-i", "1h"
        )
        assert process.stderr is not None
        assert "another histq fetches binance/BTCUSDT/1h" in process.stderr.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=15)

    assert (process.returncode, out, err) == (code, "", "histq: stopped while waiting\n")
    assert histq("stats", "--json").document["series"] == []


@contextmanager
def locked_for(place: Path, seconds: float) -> Iterator[threading.Event]:
    """Another program holds the database locked for so long; then the event is set."""
    over = threading.Event()
    path = place / "histq.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("begin immediate")

        def release() -> None:
            over.set()
            other.execute("commit")

        timer = threading.Timer(seconds, release)
        timer.start()
        try:
            yield over
        finally:
            timer.join()


def test_a_writer_from_outside_that_holds_the_lock_for_long_only_takes_time(
    histq: Histq, place: Path
) -> None:
    histq("init")
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        with locked_for(place, 2) as over:
            fetched = histq(*FETCH, "--json", **settings)
            assert over.is_set()
        with locked_for(place, 2) as over:
            consumed = histq("consume", "--json", "--concurrency", "3", **settings)
            assert over.is_set()

    assert (fetched.code, fetched.err) == (0, "")
    assert (consumed.code, consumed.err) == (0, "")
    assert fetched.document["queued_points"] == consumed.document["inserted"] == 2 * HOURS
