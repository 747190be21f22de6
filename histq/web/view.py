"""What is shown: of which database, by which settings, and how requests get at it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from histq.errors import Transient
from histq.host import Clock
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.health import Health, SeriesHealth, freshness, health
from histq.pipeline.targets import Target
from histq.settings import Settings

THREADS: Final = 4
ANSWER_S: Final = 10.0
"""For how long a request waits for the database before it is told to come back."""

T = TypeVar("T")


class View(NamedTuple):
    """`targets` are the series that are fetched regularly; `state_folder` holds the budgets."""

    opener: Opener
    settings: Settings
    targets: list[Target]
    state_folder: Path
    version: str
    environment: str
    clock: Clock

    def health(self, backends: Backends) -> Health:
        return health(backends, self.targets, self.settings, self.state_folder, now=self.clock())

    def freshness(self, backends: Backends) -> list[SeriesHealth]:
        return freshness(backends.store, self.targets, self.clock())


class Desk:
    """Where requests are worked on: in a few threads, beside the one that talks to clients.

    `view` may be replaced at any time; a request that has begun keeps the one it began with.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="histq-web")

    async def work(self, job: Callable[[], T]) -> T:
        """What the job returns, or raises. Raises Transient where it takes too long."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, job)
        try:
            return await asyncio.wait_for(running, ANSWER_S)
        except TimeoutError as error:
            raise Transient(f"no answer within {ANSWER_S:g} s; ask again") from error

    async def read(self, job: Callable[[View, Backends], T]) -> T:
        """The same, with a connection of its own: opening one takes a millisecond, and so nothing
        is held open in between, neither a database that has been replaced nor its cache.
        """
        view = self.view

        def run() -> T:
            with view.opener.open(create=False) as backends:
                return job(view, backends)

        return await self.work(run)

    def close(self) -> None:
        """Returns when no thread is left."""
        self._threads.shutdown(cancel_futures=True)
