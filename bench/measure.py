"""What every bench stands on: the machine, medians of rounds, aims, whole processes."""

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sqlite_utils.utils import sqlite3

ROUNDS: Final = 5
MEMORY_MB: Final = 200
"""What a process of histq may take, however long the history."""

_RSS_BYTES: Final = 1 if sys.platform == "darwin" else 1024


def machine() -> str:
    """What the absolute figures are of."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios round by round: what a round slows down, it slows down for both."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def at_least(what: str, found: float, aim: float, unit: str = "") -> None:
    print(f"{what}: {found:,.2f}{unit}, at least {aim:,g}{unit}: {_verdict(found >= aim)}")


def at_most(what: str, found: float, aim: float, unit: str = "") -> None:
    print(f"{what}: {found:,.2f}{unit}, at most {aim:,g}{unit}: {_verdict(found <= aim)}")


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


class Ended(NamedTuple):
    """A whole process: wall seconds from start to end, those of the processor, its largest
    resident set, what it said.
    """

    seconds: float
    cpu_s: float
    peak_mb: float
    code: int
    out: str
    err: str


def run(
    *arguments: str, cwd: Path, environ: Mapping[str, str], codes: Sequence[int] = (0,)
) -> Ended:
    """`python -m` of the arguments. Raises SystemExit where it ends with another code.

    The kernel counts what the parent held at the start to the child's peak, so measure from a
    small process.
    """
    with tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as out:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=cwd, env=dict(environ), stdout=out, stderr=err
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    cpu_s = used.ru_utime + used.ru_stime
    ended = Ended(seconds, cpu_s, _peak_mb(used), process.returncode, *texts)
    if ended.code not in codes:
        raise SystemExit(f"{' '.join(arguments)}: exit {ended.code}: {ended.err}")
    return ended


def _peak_mb(used: resource.struct_rusage) -> float:
    return used.ru_maxrss * _RSS_BYTES / 1_000_000


def environ(folder: Path, **settings: object) -> dict[str, str]:
    """The environment of a user who has no settings but these: section__key = value."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HISTQ_")}
    named = {f"HISTQ_{name.upper()}": str(value) for name, value in settings.items()}
    root = str(Path(__file__).parent.parent)
    return {
        **kept,
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "HISTQ_STATE_DIR": str(folder / "state"),
        "PYTHONPATH": root,
        "NO_PROXY": "*",
        **named,
    }
