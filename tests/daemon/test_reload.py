"""New settings on SIGHUP, and the lines of the log that a daemon writes before and after."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.conftest import source_at
from tests.daemon.test_daemon import QUICK
from tests.hourly import hours
from tests.loopback import Loopback, Says
from tests.processes import PATIENCE_S, until

SECRET = "s3cret-that-nobody-may-see"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(hours) as serving:
        yield serving


@pytest.fixture
def settings(environ: dict[str, str], server: Loopback) -> dict[str, str]:
    return {**environ, **source_at("binance", server.url), **QUICK}


class Daemon:
    """One that runs; what it says is read line by line."""

    def __init__(self, process: "subprocess.Popen[str]", said: IO[str]) -> None:
        self._process = process
        self._said = said

    def hears(self, number: int) -> None:
        self._process.send_signal(number)

    def says(self, text: str) -> str:
        """The next line that holds the text."""
        for line in self._said:
            if text in line:
                return line
        raise AssertionError(f"it ended, and never said {text}")

    def ends(self) -> tuple[int, list[str]]:
        """Its exit code after SIGTERM, and what it said since."""
        self.hears(signal.SIGTERM)
        rest = self._said.read().splitlines()
        return self._process.wait(PATIENCE_S), rest


@contextlib.contextmanager
def running(place: Path, settings: dict[str, str], *arguments: str) -> Iterator[Daemon]:
    with subprocess.Popen(
        [sys.executable, "-m", "histq", "daemon", *arguments],
        cwd=place,
        env=settings,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        too_long = threading.Timer(PATIENCE_S, process.kill)
        too_long.start()
        try:
            yield Daemon(process, process.stderr)
        finally:
            too_long.cancel()
            process.kill()


def test_a_daemon_says_what_it_does_and_when_unless_told_otherwise(
    place: Path, settings: dict[str, str]
) -> None:
    with running(place, settings) as daemon:
        started = daemon.says("started")
        done = daemon.says("job=fetch binance")
        code, _ = daemon.ends()

    assert code == 143
    assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO development histq", started)
    assert "exit_code=0" in done


@pytest.mark.parametrize("how", ["--quiet", "warning"])
def test_a_daemon_is_as_silent_as_it_is_told_to_be(
    how: str, place: Path, settings: dict[str, str], server: Loopback
) -> None:
    arguments = (how,) if how == "--quiet" else ()
    level = {} if arguments else {"HISTQ_LOG_LEVEL": how}
    with running(place, settings | level, *arguments) as daemon:
        until(lambda: bool(server.log))
        found = daemon.ends()

    assert found == (143, [])


def test_the_journal_dates_its_lines_itself(place: Path, settings: dict[str, str]) -> None:
    program = (
        "import os, sys; found = os.fstat(2);"
        " os.environ['JOURNAL_STREAM'] = f'{found.st_dev}:{found.st_ino}';"
        " sys.argv = ['histq', 'daemon', '--once', '-v'];"
        " from histq.cli import main; main()"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env=settings,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )

    assert ended.returncode == 0
    assert {line.split()[0] for line in ended.stderr.splitlines()} == {"DEBUG", "INFO"}


def test_form_level_and_environment_of_the_lines_change_with_the_settings(
    place: Path, settings: dict[str, str]
) -> None:
    file = place / "histq.toml"
    settings["HISTQ_DB"] = "histq.db"
    del settings["HISTQ_DAEMON__RECHECK"]
    with running(place, settings) as daemon:
        daemon.says("started")
        file.write_text(
            'environment = "production"\n[logs]\nformat = "json"\nlevel = "debug"\n'
            '[daemon]\nrecheck = "1s"\n'
        )
        daemon.hears(signal.SIGHUP)
        taken = json.loads(daemon.says("new settings taken"))
        answer = json.loads(daemon.says('"event": "answer"'))
        code, rest = daemon.ends()

    assert (code, taken["environment"], taken["level"]) == (143, "production", "info")
    assert answer["level"] == "debug"
    assert all(json.loads(line) for line in rest)


def test_what_the_command_line_asks_for_stays_in_force(
    place: Path, settings: dict[str, str]
) -> None:
    with running(place, settings, "--log-format", "json") as daemon:
        daemon.says("started")
        (place / "histq.toml").write_text('[logs]\nformat = "text"\n')
        daemon.hears(signal.SIGHUP)
        taken: dict[str, Any] = json.loads(daemon.says("new settings taken"))

    assert taken["event"] == "new settings taken"


def test_a_secret_of_the_new_settings_is_in_no_line(
    place: Path, settings: dict[str, str], server: Loopback
) -> None:
    del settings["HISTQ_DAEMON__RECHECK"]
    with running(place, settings) as daemon:
        daemon.says("job=fetch binance")
        server.answer_with(lambda asked: Says(f"you are {SECRET}".encode(), 500))
        (place / "histq.toml").write_text(
            f'[daemon]\nrecheck = "1s"\n[alerts]\nwebhook_secret = "{SECRET}"\n'
        )
        daemon.hears(signal.SIGHUP)
        failed = daemon.says("HTTP 500 you are")

    assert "HTTP 500 you are (hidden)" in failed


def test_a_wrong_dsn_is_refused_and_the_old_settings_stay(
    place: Path, settings: dict[str, str]
) -> None:
    pytest.importorskip("sentry_sdk")
    with running(place, settings) as daemon:
        daemon.says("started")
        (place / "histq.toml").write_text('[logs]\nformat = "json"\n[sentry]\ndsn = "zzz"\n')
        daemon.hears(signal.SIGHUP)
        refused = daemon.says("the old ones stay")

    assert "error=sentry.dsn is no DSN" in refused


def test_the_database_by_another_name_is_no_other_database(
    place: Path, settings: dict[str, str]
) -> None:
    file = place / "histq.toml"
    file.write_text("[daemon]\n")  # its path is beside this file
    with running(place, settings) as daemon:
        daemon.says("started")
        file.unlink()  # and now in the current folder, which is the same
        daemon.hears(signal.SIGHUP)
        daemon.says("new settings taken")
        file.write_text('[database]\npath = "other.db"\n')
        daemon.hears(signal.SIGHUP)
        refused = daemon.says("the old ones stay")

    assert "database.path cannot change while the daemon runs" in refused
