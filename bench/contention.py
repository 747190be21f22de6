"""One producer and five consumer processes on one file: python -m bench.contention.

All six begin at the same moment; the producer puts a page at a time, as `fetch` does, and each
consumer is a `consume --follow` with one worker. Their rate, up to the last point stored, is put
against that of one process that puts everything and then consumes it. The producer times each put:
what is not its own work is the wait for the write lock.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench import rows
from bench.contenders import Page, Unwatched, draft, opener, ours
from bench.measure import ROUNDS, at_least, at_most, machine, ratio
from histq.errors import HistqError
from histq.host import owner_id
from histq.model import WIDTH
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop

CONSUMERS: Final = 5
SHARE_OF_ONE: Final = 0.7
WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 1.0
LIMIT_S: Final = 120.0

Role = Callable[[Path, Barrier, Event], object]
_spawn = multiprocessing.get_context("spawn")


class Stored(NamedTuple):
    """What a consumer stored, and when its last batch was done."""

    points: int
    last_at: float


class Round(NamedTuple):
    """What six processes at once did."""

    seconds: float
    put_s: list[float]
    shares: list[int]


class Timed(Unwatched):
    """Remembers when the last batch was done, by a clock that all processes share."""

    last_at = 0.0

    def stored(self, report: ConsumeReport) -> None:
        self.last_at = time.monotonic()


def producer(path: Path, begin: Barrier, ended: Event) -> list[float]:
    """Puts every page; the seconds of each put."""
    drafts = [draft(page) for page in rows.pages()]
    put_s = []
    with opener(path).open(create=True) as backends:
        begin.wait()
        for item in drafts:
            began = time.monotonic()
            backends.queue.put([item])
            put_s.append(time.monotonic() - began)
    ended.set()
    return put_s


def consumer(path: Path, begin: Barrier, ended: Event) -> Stored:
    """Consumes until the producer has ended and nothing is left."""
    open_bench = opener(path)._replace(owner=owner_id())
    watcher = Timed()
    job = ConsumeJob(
        opener=open_bench,
        concurrency=1,
        runs=RunLog("bench", open_bench.owner),
        stop=Stop(),
        watcher=watcher,
        more=lambda: not ended.is_set(),
    )
    begin.wait()
    return Stored(consume(job).inserted, watcher.last_at)


def _play(role: Role, path: Path, begin: Barrier, ended: Event, told: Connection) -> None:
    """Tells what the role returned, or the one line that a user would have read."""
    try:
        told.send(role(path, begin, ended))
    except HistqError as error:
        ended.set()
        told.send(str(error))


def together(path: Path) -> Round:
    """Six processes on a new file. Raises SystemExit where an error reached one of them."""
    opener(path).open(create=True).close()
    begin, ended = _spawn.Barrier(CONSUMERS + 2), _spawn.Event()
    roles: list[Role] = [producer, *[consumer] * CONSUMERS]
    processes, ears = [], []
    for role in roles:
        ear, mouth = _spawn.Pipe(duplex=False)
        process = _spawn.Process(target=_play, args=(role, path, begin, ended, mouth), daemon=True)
        process.start()
        processes.append(process)
        ears.append(ear)
    begin.wait(LIMIT_S)
    began = time.monotonic()
    answers: list[Any] = []
    for ear in ears:
        left_s = max(0.0, began + LIMIT_S - time.monotonic())
        answers.append(ear.recv() if ear.poll(left_s) else f"not done within {LIMIT_S:.0f} s")
    errors = [answer for answer in answers if isinstance(answer, str)]
    for process in processes:
        process.kill() if errors else process.join()
    if errors:
        raise SystemExit(f"an error reached a process: {errors[0]}")
    put_s, *consumers = answers
    last_at = max(stored.last_at for stored in consumers)
    return Round(last_at - began, put_s, [stored.points for stored in consumers])


def alone(pages: Sequence[Page]) -> float:
    """Seconds of one process for all of it."""
    with tempfile.TemporaryDirectory() as name:
        return sum(ours(Path(name), pages))


def main() -> None:
    """Prints the rates, the producer's waits and the consumers' shares."""
    pages = rows.pages()
    points = sum(len(flat) // WIDTH for _, flat in pages)
    print(f"{machine()}: medians of {ROUNDS} rounds")
    print(f"{points:,} points, a producer and {CONSUMERS} consumers on one file")
    alone_s, found = [], []
    for _ in range(ROUNDS):
        alone_s.append(alone(pages))
        with tempfile.TemporaryDirectory() as name:
            found.append(together(Path(name) / "histq.db"))
        if sum(found[-1].shares) != points:
            raise SystemExit(f"stored {sum(found[-1].shares)} of {points} points")
    _show(points, alone_s, found)


def _show(points: int, alone_s: list[float], found: list[Round]) -> None:
    seconds = [each.seconds for each in found]
    put_s = sorted(wait for each in found for wait in each.put_s)
    shares = [share / points for each in found for share in each.shares]
    print(f"one process {points / statistics.median(alone_s):>12,.0f} points/s")
    print(f"six at once {points / statistics.median(seconds):>12,.0f} points/s")
    middle = statistics.median(put_s) * 1000
    print(
        f"a put: median {middle:.1f} ms; a consumer's share: {min(shares):.0%} to {max(shares):.0%}"
    )
    print("errors that reached a process: none")
    at_least("six at once against one", ratio(alone_s, seconds), SHARE_OF_ONE)
    at_most("99 % of the puts took", put_s[int(len(put_s) * 0.99)], WAIT_S, " s")
    at_most("the longest put took", put_s[-1], LONGEST_WAIT_S, " s")


if __name__ == "__main__":
    main()
