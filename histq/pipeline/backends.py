"""Opens the queue and the store for one thread."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, Self

from histq.db import LOCK_TIMEOUT_S, Database
from histq.queues import Queue, open_queue
from histq.settings import Settings
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

    def close(self) -> None:
        self.queue.close()
        self.store.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Opener(NamedTuple):
    """What it takes to open them, in any thread. `owner` names this process."""

    settings: Settings
    owner: str
    lock_timeout_s: float = LOCK_TIMEOUT_S

    @property
    def path(self) -> Path:
        return self.settings.database.path

    def open(self, *, create: bool) -> Backends:
        """Raises DatabaseMissing where there is none and none is to be made, and what db raises."""
        database = Database.open(self.path, create=create, lock_timeout_s=self.lock_timeout_s)
        queue = open_queue(
            self.settings.queue.url,
            database,
            owner=self.owner,
            max_retries=self.settings.queue.max_retries,
        )
        return Backends(database, queue, open_store(self.settings.store.url, database))
