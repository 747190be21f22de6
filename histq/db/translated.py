"""The one place where SQLite's errors become ours."""

from typing import Final

from sqlite_utils.utils import sqlite3

from histq.errors import Config, DiskFull, HistqError, Locked, Poison, StorageFailed

IOERR_SHMSIZE: Final = 4874
"""No room for the shared memory beside the database; an "I/O error" to SQLite."""


class Translated:
    """Makes SQLite's errors ours. A class, because one is entered for every statement."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise _sorted(error, self._doing) from error
        if isinstance(error, OverflowError):  # a number that SQLite has no room for
            raise Poison(f"{self._doing}: {error}") from error


def _sorted(error: sqlite3.Error, doing: str) -> HistqError:
    """Our error for SQLite's. Primary result codes: https://www.sqlite.org/rescode.html"""
    extended = getattr(error, "sqlite_errorcode", 0)
    code = sqlite3.SQLITE_FULL if extended == IOERR_SHMSIZE else extended & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked(f"{doing}: another program holds the database locked")
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"{doing}: the disk is full; free some room and run the command again")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return Config(
            f"{doing}: {error}; it is no SQLite database, or a damaged one: histq db backup --help"
            " says how to restore"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return Config(f"{doing}: {error}; choose a file in a folder you may write to with --db")
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.InterfaceError):
        return Poison(f"{doing}: {error}")
    return StorageFailed(f"{doing}: {error}")
