"""How a database file and its disk fare: damage, the write-ahead log, room, speed of a commit."""

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from histq.db import Database
from histq.place import beside, size

RACE_FIXED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""SQLite's releases, and its branches, without the WAL-reset race that came with 3.7.0."""

SYNCS: Final = 5


class Wal(NamedTuple):
    """The write-ahead log. `pinned` pages a reader keeps from being moved into the database."""

    bytes: int
    pages: int
    pinned: int


def damage(database: Database, *, quick: bool) -> list[str]:
    """What SQLite finds wrong with the file, a line each, at most a hundred.

    Quick leaves out whether the indexes agree with their tables.
    """
    check = "quick_check" if quick else "integrity_check"
    return [line for (line,) in database.rows(f"pragma {check}") if line != "ok"]


def schema_version(database: Database) -> str:
    """The name of the migration that was applied last."""
    return str(database.value("select max(name) from _sqlite_migrations"))


def reusable_bytes(database: Database) -> int:
    """Of the file, what holds nothing any more; SQLite fills it before the file grows."""
    pages = database.value("select freelist_count from pragma_freelist_count")
    return int(pages) * int(database.value("pragma page_size"))


def wal(database: Database) -> Wal:
    """The log, after moving what can be moved. Raises Locked."""
    with database.exclusively():
        _, pages, moved = database.rows("pragma wal_checkpoint(passive)")[0]
    return Wal(size(beside(database.path, "wal")), max(0, pages), max(0, pages - moved))


def fsync_ms(folder: Path) -> float:
    """How long a small write takes to reach the disk; every commit waits for one."""
    with _scratch(folder) as descriptor:
        return statistics.median(_synced_ms(descriptor) for _ in range(SYNCS))


@contextmanager
def _scratch(folder: Path) -> Iterator[int]:
    path = folder / f".histq-fsync-{os.getpid()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        path.unlink()


def _synced_ms(descriptor: int) -> float:
    os.pwrite(descriptor, os.urandom(4096), 0)
    began = time.perf_counter()
    os.fsync(descriptor)
    return (time.perf_counter() - began) * 1000


def has_reset_race(version: str) -> bool:
    """Whether two checkpointers at once can corrupt a file in this SQLite.

    https://www.sqlite.org/wal.html#walresetbug: fixed in 3.51.3, 3.50.7 and 3.44.6.
    """
    numbers = tuple(int(part) for part in version.split(".")[:3])
    if numbers >= max(RACE_FIXED):
        return False
    return not any(fixed[:2] == numbers[:2] and numbers >= fixed for fixed in RACE_FIXED)
