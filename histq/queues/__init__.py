"""The queue's seam: what a back end promises, and which one a URL names.

A message waits, is leased, and is then acked, retried, released or buried; buried, it is a dead
letter. It has no state beside `available_at`, the instant from which it may be leased, and the
token of its latest lease:

    ready     available_at <= now: 0 where nothing holds it back, so that no step of the clock does
    leased    available_at > now, and it has a token: the lease ends by itself
    delayed   available_at > now, and no token: put for later, or waiting after a failure

The promises, each held by `tests/queues/`, which any back end can run (how is told there):

- Of one priority, what is available first comes first, then what was put first. Higher priorities
  come first, but of the leases of an instance one in a few begins with a lower one in turn: none
  starves where somebody stays to consume.
- A lease hides a message from everybody, the process that holds it too, until it runs out. What
  a process holds that `is_dead` knows to be gone is free with the next lease of any other: all of
  it, as if it had never been held back. Its deliveries count, its tokens settle nothing any more.
- Only the token of the latest lease settles a message. No id and no token is ever used twice, by
  no instance, so a consumer that lost its lease changes nothing, not even a later message for the
  same window. A lease that ran out is good for as long as nobody else has taken the message.
- Of one window of one series one message waits, or is leased. The first put stays. A window is
  its start and its end: one that only overlaps is another. A dead letter keeps none out.
- Reported failures are counted apart from deliveries that ended without a word. The first kind
  buries after `max_retries`. The second never does: from `ALONE_AFTER` on the message is leased
  without neighbours, and whoever consumes decides when it has killed enough. Both are counted from
  when it was put: its `past` is only remembered.
- Everything inside `transaction` happens or nothing, also when the process dies in it.
- The figures of `depth` are exact at any moment, and cost no look at a body.

A back end is told its `owner`, `max_retries`, a `clock` (ms), a `fraction` for the jitter and
`is_dead`; it asks for nothing else of its surroundings. One instance a thread; those of one process
have one owner. Messages are handed back as they were leased, each once a call.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol

import msgspec

from histq.db import Database
from histq.errors import Config
from histq.findings import Finding
from histq.model import DeadLetter, Depth, Draft, Message, Reason, Series, Window

ALONE_AFTER: Final = 3
"""Deliveries that ended without a word, in a row or not, after which a message is leased alone."""

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


class Holder(msgspec.Struct, frozen=True):
    """A process that holds leases; `dead` where it is known to live no more."""

    owner: str
    messages: int
    dead: bool


class Held(NamedTuple):
    """A window of which the queue holds the candles: in a message, or in a dead letter."""

    series: Series
    window: Window
    dead: bool


class Queue(Protocol):
    """Durable, at least once, fenced. What a method has done is on disk when it returns."""

    @property
    def database(self) -> Database | None:
        """The SQLite database it lives in; None elsewhere. One for both makes one transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside happens, or nothing. Joins one that the same file has open.

        An error that leaves the outermost block undoes all of it. One that is caught before may
        leave behind what a method had half done. Outside of a block each is a transaction itself.
        """

    def put(self, drafts: Sequence[Draft]) -> int:
        """How many are new in the queue; a draft whose window waits already is left out.

        A new message has no failures and no deliveries, whatever its `past` says, and is queued
        now. All drafts or none are in the queue when this returns or raises.
        Raises DiskFull while there is still room to drain what is queued.
        """

    def lease(self, limit: int, points: int, lease_s: float) -> list[Message]:
        """The messages that are due, at most `limit` and, past the first, `points` candles.

        They are hidden from others for `lease_s` from when this returns, to the millisecond, and
        have one delivery more, the one told included. The first is never too large; of a priority
        none is passed over for a smaller one behind it. One that was delivered `ALONE_AFTER` times
        without a word comes alone. Empty when none is due.
        """

    def extend(self, messages: Sequence[Message], lease_s: float) -> None:
        """Hides them for `lease_s` from now, even if that is shorter than before.

        Raises LeaseLost, and then extends none.
        """

    def ack(self, messages: Sequence[Message]) -> None:
        """They are done and gone. Raises LeaseLost, and then none is."""

    def retry(self, message: Message, error: str) -> bool:
        """Counts a failure; it comes back after `backoff_s`, or is buried. Whether it comes back.

        Buried as `EXHAUSTED` by the failure after `max_retries`, which the letter counts too; the
        lease ends either way. Raises LeaseLost.
        """

    def release(self, messages: Sequence[Message]) -> None:
        """Hands back what was not worked on, as if never leased. Those no longer ours are left.

        They are ready at once, as if they had never been held back, in the order they were put,
        and the delivery is taken back. One whose lease ran out is ours until another took it.
        """

    def bury(self, message: Message, reason: Reason, error: str) -> None:
        """The whole message becomes a dead letter of kind `PAGE`. Raises LeaseLost.

        The letter has the message's `history`, and its body as `page.as_json` shows it.
        """

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Adds dead letters, with new ids; one for the same candle or body only renews the first.

        A body is the same by series and window: it takes the later one's error, data and instant.
        A candle is the same by series, window and data: it takes the later one's instant. All else
        stays, id and counts too. Pages are never the same.
        """

    def letters(
        self, ids: Sequence[int] | None = None, limit: int | None = None
    ) -> list[DeadLetter]:
        """The last kept first, whenever it failed; only those of `ids` when given.

        The limit is one of these. Ids that are none are left out.
        """

    def letters_before(self, failed_before: int, limit: int) -> list[DeadLetter]:
        """Those that failed before then, the earliest first."""

    def count_before(self, failed_before: int) -> int:
        """How many dead letters failed before then."""

    def dead_by_error(self) -> list[DeadCount]:
        """Dead letters by series and reason, the most numerous first; `error` by `failed_at`."""

    def drop(self, ids: Sequence[int]) -> int:
        """Deletes dead letters; how many there were."""

    def supersede(self, series: Series, window: Window) -> int:
        """Deletes letters of kind `BODY` whose windows lie in this one, which is now answered.

        How many there were.
        """

    def depth(self) -> Depth:
        """What waits, exact: messages are ready, leased or delayed, as the clock has it now.

        What the dead hold is leased until another leases. `oldest_age_s` is that of the message
        put first, never negative; None when none waits.
        """

    def next_due_at(self) -> int | None:
        """When the next delayed or leased message comes back, ms; what is ready is none of these.

        None when there is none.
        """

    def buried_at(self) -> int | None:
        """When the latest dead letter failed, ms; None where there is none."""

    def holders(self) -> list[Holder]:
        """Who holds leases that have not run out, in the order of their names."""

    def held(self) -> Iterator[Held]:
        """Every message, leased or not, and every dead letter, without what is in them."""

    def audit(self) -> Iterator[Finding]:
        """What does not add up in it; nothing is changed. One moment of it, inside a snapshot."""

    def close(self) -> None:
        """Releases what the back end holds open. What is leased stays leased."""


def open_queue(
    url: str, database: Database, *, owner: str, max_retries: int, min_free_bytes: int
) -> Queue:
    """The queue at `url`; an empty one names the database itself. Raises as opening does."""
    scheme = url.partition(":")[0] or "sqlite"
    match scheme:
        case "sqlite":
            from histq.queues.sqlite import SqliteQueue

            return SqliteQueue(
                database.at(url),
                owner=owner,
                max_retries=max_retries,
                min_free_bytes=min_free_bytes,
            )
        case _:
            raise Config(f"queue.url: no queue back end {scheme!r}; known: sqlite")
