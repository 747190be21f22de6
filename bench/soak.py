"""The daemon over hours: python -m bench.soak [MINUTES], an hour unless said.

A loopback provider with faults, a schedule of two seconds, a death a minute in the first third.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.soaking import soak, wrong

MINUTES = 60.0


def main() -> None:
    """Prints what was seen; exit 1 where something is wrong."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    with tempfile.TemporaryDirectory() as name:
        environ = {**os.environ, "HISTQ_STATE_DIR": f"{name}/state"}
        seen = soak(Path(name), environ, minutes * 60, deaths=max(1, int(minutes / 3)), seed=1)
    points = sum(map(len, seen.stored.values()))
    print(f"{minutes:g} minutes, {seen.deaths} deaths, {len(seen.runs)} runs, {points:,} points")
    print(f"memory {seen.memory[0]:,} -> {seen.memory[1]:,} KiB", end=", ")
    print(f"descriptors {seen.descriptors[0]} -> {seen.descriptors[1]}")
    found = wrong(seen)
    print("\n".join(found) if found else "nothing missed, nothing doubled, nothing lost")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
