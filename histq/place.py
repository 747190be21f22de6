"""The place of a database: whether one can be there, and the files that lie beside it."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from histq.errors import Config, DatabaseMissing, DiskFull
from histq.locks import NamedLocks
from histq.mounts import mount

MIB: Final = 1024 * 1024


def refuse_impossible(path: Path, create: bool) -> None:
    """Raises Config, or DatabaseMissing, for a place where no database is or can be made."""
    try:
        if path.is_dir():
            raise Config(
                f"{path} is a directory; --db names the database file, such as {path}/histq.db"
            )
        if path.exists():
            # Whoever wants to write had better not begin: while a connection is open that met a
            # read-only disk, SQLite lets no other of its process write, whatever comes of the disk.
            if create and not os.access(path, os.W_OK):
                raise Config(
                    f"{path} can only be read; choose a file in a folder you may write to with --db"
                )
            return
        if not path.parent.is_dir():
            raise Config(f"there is no folder {path.parent} to hold the database {path.name}")
    except OSError as error:
        raise Config(f"cannot read {path}: {error.strerror}") from error
    if not create:
        raise missing(path)


def refuse_network(path: Path, mountinfo: Path) -> None:
    """Raises Config where the database would be on another host's disk."""
    try:
        found = mount(path, mountinfo)
    except (OSError, RuntimeError) as error:  # a link that leads in a circle
        raise Config(f"cannot read {path}: {error}") from error
    if found is not None and found.network:
        raise Config(
            f"{path} is on a network file system ({found.kind} at {found.point}), where SQLite's"
            " locks and shared memory do not hold and databases break; choose a local disk with"
            " --db, or set database.allow_network where one process of one host uses it"
        )


def refuse_full(path: Path, least_bytes: int, spoken_for_bytes: int = 0) -> None:
    """Raises DiskFull where less than `least_bytes`, or twice the WAL, would be left of the disk
    once what is spoken for is written; 0 never does.

    Moving the WAL into the database may take as much again as it holds, and what is queued has to
    go somewhere: a disk that is full to the brim cannot even be drained.
    """
    if not least_bytes:
        return
    least_bytes = max(least_bytes, 2 * size(beside(path, "wal"))) + spoken_for_bytes
    free = free_bytes(path)
    if free < least_bytes:
        raise DiskFull(
            f"{path}: {free / MIB:,.1f} MiB of the disk are free, and storing what is queued may"
            f" take {least_bytes / MIB:,.1f} MiB; run histq consume, free some room and run the"
            " command again (database.min_free_bytes)"
        )


def free_bytes(path: Path) -> int:
    """What the disk under the database has left for us."""
    return shutil.disk_usage(path.parent).free


def missing(path: Path) -> DatabaseMissing:
    """What to raise where there is none."""
    return DatabaseMissing(f"no database at {path}; histq fetch or histq init makes one")


def unwritable(path: Path, error: OSError) -> Config:
    """What to raise where a file beside the database cannot be made."""
    return Config(f"cannot write beside {path}: {error.strerror}; choose another folder with --db")


@contextlib.contextmanager
def series_locks(path: Path) -> Iterator[NamedLocks]:
    """Locks by name for the processes that fetch into this database, which need not exist yet."""
    file = beside(path, "fetch")
    try:
        locks = NamedLocks(file)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield locks
    finally:
        if not path.exists() and locks.alone():  # nothing came of it: leave no trace
            file.unlink(missing_ok=True)
        locks.close()


def beside(path: Path, suffix: str) -> Path:
    """The file of the database at `path` that has this suffix: its WAL, or a lock of ours.

    Through a link it is that of the target, as SQLite has it too: whoever comes by another name
    has to meet the same locks.
    """
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    return place.with_name(f"{place.name}-{suffix}")


def size(path: Path) -> int:
    """In bytes; 0 where there is no file."""
    # A look at the size alone. Nobody may open the database's files but SQLite: closing any
    # descriptor of them drops its locks, https://www.sqlite.org/howtocorrupt.html#posix_close_bug
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def part_of(file: Path, path: Path) -> bool:
    """Whether `file` is the database at `path`, by any name, or one of the files beside it."""
    parts = (path, *(beside(path, suffix) for suffix in ("wal", "shm", "lock", "fetch")))
    if file.resolve() in [part.resolve() for part in parts]:
        return True
    return file.exists() and any(part.exists() and file.samefile(part) for part in parts)


def to_disk(path: Path) -> None:
    """Waits until the file, or the names in the folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
