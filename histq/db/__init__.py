"""Opens SQLite: WAL, busy timeout, schema, migrations. Nothing outside this folder imports it.

A write transaction takes the fair write lock, then `begin immediate`. One `Database` a thread.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import sqlite_utils
from sqlite_utils.utils import sqlite3
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from histq.db.foreign import APPLICATION_ID, Parameters, Row, foreign_rows, refuse_foreign
from histq.db.translated import Translated
from histq.errors import Locked, SchemaTooNew
from histq.locks import FairLock
from histq.mounts import MOUNTINFO
from histq.packaged import packaged
from histq.place import beside, missing, refuse_impossible, refuse_network, size, unwritable
from histq.stop import Stop

__all__ = ["APPLICATION_ID", "Database", "Parameters", "Row", "foreign_rows"]

LOCK_TIMEOUT_S: Final = 60.0
BUSY_TIMEOUT_S: Final = 5.0
PAGE_BYTES: Final = 16_384
# A checkpoint is due when the WAL has grown by this much.
WAL_BYTES: Final = 16 * 1024 * 1024
# What the WAL keeps when it starts anew: nearly all, and yet it must grow to be due again. To sync
# what overwrites a file takes half as long as to sync what extends one (0.23 and 0.44 ms).
WAL_KEPT_BYTES: Final = WAL_BYTES * 15 // 16
COPIED_PAGES: Final = 1024
"""How many pages a copy moves between two looks at whether it is still wanted."""
SQLITE_VERSION: Final[str] = sqlite3.sqlite_version

migrations = sqlite_utils.Migrations("histq")


@migrations(name="0001_schema")
def _create(db: sqlite_utils.Database) -> None:
    statement = ""
    for line in packaged("schema.sql").splitlines(keepends=True):
        statement += line
        # Not executescript: it would commit the transaction that it runs in.
        if sqlite3.complete_statement(statement):
            db.conn.execute(statement)
            statement = ""


class Database:
    """One connection. Not to be shared by threads."""

    def __init__(
        self,
        path: Path,
        conn: sqlite3.Connection,
        lock_timeout_s: float,
        mountinfo: Path | None,
        stop: Stop,
    ) -> None:
        self.path = path
        self._wal = beside(path, "wal")
        self._conn = conn
        self._using = Translated(f"using {path}")
        self._lock = FairLock(beside(path, "lock"))
        self._lock_timeout_s = lock_timeout_s
        self._mountinfo = mountinfo
        self._stop = stop
        self._depth = 0
        self._checkpoint_at = WAL_BYTES

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = True,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        mountinfo: Path | None = MOUNTINFO,
        stop: Stop | None = None,
    ) -> Self:
        """The database at `path`, its schema up to date; made when absent and `create`.

        `mountinfo` says what is mounted where; None allows network file systems. After the stop
        nobody waits long for the write lock, and gets Stopped. Raises DatabaseMissing, Config (a
        directory, a foreign file, a folder we may not write to, another host's disk),
        SchemaTooNew, Locked.
        """
        refuse_impossible(path, create)
        if mountinfo is not None:
            refuse_network(path, mountinfo)
        refuse_foreign(path)
        with Translated(f"opening {path}"):
            mode = "rwc" if create else "rw"
            conn = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=min(BUSY_TIMEOUT_S, lock_timeout_s),
                isolation_level=None,
            )
        # Not "stop or": one that has not come yet is false.
        given = Stop() if stop is None else stop
        database = cls(path, conn, lock_timeout_s, mountinfo, given)
        try:
            database._prepare(create)
        except BaseException:
            conn.close()
            raise
        return database

    def at(self, url: str) -> "Database":
        """This database, or the one that `sqlite:///path` names; relative to this one's folder.

        Raises as `open` does.
        """
        path = self.path.parent / url.removeprefix("sqlite:").removeprefix("//").removeprefix("/")
        if not url or path == self.path:
            return self
        return Database.open(
            path,
            lock_timeout_s=self._lock_timeout_s,
            mountinfo=self._mountinfo,
            stop=self._stop,
        )

    def _prepare(self, create: bool) -> None:
        with Translated(f"opening {self.path}"):
            if self.value("select count(*) from sqlite_master") == 0:
                if not create:
                    raise missing(self.path)
                self.rows(f"pragma page_size = {PAGE_BYTES}")
            if self.value("pragma journal_mode") != "wal":
                # Six processes that switch a new file at once lock each other out, time-out or not.
                with self.exclusively():
                    self.rows("pragma journal_mode = wal")
            # Only under the write lock, by `_checkpoint`: two checkpointers at once can corrupt a
            # file in SQLite before 3.51.3, https://www.sqlite.org/wal.html#walresetbug
            self.rows("pragma wal_autocheckpoint = 0")
            self.rows(f"pragma journal_size_limit = {WAL_KEPT_BYTES}")
            self.rows("pragma synchronous = full")
            self.rows("pragma foreign_keys = off")
            # Debian's SQLite writes zeros over what is deleted: each body a second time.
            self.rows("pragma secure_delete = off")
            self.rows("pragma cache_size = -16384")
        self._migrate()

    def _migrate(self) -> None:
        db = sqlite_utils.Database(self._conn, recursive_triggers=False, execute_plugins=False)
        with Translated(f"reading the schema of {self.path}"):
            applied = {migration.name for migration in migrations.applied(db)}
            if unknown := sorted(
                applied - {migration.name for migration in migrations._migrations}
            ):
                raise SchemaTooNew(
                    f"{self.path} was written by a newer histq (it knows {unknown[-1]}); "
                    f"upgrade histq to use it"
                )
            if not migrations.pending(db):
                return
        with self.transaction():
            migrations.apply(db)
            self.rows(f"pragma application_id = {APPLICATION_ID}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One write transaction; an inner one joins the outer. Raises Locked, and Stopped."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        with self.exclusively():
            self._begin()
            self._depth = 1
            try:
                yield
                self.rows("commit")
            except BaseException:
                # A full disk has rolled back by itself, and a second rollback would be an error.
                if self._conn.in_transaction:
                    self._conn.execute("rollback")
                raise
            finally:
                self._depth = 0
            self._checkpoint()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside see one moment, while others write on. Nothing may be written inside."""
        self.rows("begin")
        try:
            self.rows("select count(*) from sqlite_master")  # the moment is that of the first read
            yield
        finally:
            if self._conn.in_transaction:
                self._conn.execute("rollback")

    def copy_to(self, file: Path, tell: Callable[[int, int], None]) -> None:
        """Copies all that a snapshot sees into an empty file, which may be lost in a power cut.

        `tell` gets the pages done and all of them, and ends the copy by raising.
        """
        with (
            Translated(f"copying {self.path} to {file}"),
            contextlib.closing(sqlite3.connect(file, isolation_level=None)) as copy,
        ):
            copy.execute("pragma synchronous = off")
            self._conn.backup(
                copy, pages=COPIED_PAGES, progress=lambda _, left, all_: tell(all_ - left, all_)
            )
            # Without a WAL of its own it is one file, and stays as it is while it is read.
            copy.execute("pragma journal_mode = delete")

    def _begin(self) -> None:
        try:
            self.rows("begin immediate")
        except Locked:
            # Others of ours wait for the fair lock; this is a program that knows nothing of it.
            left_s = self._lock_timeout_s - BUSY_TIMEOUT_S
            if left_s <= 0:
                raise
            for attempt in Retrying(
                retry=retry_if_exception_type(Locked),
                wait=wait_random_exponential(multiplier=0.05, max=1),
                stop=stop_after_delay(left_s),
                sleep=self._stop.sleep,
                reraise=True,
            ):
                with attempt:
                    self.rows("begin immediate")

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Every row, fetched: an unread RETURNING keeps other writers out."""
        with self._using:
            return self._conn.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Parameters = ()) -> Any:
        """The first column of the first row, or None."""
        found = self.rows(sql, parameters)
        return found[0][0] if found else None

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """How many rows the statement changed."""
        with self._using:
            return self._conn.execute(sql, parameters).rowcount

    def change_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """How many rows the statement changed, run once for each of `rows`."""
        with self._using:
            return self._conn.executemany(sql, rows).rowcount

    def insert(self, sql: str, parameters: Parameters = ()) -> int:
        """The id of the inserted row; 0 where a conflict kept it out.

        RETURNING would say it too, but with it SQLite keeps a copy of every page that the statement
        changes, from 64 KiB on in a file of its own: 135 µs instead of 8 to queue a message.
        """
        with self._using:
            cursor = self._conn.execute(sql, parameters)
            return cursor.lastrowid or 0 if cursor.rowcount else 0

    def maintain(self) -> None:
        """Folds the write-ahead log into the database, and renews what the planner knows of it."""
        with self.exclusively():
            self.rows("pragma wal_checkpoint(truncate)")
            # Before 3.46 a look at a big table has no end of its own.
            self.rows("pragma analysis_limit = 400")
            self.rows("pragma optimize")
        self._checkpoint_at = WAL_BYTES

    def size_bytes(self) -> int:
        """What the database takes on disk, write-ahead log included."""
        return self.path.stat().st_size + size(self._wal)

    def close(self) -> None:
        """Closes the connection; a second time does nothing."""
        # The last connection to close checkpoints, so nobody else may write meanwhile. Who has the
        # lock now has a connection too, and then this one is not the last.
        with contextlib.suppress(OSError):  # a folder that we may only read
            self._lock.acquire(0)
        self._conn.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keeps the writers of every histq out. Raises Locked."""
        try:
            got = self._lock.acquire(self._lock_timeout_s, self._stop.__bool__)
        except OSError as error:
            raise unwritable(self.path, error) from error
        if not got and self._stop:
            raise self._stop.stopped(
                f"{self.path}: stopped while another histq held the write lock"
            )
        if not got:
            raise Locked(
                f"{self.path}: another histq has held the write lock for {self._lock_timeout_s:g} s"
            )
        try:
            yield
        finally:
            self._lock.release()

    def _checkpoint(self) -> None:
        """Moves the WAL into the database when it has grown enough; the caller holds the lock.

        Passive: it waits for nobody. While a reader holds the WAL open it stays, and the next try
        comes after as much growth again.
        """
        if size(self._wal) < self._checkpoint_at:
            return
        _, pages, moved = self.rows("pragma wal_checkpoint(passive)")[0]
        self._checkpoint_at = WAL_BYTES if pages == moved else size(self._wal) + WAL_BYTES
