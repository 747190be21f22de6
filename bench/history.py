"""Answers over years of history: python -m bench.history [million rows].

`histq stats`, `coverage` and `gaps` run over the file of bench/years.py as whole processes, in
turns with `histq --version`, which is what starting takes, and with themselves over an empty
database, which tells what they take for the history alone.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.measure import ROUNDS, Ended, at_most, environ, machine, run
from bench.years import MILLIONS, SERIES, lay
from histq.db import Database

BEYOND_S: Final = 0.3
COMMANDS: Final = (
    "stats",
    "coverage",
    "coverage COIN00USDT",
    "gaps",
    "gaps --all",
    "stats --json",
    "coverage --json",
    "gaps --json",
)


def main() -> None:
    """Prints what each command takes beyond starting."""
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else MILLIONS) * 1_000_000)
    print(f"{machine()}: medians of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as name:
        full, empty = Path(name) / "full", Path(name) / "empty"
        for folder in (full, empty):
            folder.mkdir()
        began = time.perf_counter()
        lay(full / "histq.db", rows)
        took = time.perf_counter() - began
        size = (full / "histq.db").stat().st_size / 1e9
        print(f"{rows:,} rows of {SERIES} series, {size:.1f} GB, laid in {took:.0f} s")
        Database.open(empty / "histq.db").close()
        found: dict[tuple[str, Path], list[Ended]] = {}
        for _ in range(ROUNDS):
            for folder in (full, empty):
                for command in ("--version", *COMMANDS):
                    found.setdefault((command, folder), []).append(_ended(command, folder))
    _show(
        {command: ended for (command, folder), ended in found.items() if folder == full},
        {command: ended for (command, folder), ended in found.items() if folder == empty},
    )


def _ended(command: str, folder: Path) -> Ended:
    # 2: an empty database has no such series; 3: there are holes.
    return run("histq", *command.split(), cwd=folder, environ=environ(folder), codes=(0, 2, 3))


def _show(full: dict[str, list[Ended]], empty: dict[str, list[Ended]]) -> None:
    starting = full.pop("--version")
    print(f"starting: {_median(starting):.2f} s (processor {_median(starting, cpu=True):.2f} s)")
    print(f"{'seconds':24}{'lines':>8}{'whole':>8}{'beyond':>8}{'processor':>11}{'history':>9}")
    for command, runs in full.items():
        print(
            f"{command:24}{runs[0].out.count(chr(10)):>8,}{_median(runs):>8.2f}"
            f"{_beyond(runs, starting):>8.2f}{_beyond(runs, starting, cpu=True):>11.2f}"
            f"{_beyond(runs, empty[command]):>9.2f}"
        )
    for command in ("stats", "coverage", "gaps"):
        at_most(f"{command} beyond starting", _beyond(full[command], starting), BEYOND_S, " s")


def _median(runs: Sequence[Ended], *, cpu: bool = False) -> float:
    return statistics.median(ended.cpu_s if cpu else ended.seconds for ended in runs)


def _beyond(runs: Sequence[Ended], base: Sequence[Ended], *, cpu: bool = False) -> float:
    """The median of the differences round by round."""
    pairs = zip(runs, base, strict=True)
    if cpu:
        return statistics.median(ended.cpu_s - other.cpu_s for ended, other in pairs)
    return statistics.median(ended.seconds - other.seconds for ended, other in pairs)


if __name__ == "__main__":
    main()
