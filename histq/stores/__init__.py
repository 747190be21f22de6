"""The store's seam: prices, the ledger of spans, and the record of what was done.

Promises, each held by `tests/stores/`, which any back end can run (how is told there):

- Writing a candle twice stores it once and the first value stays. What a later one says differently
  from what was told last is recorded as a revision.
- The revisions of a candle that wait lead in their order from what is stored to what was told last.
  One whose `old` is not what the ones before it left is stale, because a hand has changed the table
  since, and is passed over.
- Counters always equal a recount; spans of one series never overlap.
- What comes last of a record is what was recorded last, whatever the clock said then.
- Prices and volumes are doubles, and equal means equal doubles. All else is a whole number.

A back end is told its `clock` (ms) and `is_dead`, which knows whether the owner of a run lives no
more; it asks for nothing else of its surroundings. One instance a thread.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from histq.db import Database
from histq.errors import Config
from histq.findings import Finding
from histq.model import Candle, Series, Span, Window
from histq.page import Flat, Number
from histq.stores.alerts import AlertLog


class Bar(msgspec.Struct, frozen=True):
    """What the candles that open in a stretch amount to; there is at least one.

    What a candle does not say of open, high and low, its close stands for.
    """

    start: int
    end: int
    candles: int
    first: int  # open times
    last: int
    open: float
    high: float
    low: float
    close: float


class Written(NamedTuple):
    """What became of the candles handed to `write`."""

    inserted: int
    duplicates: int
    revised: int  # of the duplicates: those that say something else than what is stored


class Batch(NamedTuple):
    """What one consumed batch did for one source; a row of `ingestion_stats`."""

    source: str
    messages: int
    points: int
    inserted: int
    duplicates: int
    revised: int
    dead: int
    elapsed_ms: float


class Tally(NamedTuple):
    """What the batches of one source did together; as `Batch`."""

    source: str
    batches: int
    messages: int
    points: int
    inserted: int
    duplicates: int
    revised: int
    dead: int
    elapsed_ms: float


class SeriesStats(msgspec.Struct, frozen=True):
    """`missing` counts grid slots between first and last less accepted holes; None for `spot`.

    A hole is accepted where the ledger says `EMPTY` and has seen it so `ledger.ACCEPTED` times.
    """

    source: str
    symbol: str
    interval: str
    points: int
    first: int | None
    last: int | None
    missing: int | None
    failed: int
    """Stretches, `FAILED` in the ledger, that will be asked for again."""


class Throughput(msgspec.Struct, frozen=True):
    """Over some batches of a source, in points and points a second.

    An average is one of batches, each counting the same, however long it took; one that took no
    time has a rate of 0.
    """

    source: str
    avg_points_per_s: float
    max_points_per_s: float
    avg_batch_points: float
    batches: int


class Run(msgspec.Struct, frozen=True):
    """A command that ran. `ended_at` is None while it runs, or when it was killed."""

    command: str
    started_at: int
    ended_at: int | None
    exit_code: int | None


class RevisionState(StrEnum):
    WAITING = "waiting"
    APPLIED = "applied"
    OVERTAKEN = "overtaken"  # not applied, but a newer one of its candle is


class Revision(msgspec.Struct, frozen=True):
    """What a provider said differently at `seen_at`: the fields before and after.

    Ids count from 1 in the order of recording. None is used twice.
    """

    id: int
    source: str
    symbol: str
    interval: str
    timestamp: int
    seen_at: int
    old: dict[str, Number]
    new: dict[str, Number]
    state: RevisionState
    applied_at: int | None


class Applied(NamedTuple):
    """Ids of revisions, by what became of them."""

    applied: list[int]
    already: list[int]
    left_out: list[tuple[int, str]]  # and why


class History(StrEnum):
    """What a store remembers of the past, and may forget."""

    STATS = "stats"
    RUNS = "runs"
    REVISIONS = "revisions"


Remembered = Mapping[str, object]
"""One row of it, by the columns of schema.sql; a series by `source`, `symbol` and `interval`."""


class Store(Protocol):
    @property
    def database(self) -> Database | None:
        """The SQLite database it lives in; None elsewhere. One for both makes one transaction."""

    @property
    def alerts(self) -> AlertLog:
        """The record of what was wrong and who was told."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside happens, or nothing. Joins one that the same file has open.

        As `Queue.transaction`; alerts are part of it.
        """

    def write(self, series: Series, page: Flat) -> Written:
        """Stores the candles of a screened page without repeats; the first value of a key stays.

        A duplicate that says another value than what was told of its candle last (`page.changed`)
        adds a revision. Raises Poison where a number does not fit, and stores none of the page.
        """

    def revise(self, series: Series, pairs: Sequence[tuple[Candle, Candle]]) -> None:
        """As `write` of duplicates of candles that are stored, told here as (stored, later)."""

    def candles(self, series: Series, window: Window, limit: int | None = None) -> Iterator[Candle]:
        """Those that open in the window, in order, in constant memory; the first `limit` if given.

        Holds no snapshot between reads. All that was there when it began comes, once; what is
        written meanwhile may come too.
        """

    def bars(self, series: Series, windows: Sequence[Window]) -> list[Bar]:
        """One for each window that holds candles, in the order of the windows, which may overlap.

        Computed where the candles lie, without reading them.
        """

    def revisions(
        self, series: Sequence[Series], limit: int, ids: Sequence[int] | None = None
    ) -> list[Revision]:
        """The newest of these series, the last recorded first; only those of `ids` where given."""

    def waiting_revisions(self, series: Sequence[Series], after: int, limit: int) -> list[int]:
        """The first ids past `after`, ascending, of revisions that can still be applied."""

    def apply_revisions(self, ids: Sequence[int], *, dry_run: bool = False) -> Applied:
        """Puts what they say in the table, all or nothing; what they replace stays on record.

        A candle goes to what was told last at the newest of the ids where that is sound by
        `page.fault`, and the earlier ones that were sound are applied with it. Left out is what is
        unsound, stale, or overtaken, and what has no candle any more. Ids that are none are in no
        list; those of a candle are in order.
        """

    def series(self) -> list[Series]:
        """All of which anything was written or recorded, in order."""

    def spans(self, series: Series) -> list[Span]:
        """The ledger of one series in order; empty for one that nobody has asked for."""

    def record(self, series: Series, spans: Iterable[Span]) -> None:
        """Makes these stretches of the ledger what they say, whatever was known of them.

        Later ones go over earlier ones; neighbours that say the same are one (`ledger.overlay`).
        """

    def log_batch(self, run_id: int, batch: Batch) -> None:
        """Adds a row to the throughput record."""

    def batches(self, limit: int) -> list[Batch]:
        """The latest rows of the throughput record, the last logged first."""

    def tallies(self, after: int) -> tuple[int, list[Tally]]:
        """The batches logged since the mark `after`, by source, and the mark to ask with next.

        0 is the mark before the first. A mark holds, whatever is forgotten.
        """

    def history(self, window: Window, step_ms: int) -> list[tuple[int, Tally]]:
        """The batches of a stretch of time, by source and step, in order; none for an idle step.

        A step is named by its start, a multiple of `step_ms`.
        """

    def start_run(self, command: str, owner: str) -> int:
        """Opens a row of the audit trail; its id. `owner` is who `is_dead` can be asked of."""

    def end_run(self, run_id: int, exit_code: int, summary: str) -> None:
        """Closes it. `summary` is JSON text."""

    def coverage(self) -> list[SeriesStats]:
        """Every one of `series`, from counters and the ledger, without a scan of the prices."""

    def lasts(self) -> dict[Series, int]:
        """The open time of the latest candle of each series that holds one, from counters alone."""

    def throughput(self, latest: int) -> list[Throughput]:
        """By source, of so many of the latest batches of all sources."""

    def runs(self, limit: int) -> list[Run]:
        """The latest commands, the last begun first."""

    def last_run(self, command: str) -> int | None:
        """The latest instant at which that command began, ms; None where it never did."""

    def count_before(self, before: Mapping[History, int]) -> dict[History, int]:
        """How many rows of each kind may go that are from before then, if all of them go.

        A run whose statistics go too is one that may go.
        """

    def forget(
        self,
        kind: History,
        before: int,
        limit: int,
        keep: Callable[[Sequence[Remembered]], None],
    ) -> int:
        """Deletes about `limit` of those from before then, once `keep` has got them; how many.

        Statistics are from when they were logged, and go oldest first. A run is from its end, or
        its start where it was killed. A revision is from when it was applied, or the one that
        overtook it. What is not settled yet stays, however old: a run that may still run or whose
        statistics are kept, a revision that waits. `keep` is not called without rows; what it
        raises undoes all. Joins an open transaction.
        """

    def audit(self, tell: Callable[[int, int], None]) -> Iterator[Finding]:
        """What does not add up in it; nothing is changed. One moment of it, inside a snapshot.

        `tell` gets the candles looked at so far, and how many there should be.
        """

    def close(self) -> None:
        """Releases what the back end holds open."""


def open_store(url: str, database: Database) -> Store:
    """The store at `url`; an empty one names the database itself. Raises as opening does."""
    scheme = url.partition(":")[0] or "sqlite"
    match scheme:
        case "sqlite":
            from histq.stores.sqlite import SqliteStore

            return SqliteStore(database.at(url))
        case _:
            raise Config(f"store.url: no store back end {scheme!r}; known: sqlite")
