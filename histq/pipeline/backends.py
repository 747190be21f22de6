"""Opens the queue and the store for one thread."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple, Self

from histq.db import LOCK_TIMEOUT_S, Database
from histq.mounts import MOUNTINFO
from histq.queues import Queue, open_queue
from histq.settings import Settings
from histq.stop import Stop
from histq.stores import Store, open_store


class Backends(NamedTuple):
    """One connection each, or one for both where they are one file. Not to be shared by threads."""

    database: Database
    queue: Queue
    store: Store

    def transaction(self) -> AbstractContextManager[None]:
        """One transaction of both, where they are one file; elsewhere each has its own.

        Whoever writes to both does so in an order that survives a death in between.
        """
        shared = self.store.database
        if shared is not None and shared is self.queue.database:
            return shared.transaction()
        return nullcontext()

    def databases(self) -> list[Database]:
        """The SQLite files among them, each once."""
        return list({database.path: database for database in self._connections()}.values())

    def _connections(self) -> list[Database]:
        found = (self.database, self.queue.database, self.store.database)
        return list({id(database): database for database in found if database}.values())

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside see one moment of all that is in SQLite, while others write on.

        At that moment no histq was in the middle of writing to any of the files.
        """
        files = self.databases()
        with ExitStack() as reading:
            with ExitStack() as alone:
                for file in files if len(files) > 1 else ():
                    alone.enter_context(file.exclusively())
                for connection in self._connections():
                    reading.enter_context(connection.snapshot())
            yield

    def close(self) -> None:
        self.queue.close()
        self.store.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Opener(NamedTuple):
    """What it takes to open them, in any thread. `owner` names this process.

    `mountinfo` says which places are network file systems, where none is opened.
    After the `stop` nobody waits much longer for the write lock.
    """

    settings: Settings
    owner: str
    lock_timeout_s: float = LOCK_TIMEOUT_S
    mountinfo: Path = MOUNTINFO
    stop: Stop | None = None

    @property
    def path(self) -> Path:
        return self.settings.database.path

    def open(self, *, create: bool) -> Backends:
        """Raises DatabaseMissing where there is none and none is to be made, and what db raises."""
        database = Database.open(
            self.path,
            create=create,
            lock_timeout_s=self.lock_timeout_s,
            mountinfo=None if self.settings.database.allow_network else self.mountinfo,
            stop=self.stop,
        )
        queue = open_queue(
            self.settings.queue.url,
            database,
            owner=self.owner,
            max_retries=self.settings.queue.max_retries,
            min_free_bytes=self.settings.database.min_free_bytes,
        )
        return Backends(database, queue, open_store(self.settings.store.url, database))
