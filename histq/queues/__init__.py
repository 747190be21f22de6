"""The queue's seam: what a back end promises, and which one a URL names.

Promises, each held by `tests/queues/`: first in, first out within a priority; nothing is delivered
before its time; a lease hides a message until it runs out; who lost the lease can settle nothing;
a window that waits already is not queued twice; a message is a dead letter after `max_retries`
reported failures; one whose consumers keep dying is leased without neighbours.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

import msgspec

from histq.db import Database
from histq.errors import Config
from histq.model import DeadLetter, Depth, Draft, Message, Reason, Series, Window

ALONE_AFTER: Final = 3
"""Leases in a row that killed their consumer, after which a message is leased alone."""

BACKOFF_BASE_S: Final = 10.0
BACKOFF_CAP_S: Final = 300.0
BACKOFF_JITTER: Final = 0.1


def backoff_s(failures: int, fraction: float) -> float:
    """Wait after the n-th failure: min(300, 10 * 2^(n-1)) s, times 1 to 1.1: 10, 20, 40 s.

    `fraction` is where in the jitter: 0 gives the bare figure, 1 the longest.
    """
    bare = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** (failures - 1))
    return bare * (1 + BACKOFF_JITTER * fraction)


class DeadCount(msgspec.Struct, frozen=True):
    """How many dead letters of a series share a reason; `error` is the latest one's."""

    source: str
    symbol: str
    interval: str
    reason: str
    letters: int
    last_at: int
    error: str


class Queue(Protocol):
    """Durable, at least once, fenced."""

    @property
    def database(self) -> Database | None:
        """The SQLite database it lives in; None elsewhere. One for both makes one transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside happens, or nothing. Joins one that the same file has open."""

    def put(self, drafts: Sequence[Draft]) -> int:
        """How many are new in the queue; a draft whose window waits already is left out."""

    def lease(self, limit: int, points: int, lease_s: float) -> list[Message]:
        """The messages that are due, at most `limit` and, past the first, `points` candles.

        They are hidden from others for `lease_s`. Empty when none is due.
        """

    def extend(self, messages: Sequence[Message], lease_s: float) -> None:
        """Hides them for `lease_s` from now. Raises LeaseLost."""

    def ack(self, messages: Sequence[Message]) -> None:
        """They are done and gone. Raises LeaseLost, and then none is."""

    def retry(self, message: Message, error: str) -> bool:
        """Counts a failure; it comes back after `backoff_s`, or is buried. Whether it comes back.

        Raises LeaseLost.
        """

    def release(self, messages: Sequence[Message]) -> None:
        """Hands back what was not worked on, as if never leased. Those no longer ours are left."""

    def bury(self, message: Message, reason: Reason, error: str) -> None:
        """The whole message becomes a dead letter. Raises LeaseLost."""

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Adds dead letters; one for the same candle or body is replaced."""

    def letters(
        self, ids: Sequence[int] | None = None, limit: int | None = None
    ) -> list[DeadLetter]:
        """Newest first; only those of `ids` when given."""

    def dead_by_error(self) -> list[DeadCount]:
        """Dead letters by series and reason, the most numerous first."""

    def drop(self, ids: Sequence[int]) -> int:
        """Deletes dead letters; how many there were."""

    def supersede(self, series: Series, window: Window) -> int:
        """Deletes letters that hold a body that was no candles, for windows now answered."""

    def depth(self) -> Depth:
        """What waits, exact."""

    def next_due_at(self) -> int | None:
        """When the next delayed or leased message comes back, ms. None when none waits."""

    def close(self) -> None:
        """Releases what the back end holds open."""


def open_queue(url: str, database: Database, *, owner: str, max_retries: int) -> Queue:
    """The queue at `url`; an empty one names the database itself. Raises as opening does."""
    scheme = url.partition(":")[0] or "sqlite"
    match scheme:
        case "sqlite":
            from histq.queues.sqlite import SqliteQueue

            return SqliteQueue(database.at(url), owner=owner, max_retries=max_retries)
        case _:
            raise Config(f"queue.url: no queue back end {scheme!r}; known: sqlite")
