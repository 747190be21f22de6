"""What lies in deploy/, tried as far as a machine without systemd and Docker allows."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from histq.daemon.schedule import trigger
from tests.conftest import Histq, source_at
from tests.loopback import Loopback, Says

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNITS = ("histq.service", "histq-once.service", "histq-once.timer")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that exists wherever they are verified."""
    folder = tmp_path / "units"
    folder.mkdir()
    for name in UNITS:
        text = (DEPLOY / name).read_text()
        (folder / name).write_text(text.replace("/opt/histq/bin/histq", sys.executable))
    return folder


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")

    found = subprocess.run(
        [program, "verify", *(str(units / name) for name in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("name", ["histq.service", "histq-once.service"])
def test_what_a_unit_runs_is_a_command_of_ours(histq: Histq, name: str) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", (DEPLOY / name).read_text(), re.MULTILINE)
    program, command, *options = shlex.split(line)

    helped = histq(command, "--help")

    assert program.endswith("/histq")
    assert helped.code == 0
    assert all(option in helped.out for option in options if option.startswith("--"))


def test_the_line_for_cron_is_a_schedule_and_a_command_of_ours(histq: Histq) -> None:
    (line,) = [
        line for line in (DEPLOY / "crontab").read_text().splitlines() if line[:1] not in ("#", "")
    ]
    *schedule, rest = line.split(maxsplit=5)
    command = re.search(r'/bin/histq" ([a-z]+) ', rest)

    assert trigger(" ".join(schedule)) is not None
    assert command is not None
    assert histq(command[1], "--help").code == 0
    assert subprocess.run(["sh", "-n", "-c", rest], check=False).returncode == 0


def test_the_line_for_cron_leaves_a_log_with_the_time_in_every_line(
    environ: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "user"
    program = home / "histq" / ".venv" / "bin" / "histq"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m histq "$@"\n')
    program.chmod(0o755)
    *_, line = (DEPLOY / "crontab").read_text().splitlines()

    with Loopback(lambda asked: Says(b"[]")) as server:
        ended = subprocess.run(
            ["/bin/sh", "-c", line.split(maxsplit=5)[5]],
            env={
                **environ,
                **source_at("binance", server.url),
                "HISTQ_SOURCES__COINGECKO__ENABLED": "false",
                "HOME": str(home),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    lines = (home / "histq" / "histq.log").read_text().splitlines()
    assert (ended.stdout, ended.stderr) == ("", "")
    assert (home / "histq" / "histq.db").is_file()
    assert any("job=maintain exit_code=0" in line for line in lines)
    assert all(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line) for line in lines)


@pytest.mark.parametrize("name", ["histq.service", "histq-once.service"])
def test_a_unit_that_is_stopped_has_not_failed(name: str) -> None:
    found = re.findall(r"^SuccessExitStatus=(.*)$", (DEPLOY / name).read_text(), re.MULTILINE)

    assert {"130", "143"} <= set(" ".join(found).split())


def test_what_the_image_copies_is_enough_to_build_it(tmp_path: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    names = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
        for name in line.split()
    ]
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path / name)

    built = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", str(tmp_path / "built"), str(tmp_path)),
        ],
        capture_output=True,
        text=True,
    )

    assert built.returncode == 0, built.stderr
    assert re.search(r"^USER histq$", text, re.MULTILINE)
