"""A look at a database that may be another program's, and stays as it is."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlite_utils.utils import sqlite3

from histq.db.translated import Translated
from histq.errors import Config
from histq.place import beside

APPLICATION_ID: Final = 0x68737471  # "hstq" in the file's header: this database is ours

Parameters = Sequence[object] | Mapping[str, object]
Row = tuple[Any, ...]


def foreign_rows(path: Path, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
    """The rows of another program's database one by one; nothing in it is changed.

    Raises Config for what is no database, Locked.
    """
    with Translated(f"reading {path}"), _looking_at(path) as conn:
        yield from conn.execute(sql, parameters)


def refuse_foreign(path: Path) -> None:
    """Raises Config for a database of another program, and leaves it as it is."""
    if not path.exists():
        return
    with Translated(f"opening {path}"), _looking_at(path) as conn:
        (tables,) = conn.execute("select count(*) from sqlite_master").fetchone()
        (found,) = conn.execute("pragma application_id").fetchone()
    if tables and found != APPLICATION_ID:
        raise Config(f"{path} is a SQLite database of another program; choose another with --db")


@contextlib.contextmanager
def _looking_at(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing, neither the database nor what lies beside it."""
    # Read-only where there is a WAL: closing the last connection that may write would fold it in.
    # Where there is none a reader would leave an empty one behind, and a writer clears it away.
    how = "mode=ro" if beside(path, "wal").exists() else "mode=rw"
    conn = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=5)
    with contextlib.closing(conn):
        conn.execute("pragma query_only = on")
        yield conn
