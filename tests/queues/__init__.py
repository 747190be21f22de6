"""What the tests of every queue back end share: a world to live in, and how each one is opened.

To try another back end, write a function as `sqlite` below and add it to `BACK_ENDS`; all of
`tests/queues/` but `test_sqlite*.py` then runs on it too, the model of `test_model.py` included.
One that lives elsewhere does so in a plug-in of pytest, a module that says
`tests.queues.BACK_ENDS["mine"] = mine` when it is imported:

    pytest -p its_module tests/queues -k mine

The function gets a `World`, a folder, an owner and `max_retries`. It opens the queue of that
folder for this owner, in the world's time and with its dead, and closes it again; what is in the
queue stays. A test opens several at once: for other owners, for the same one again, and one each
in threads of its own. No two tests share a folder.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from histq.db import Database
from histq.model import HOUR_MS, Candle, Draft, Message, Priority, Series, Window
from histq.page import flatten, pack
from histq.queues import Queue
from histq.queues.sqlite import SqliteQueue

T0: Final = 1_700_000_000_000
BTC: Final = Series("binance", "BTCUSDT", "1h")
ETH: Final = Series("binance", "ETHUSDT", "1h")
PLENTY: Final = 1_000_000


class World:
    """What a back end is told of its surroundings: the time, the jitter, who has died."""

    def __init__(self) -> None:
        self.now = T0
        self.fraction = 0.0
        self.dead: set[str] = set()

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


BackEnd = Callable[[World, Path, str, int], AbstractContextManager[Queue]]


@contextmanager
def sqlite(world: World, folder: Path, owner: str, max_retries: int) -> Iterator[Queue]:
    with Database.open(folder / "histq.db") as database:
        queue = SqliteQueue(
            database,
            owner=owner,
            max_retries=max_retries,
            clock=lambda: world.now,
            fraction=lambda: world.fraction,
            dead=lambda other: other in world.dead,
        )
        with closing(queue):
            yield queue


BACK_ENDS: Final[dict[str, BackEnd]] = {"sqlite": sqlite}


class Bench:
    """One back end in one world, opened once for every process that a test pretends to be."""

    def __init__(self, back_end: BackEnd, folder: Path, stack: ExitStack) -> None:
        self.world = World()
        self._back_end = back_end
        self._folder = folder
        self._stack = stack

    def open(self, owner: str = "one", max_retries: int = 3) -> Queue:
        return self._stack.enter_context(self.opened(owner, max_retries))

    def opened(self, owner: str, max_retries: int = 3) -> AbstractContextManager[Queue]:
        return self._back_end(self.world, self._folder, owner, max_retries)


def draft(
    hour: int = 0,
    *,
    points: int = 1,
    priority: Priority = Priority.NORMAL,
    series: Series = BTC,
    close: float = 1.5,
) -> Draft:
    """A page for the window of one hour, the n-th since 1970; `points` is what it claims."""
    start = hour * HOUR_MS
    body = pack(flatten([Candle(start, close=close)]))
    return Draft(series, Window(start, start + HOUR_MS), points, body, priority)


def hours(start: int, end: int) -> Window:
    return Window(start * HOUR_MS, end * HOUR_MS)


def lease(queue: Queue, limit: int = 1, points: int = PLENTY) -> list[Message]:
    return queue.lease(limit, points, 60)


def lease_one(queue: Queue) -> Message:
    (message,) = lease(queue)
    return message


def leased_windows(queue: Queue, limit: int = 100) -> list[Window]:
    return [message.window for message in lease(queue, limit)]
