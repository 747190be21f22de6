"""What is written where: to a terminal of old, to a full disk, to nobody."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from histq.cli import app
from tests.conftest import Ended, Histq

PLAIN = {"PYTHONIOENCODING": "ascii"}
GROUPS = {
    name: sorted(getattr(command, "commands", {}))
    for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
}
COMMANDS = [
    "",
    *GROUPS,
    *(f"{group} {name}" for group, names in GROUPS.items() for name in names),
]


def test_every_command_is_among_those_tried() -> None:
    assert {"", "fetch", "daemon", "db", "db prune", "alerts test"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_can_be_read_where_there_are_but_ascii_letters(command: str, histq: Histq) -> None:
    ended = histq(*command.split(), "--help", **PLAIN)

    assert (ended.code, ended.err) == (0, "")
    assert "Usage: " in ended.out
    assert "\\x" not in ended.out


def shell(redirected: str, environ: dict[str, str], place: Path) -> Ended:
    """What a shell makes of `histq ... redirected`."""
    program = 'exec "$0" -m histq ' + redirected
    ended = subprocess.run(
        ["sh", "-c", program, sys.executable],
        cwd=place,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_command_works_where_a_stream_is_closed(
    closed: str, environ: dict[str, str], place: Path, histq: Histq
) -> None:
    ended = shell(f"init {closed}", environ, place)

    assert (ended.code, ended.err) == (0, "")
    assert histq("db", "check").code == 0


def test_an_error_keeps_its_exit_code_where_stderr_is_closed(
    environ: dict[str, str], place: Path
) -> None:
    assert shell("stats 2>&-", environ, place) == Ended(10, "", "")


@pytest.mark.parametrize("command", ["stats", "stats --json", "config show", "--help"])
def test_a_disk_that_takes_no_output_is_told_in_a_line(
    command: str, environ: dict[str, str], place: Path, histq: Histq
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("nothing here is full")
    histq("init")

    ended = shell(f"{command} >/dev/full", environ, place)

    said = "histq: writing the output: No space left on device; free some room and run it again\n"
    assert ended == Ended(1, "", said)
