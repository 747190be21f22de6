"""histq against other queues in SQLite: python -m bench.rivals [points].

litequeue, huey's SQLite storage and persist-queue move points one message each, as they are made
for, through the best batch interface they have, into the same table in the same bulk way as the
bare `executemany`; histq moves all points of `bench/rows.py`. Every queue writes ahead (WAL) and is
`synchronous = full`, in a file of its own beside the table's. Needs the extra `bench`.
"""

import importlib.metadata
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from huey.storage import SqliteStorage
from litequeue import LiteQueue
from persistqueue import Empty, SQLiteAckQueue, SQLiteQueue

from bench import rows
from bench.contenders import ROWS_A_TRANSACTION, Page, Row, bare, ours, prepared, store
from bench.measure import ROUNDS, at_least, machine, ratio

POINTS: Final = 5_000
TIMES_THE_BEST: Final = 10


class Rival(Protocol):
    """A queue as its own users would drive it in bulk."""

    def put(self, tuples: Sequence[Row]) -> None:
        """One message a row."""

    def take(self, limit: int) -> list[Row]:
        """The rows of the next messages; empty when there is none."""

    def done(self) -> None:
        """What was taken is stored."""

    def close(self) -> None: ...


class Litequeue:
    """`transaction()` spares a commit a put and a commit a `done`; `pop` has one of its own."""

    def __init__(self, folder: Path) -> None:
        self._queue = LiteQueue(folder / "litequeue.db")
        self._queue.conn.execute("pragma synchronous = full")
        self._taken: list[Any] = []

    def put(self, tuples: Sequence[Row]) -> None:
        with self._queue.transaction(mode="IMMEDIATE"):
            for row in tuples:
                self._queue.put(msgspec.json.encode(row).decode())

    def take(self, limit: int) -> list[Row]:
        while len(self._taken) < limit and (message := self._queue.pop()) is not None:
            self._taken.append(message)
        return [msgspec.json.decode(message.data) for message in self._taken]

    def done(self) -> None:
        with self._queue.transaction(mode="IMMEDIATE"):
            for message in self._taken:
                self._queue.done(message.message_id)
        self._taken.clear()

    def close(self) -> None:
        self._queue.close()


class Huey:
    """No batch interface, and no acknowledgement: what is taken is gone."""

    def __init__(self, folder: Path) -> None:
        self._queue = SqliteStorage(filename=str(folder / "huey.db"), fsync=True)

    def put(self, tuples: Sequence[Row]) -> None:
        for row in tuples:
            self._queue.enqueue(msgspec.msgpack.encode(row))

    def take(self, limit: int) -> list[Row]:
        taken: list[Row] = []
        while len(taken) < limit and (body := self._queue.dequeue()) is not None:
            taken.append(msgspec.msgpack.decode(body))
        return taken

    def done(self) -> None: ...

    def close(self) -> None:
        self._queue.close()


class PersistAck:
    """No batch interface. Taking the next in order spares it a walk over all it has acked."""

    def __init__(self, folder: Path) -> None:
        self._queue = SQLiteAckQueue(str(folder / "persist-ack"))
        self._taken: list[dict[str, Any]] = []
        self._last: int | None = None

    def put(self, tuples: Sequence[Row]) -> None:
        for row in tuples:
            self._queue.put(row)

    def take(self, limit: int) -> list[Row]:
        try:
            while len(self._taken) < limit:
                after = self._last is not None
                message = self._queue.get(False, id=self._last, next_in_order=after, raw=True)
                self._last = message["pqid"]
                self._taken.append(message)
        except Empty:
            pass
        return [message["data"] for message in self._taken]

    def done(self) -> None:
        for message in self._taken:
            self._queue.ack(id=message["pqid"])
        self._taken.clear()

    def close(self) -> None:
        self._queue.close()


class PersistBatch:
    """Takes in bulk with `auto_commit=False`: `task_done` deletes what was taken. One consumer."""

    def __init__(self, folder: Path) -> None:
        self._queue = SQLiteQueue(str(folder / "persist"), auto_commit=False)

    def put(self, tuples: Sequence[Row]) -> None:
        for row in tuples:
            self._queue.put(row)

    def take(self, limit: int) -> list[Row]:
        taken: list[Row] = []
        try:
            while len(taken) < limit:
                taken.append(self._queue.get(False))
        except Empty:
            pass
        return taken

    def done(self) -> None:
        self._queue.task_done()

    def close(self) -> None:
        self._queue.close()


RIVALS: Final[dict[str, Callable[[Path], Rival]]] = {
    "litequeue": Litequeue,
    "huey": Huey,
    "persist-queue, SQLiteAckQueue": PersistAck,
    "persist-queue, SQLiteQueue": PersistBatch,
}


def theirs(rival: Rival, folder: Path, tuples: Sequence[Row]) -> tuple[float, float]:
    """Seconds for putting all rows, and for consuming them."""
    with prepared(folder / "theirs.db") as database:
        began = time.perf_counter()
        for i in range(0, len(tuples), ROWS_A_TRANSACTION):
            rival.put(tuples[i : i + ROWS_A_TRANSACTION])
        put_s = time.perf_counter() - began
        began = time.perf_counter()
        while taken := rival.take(ROWS_A_TRANSACTION):
            store(database, taken)
            rival.done()
        consume_s = time.perf_counter() - began
        stored = database.value("select count(*) from prices")
    rival.close()
    if stored != len(tuples):
        raise SystemExit(f"stored {stored} of {len(tuples)} points: no figure is worth this")
    return put_s, consume_s


def main() -> None:
    """Prints a row a contender."""
    points = int(sys.argv[1]) if len(sys.argv) > 1 else POINTS
    pages = rows.pages()
    tuples = rows.tuples(pages)
    versions = (
        f"{name} {importlib.metadata.version(name)}"
        for name in ("litequeue", "huey", "persist-queue")
    )
    print(f"{machine()}: medians of {ROUNDS} rounds")
    print(f"{', '.join(versions)}: {points:,} points; histq and bare: {len(tuples):,}")
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for name, rates in _round(pages, tuples, points).items():
            found.setdefault(name, []).append(rates)
    _show(found)


def _round(
    pages: Sequence[Page], tuples: Sequence[Row], points: int
) -> dict[str, tuple[float, float]]:
    """Points a second of each: put alone, and put and consume together."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        seconds = bare(Path(name), tuples)
        found["bare executemany"] = (0.0, len(tuples) / seconds)
        put_s, consume_s = ours(Path(name), pages)
        found["histq"] = (len(tuples) / put_s, len(tuples) / (put_s + consume_s))
    for rival, make in RIVALS.items():
        with tempfile.TemporaryDirectory() as name:
            put_s, consume_s = theirs(make(Path(name)), Path(name), tuples[:points])
            found[rival] = (points / put_s, points / (put_s + consume_s))
    return found


def _show(found: dict[str, list[tuple[float, float]]]) -> None:
    together = {name: [both for _, both in rates] for name, rates in found.items()}
    print(f"{'points/s':32}{'put':>12}{'both':>12}{'histq is':>12}")
    for name, rates in found.items():
        put = statistics.median(put for put, _ in rates)
        alone = f"{put:,.0f}" if put else ""
        times = ratio(together["histq"], together[name])
        print(f"{name:32}{alone:>12}{statistics.median(together[name]):>12,.0f}{times:>11.1f}x")
    best = [max(rates) for rates in zip(*(together[name] for name in RIVALS), strict=True)]
    at_least("histq against the best of them", ratio(together["histq"], best), TIMES_THE_BEST, "x")


if __name__ == "__main__":
    main()
