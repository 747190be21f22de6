"""The daemon over hours: python -m bench.soak [MINUTES], an hour unless said.

A loopback provider with faults, a schedule of two seconds, a death a minute in the first third.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.soaking import growth_kib, soak, wrong

MINUTES = 60.0


def main() -> None:
    """Prints what was seen; exit 1 where something is wrong."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    with tempfile.TemporaryDirectory() as name:
        environ = {**os.environ, "HISTQ_STATE_DIR": f"{name}/state"}
        seen = soak(Path(name), environ, minutes * 60, deaths=max(1, int(minutes / 3)), seed=1)
    points = sum(map(len, seen.stored.values()))
    print(f"{minutes:g} minutes, {seen.deaths} deaths, {len(seen.runs)} runs, {points:,} points")
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(seen.answers.items()))
    print(f"answers: {answers}, {seen.unanswered} while nobody was there")
    print(f"{seen.bans} bans, {len(seen.told)} notices, {len(set(seen.told))} of them different")
    print("minute  memory, KiB  descriptors")
    for one in seen.samples[:: max(1, len(seen.samples) // 20)]:
        print(f"{one.at_s / 60:6.1f}  {one.memory_kib:11,}  {one.descriptors:11}")
    print(f"grown by {growth_kib(seen.samples):,} KiB")
    found = wrong(seen)
    print("\n".join(found) if found else "nothing missed, nothing doubled, nothing lost")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
