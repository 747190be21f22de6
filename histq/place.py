"""The place of a database: whether one can be there, and the files that lie beside it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from histq.errors import Config, DatabaseMissing
from histq.locks import NamedLocks


def refuse_impossible(path: Path, create: bool) -> None:
    """Raises Config, or DatabaseMissing, for a place where no database is or can be made."""
    try:
        if path.is_dir():
            raise Config(
                f"{path} is a directory; --db names the database file, such as {path}/histq.db"
            )
        if path.exists():
            return
        if not path.parent.is_dir():
            raise Config(f"there is no folder {path.parent} to hold the database {path.name}")
    except OSError as error:
        raise Config(f"cannot read {path}: {error.strerror}") from error
    if not create:
        raise missing(path)


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
    """The file of the database at `path` that has this suffix: its WAL, or a lock of ours."""
    return path.with_name(f"{path.name}-{suffix}")


def size(path: Path) -> int:
    """In bytes; 0 where there is no file."""
    # A look at the size alone. Nobody may open the database's files but SQLite: closing any
    # descriptor of them drops its locks, https://www.sqlite.org/howtocorrupt.html#posix_close_bug
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
