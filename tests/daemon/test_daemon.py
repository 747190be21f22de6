"""The daemon as a process: schedules, new settings, signals, death and a second one."""

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.alerts.receivers import WebReceiver
from tests.conftest import Histq, source_at
from tests.hourly import hours
from tests.loopback import Loopback, Says
from tests.processes import PATIENCE_S, until

QUICK = {
    "HISTQ_DAEMON__SCHEDULE": "1s",
    "HISTQ_DAEMON__JITTER_S": "0",
    "HISTQ_DAEMON__REPAIR": "",
    "HISTQ_DAEMON__RECHECK": "",
    "HISTQ_DAEMON__MAINTAIN": "",
    "HISTQ_DAEMON__PRUNE": "",
    "HISTQ_SOURCES__COINGECKO__ENABLED": "false",
    "HISTQ_TOKENS": '[{"base": "BTC"}]',
}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(hours) as serving:
        yield serving


@pytest.fixture
def settings(environ: dict[str, str], server: Loopback) -> dict[str, str]:
    return {**environ, **source_at("binance", server.url), **QUICK}


@contextlib.contextmanager
def running(place: Path, settings: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A daemon; killed where the test has not ended it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "histq", "daemon", "-v"],
        cwd=place,
        env=settings,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def value(place: Path, sql: str) -> int:
    """A number out of the database; 0 where there is none yet."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{place / 'histq.db'}?mode=ro", uri=True)
        ) as database:
            found = database.execute(sql).fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(found[0])


PRICES = "select count(*) from prices"
FETCHES = "select count(*) from runs where command = 'daemon fetch binance' and ended_at > 0"


def ended(process: "subprocess.Popen[str]", number: int) -> tuple[int, str]:
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err


def test_what_is_missing_comes_on_schedule_and_is_stored(
    place: Path, settings: dict[str, str]
) -> None:
    with running(place, settings) as daemon:
        until(lambda: value(place, PRICES) >= 719 and value(place, FETCHES) >= 3)
        code, err = ended(daemon, signal.SIGTERM)

    assert code == 143
    assert "Traceback" not in err
    assert value(place, "select count(*) from messages") == 0
    assert value(place, "select count(*) from runs where ended_at is null") == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_the_midst_of_a_slow_answer(
    place: Path, settings: dict[str, str], server: Loopback, number: int, code: int
) -> None:
    server.answer_with(lambda asked: hours(asked)._replace(drip_s=0.01))
    with running(place, settings) as daemon:
        until(lambda: bool(server.log))
        began = time.monotonic()

        found, err = ended(daemon, number)

    assert found == code
    assert "Traceback" not in err
    assert time.monotonic() - began < 30  # seconds, of which a run that ends well needs two


@pytest.mark.parametrize("name", ["histq.db", "link.db"], ids=["by its name", "by a link"])
def test_a_second_daemon_on_the_database_is_refused(
    name: str, histq: Histq, place: Path, settings: dict[str, str]
) -> None:
    (place / "link.db").symlink_to("histq.db")
    with running(place, settings):
        until(lambda: value(place, FETCHES) >= 1)

        second = histq("daemon", "--db", name, timeout=30, **settings)

    assert second.code == 11
    assert second.err.startswith("histq: another histq daemon runs on ")


def test_new_settings_are_taken_on_sighup_and_wrong_ones_refused(
    place: Path, settings: dict[str, str], server: Loopback
) -> None:
    file = place / "histq.toml"
    file.write_text("[daemon]\nmaintain = '1s'\n")
    del settings["HISTQ_DAEMON__MAINTAIN"]
    maintained = "select count(*) from runs where command = 'daemon maintain'"
    repaired = "select count(*) from runs where command = 'daemon repair'"
    del settings["HISTQ_DAEMON__REPAIR"]
    with running(place, settings) as daemon:
        until(lambda: value(place, maintained) >= 1)
        file.write_text("[daemon]\nmaintain = 'when the moon is full'\n")
        daemon.send_signal(signal.SIGHUP)
        refused_at = value(place, maintained)
        until(lambda: value(place, maintained) >= refused_at + 2)  # the old schedule goes on

        file.write_text("[daemon]\nmaintain = ''\nrepair = '1s'\n")
        daemon.send_signal(signal.SIGHUP)
        until(lambda: value(place, repaired) >= 2)
        code, err = ended(daemon, signal.SIGTERM)

    assert code == 143
    assert "the old ones stay error=daemon.maintain 'when the moon is full'" in err
    assert "new settings taken" in err


def test_a_restart_catches_up_what_fell_due_and_doubles_nothing(
    place: Path, settings: dict[str, str]
) -> None:
    settings["HISTQ_DAEMON__SCHEDULE"] = "1h"
    with running(place, settings) as daemon:
        until(lambda: value(place, FETCHES) == 1)
        daemon.kill()
    with running(place, settings) as daemon:
        until(lambda: "started" in (daemon.stderr.readline() if daemon.stderr else ""))
        ended(daemon, signal.SIGTERM)
    doubled = value(place, FETCHES)
    with sqlite3.connect(place / "histq.db") as database:
        database.execute("update runs set started_at = started_at - 3 * 3600000")
    with running(place, settings):
        until(lambda: value(place, FETCHES) == 2)

    assert doubled == 1


def test_systemd_hears_that_it_is_ready_alive_and_stopping(
    place: Path, settings: dict[str, str], tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        settings |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        with running(place, settings) as daemon:
            first = manager.recv(4096).decode()
            second = manager.recv(4096).decode()
            daemon.send_signal(signal.SIGTERM)
            rest = [manager.recv(4096).decode()]
            while rest[-1] == "WATCHDOG=1":
                rest.append(manager.recv(4096).decode())

    assert first.startswith("READY=1\nSTATUS=consume, fetch binance (1s)")
    assert (second, rest[-1]) == ("WATCHDOG=1", "STOPPING=1")


def test_once_runs_every_job_and_exits(histq: Histq, place: Path, settings: dict[str, str]) -> None:
    jobs = ("REPAIR", "RECHECK", "MAINTAIN", "PRUNE", "BACKUP")
    settings |= {f"HISTQ_DAEMON__{job}": "1h" for job in jobs}
    settings["HISTQ_DAEMON__BACKUP_FOLDER"] = str(place)

    found = histq("daemon", "--once", "--json", **settings)

    assert found.code == 0
    assert [(job["job"], job["exit_code"]) for job in found.document["jobs"]] == [
        ("fetch binance", 0),
        ("consume", 0),
        ("repair", 0),
        ("recheck", 0),
        ("consume", 0),
        ("maintain", 0),
        ("prune", 0),
        ("backup", 0),
    ]
    assert len(list(place.glob("histq-*Z.db"))) == 1
    assert value(place, PRICES) >= 719


def test_once_with_a_source_that_refuses_says_so(
    histq: Histq, settings: dict[str, str], server: Loopback
) -> None:
    server.answer_with(lambda asked: Says(b'{"code":0}', 451))

    found = histq("daemon", "--once", **settings)

    assert found.code == 6
    assert "HTTP 451" in found.out


@pytest.mark.parametrize(
    ("arguments", "extra", "code", "said"),
    [
        (["--json"], {}, 2, "--once"),
        ([], {"HISTQ_DAEMON__SCHEDULE": "now and then"}, 5, "daemon.schedule 'now and then'"),
        ([], {"HISTQ_DAEMON__PRUNE": "0 0 30 2 *"}, 5, "daemon.prune '0 0 30 2 *' never comes"),
        ([], {"HISTQ_DAEMON__DEADLINE_S": "0"}, 5, "DEADLINE_S"),
        ([], {"HISTQ_SOURCES__BINANCE__SCHEDULE": "1x"}, 5, "sources.binance.schedule '1x'"),
    ],
)
def test_what_is_wrong_is_one_line(
    histq: Histq,
    settings: dict[str, str],
    arguments: list[str],
    extra: dict[str, str],
    code: int,
    said: str,
) -> None:
    found = histq("daemon", *arguments, **{**settings, **extra})

    assert (found.code, found.out) == (code, "")
    assert said in found.err
    assert len(found.err.splitlines()) == 1


def test_its_descriptors_stay_as_many_over_many_runs(place: Path, settings: dict[str, str]) -> None:
    with running(place, settings) as daemon:
        folder = Path(f"/proc/{daemon.pid}/fd")
        until(lambda: value(place, FETCHES) >= 2)
        before = len(list(folder.iterdir()))
        until(lambda: value(place, FETCHES) >= 6)

        assert len(list(folder.iterdir())) <= before + 6  # those of a run under way


def test_a_source_that_refuses_is_told_once_and_once_when_it_serves_again(
    place: Path, settings: dict[str, str], server: Loopback
) -> None:
    server.answer_with(lambda asked: Says(b'{"code":0}', 451))
    with WebReceiver() as receiver:
        settings["HISTQ_ALERTS__WEBHOOK_URL"] = f"{receiver.url}/hook"
        with running(place, settings) as daemon:
            (started,) = told(receiver, "source_refuses", 1)
            server.answer_with(hours)
            _, ended_ = told(receiver, "source_refuses", 2)
            until(lambda: value(place, PRICES) >= 719)
            code, _ = ended(daemon, signal.SIGTERM)

    assert code == 143
    assert (started["state"], ended_["state"]) == ("start", "end")
    assert (started["subject"], ended_["subject"]) == ("binance", "binance")
    assert "HTTP 451" in started["text"]


def test_a_backup_that_cannot_be_made_is_told_to_people(
    place: Path, settings: dict[str, str]
) -> None:
    folder = place / "backups"
    settings |= {
        "HISTQ_DAEMON__BACKUP": "1s",
        "HISTQ_DAEMON__BACKUP_FOLDER": str(folder),
        "HISTQ_DAEMON__BACKUP_KEEP": "1",
    }
    with WebReceiver() as receiver:
        settings["HISTQ_ALERTS__WEBHOOK_URL"] = f"{receiver.url}/hook"
        with running(place, settings) as daemon:
            (started,) = told(receiver, "worker_crashed", 1)
            folder.mkdir()
            until(lambda: bool(list(folder.iterdir())))
            code, _ = ended(daemon, signal.SIGTERM)

    assert code == 143
    assert started["subject"] == "backup"
    assert f"there is no folder {folder} for backups" in started["text"]
    assert "daemon.backup_folder" in started["text"]


def told(receiver: WebReceiver, name: str, count: int) -> list[dict[str, str]]:
    """What the receiver heard of that condition, once it is so much."""
    found: list[dict[str, str]] = []

    def enough() -> bool:
        found[:] = [
            document
            for document in (json.loads(post.body) for post in receiver.inbox.all)
            if document["name"] == name
        ]
        return len(found) >= count

    until(enough)
    return found


def test_it_answers_over_http_while_it_runs(place: Path, settings: dict[str, str]) -> None:
    settings["HISTQ_DAEMON__LISTEN"] = "127.0.0.1:0"
    with running(place, settings) as daemon:
        assert daemon.stderr is not None
        line = next(line for line in daemon.stderr if "listening address=" in line)
        address = line.rpartition("=")[2].strip()
        until(lambda: httpx.get(f"{address}/readyz").status_code == 200)
        metrics = httpx.get(f"{address}/metrics").text
        code, err = ended(daemon, signal.SIGTERM)

    assert (code, "Traceback" in err) == (143, False)
    assert 'histq_job_runs_total{environment="development",job="fetch binance"}' in metrics
    assert 'histq_job_last_exit_code{environment="development",job="fetch binance"} 0.0' in metrics


def test_an_address_that_others_reach_needs_a_token(histq: Histq, settings: dict[str, str]) -> None:
    refused = histq("daemon", "--listen", "0.0.0.0:0", **settings)

    assert (refused.code, refused.out) == (5, "")
    assert "token" in refused.err
    assert len(refused.err.splitlines()) == 1
