"""What a lease costs while others wait: python -m bench.leases.

Three queues hold 10, 1,000 and 10,000 messages: priorities mixed, a third of them delayed by an
hour. One small message at a time is leased and settled, from each queue in turn, and replaced.

The messages hold ten candles and the files lie in memory where there is a /dev/shm, so that neither
storing nor the disk, which cost the same at any depth, hides what the queue costs.
"""

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import rows
from bench.contenders import draft, opener
from bench.measure import ROUNDS, at_most, machine, ratio
from histq.host import wall_clock
from histq.model import Draft, Priority
from histq.pipeline.backends import Backends
from histq.pipeline.runs import RunLog
from histq.pipeline.settle import settle

DEPTHS: Final = (10, 1_000, 10_000)
LEASES: Final = 300
CANDLES: Final = 10
DELAY_MS: Final = 3_600_000
GROWTH: Final = 1.5
MEMORY: Final = Path("/dev/shm")

Found = dict[int, list[float]]


class Waiting:
    """A queue in which always so many messages wait; `drafts` is where they come from."""

    def __init__(self, backends: Backends, depth: int, drafts: list[Draft]) -> None:
        self._backends = backends
        self._drafts = drafts
        self._runs = RunLog("bench", "bench")
        self._put = 0
        backends.queue.put([self._next() for _ in range(depth)])
        with backends.database.transaction():
            backends.database.change(
                "update messages set available_at = ? where id / 3 % 3 = 0",
                (wall_clock() + DELAY_MS,),
            )

    def _next(self) -> Draft:
        self._put += 1
        return self._drafts[self._put - 1]._replace(priority=Priority(self._put % 3))

    def lease_one(self) -> tuple[float, float]:
        """Seconds for the lease, and for the lease and all that settles it."""
        began = time.perf_counter()
        messages = self._backends.queue.lease(1, rows.PAGE, 60)
        leased = time.perf_counter()
        report = settle(self._backends, self._runs, messages, wall_clock())
        settled = time.perf_counter()
        if report.inserted != CANDLES:
            raise SystemExit(f"stored {report.inserted} candles: no figure is worth this")
        self._backends.queue.put([self._next()])
        return leased - began, settled - began


def main() -> None:
    """Prints a row a depth."""
    drafts = [item for item in map(draft, rows.pages(CANDLES)) if item.points == CANDLES]
    print(f"{machine()}: medians of {ROUNDS} rounds of {LEASES} messages")
    lease_s: Found = {depth: [] for depth in DEPTHS}
    settled_s: Found = {depth: [] for depth in DEPTHS}
    folder = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as name, ExitStack() as stack:
        queues = {}
        for depth in DEPTHS:
            backends = opener(Path(name) / f"{depth}.db").open(create=True)
            queues[depth] = Waiting(stack.enter_context(backends), depth, drafts)
        for _ in range(ROUNDS):
            timed = [[queues[depth].lease_one() for depth in DEPTHS] for _ in range(LEASES)]
            for depth, column in zip(DEPTHS, zip(*timed, strict=True), strict=True):
                lease_s[depth].append(statistics.median(lease for lease, _ in column))
                settled_s[depth].append(statistics.median(both for _, both in column))
    _show(lease_s, settled_s)


def _show(lease_s: Found, settled_s: Found) -> None:
    least, most = DEPTHS[0], DEPTHS[-1]
    print(f"{'messages waiting':>16}{'lease, ms':>12}{'ratio':>8}{'and settle':>12}{'ratio':>8}")
    for depth in DEPTHS:
        alone, both = (statistics.median(found[depth]) * 1000 for found in (lease_s, settled_s))
        grown = [ratio(found[depth], found[least]) for found in (lease_s, settled_s)]
        print(f"{depth:>16,}{alone:>12.3f}{grown[0]:>8.2f}{both:>12.3f}{grown[1]:>8.2f}")
    grown_most = ratio(settled_s[most], settled_s[least])
    at_most(f"lease and settle at {most:,} against {least}", grown_most, GROWTH, "x")


if __name__ == "__main__":
    main()
