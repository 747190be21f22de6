"""`db prune`: forgets what is older than the settings say, in small transactions of their own.

Where an archive is asked for, rows are in it and on disk before they are gone: after a kill some
may be in both, and the next prune then archives these again, but none is in neither.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from histq.health import reusable_bytes
from histq.model import DAY_MS, DeadLetter
from histq.pipeline import letters
from histq.pipeline.archive import Archive
from histq.pipeline.backends import Backends
from histq.pipeline.runs import RunLog
from histq.settings import RetentionSettings
from histq.stop import Stop
from histq.stores import History, Remembered

BATCH: Final = 500
"""Rows a transaction."""

LETTERS: Final = 50
"""Dead letters a transaction: each may hold a whole page."""


class Kind(StrEnum):
    """In the order of pruning: a run goes after its statistics."""

    LETTERS = "letters"
    STATS = "stats"
    RUNS = "runs"
    REVISIONS = "revisions"


TABLES: Final = {
    Kind.LETTERS: "dead_letters",
    Kind.STATS: "ingestion_stats",
    Kind.RUNS: "runs",
    Kind.REVISIONS: "revisions",
}

Cutoffs = Mapping[Kind, int]
"""Instants before which a kind goes; absent where it is kept for ever."""


class Pruned(msgspec.Struct):
    """Rows of a kind from before `before` that are gone, or in a dry run would be."""

    kind: Kind
    before: int
    rows: int = 0


class PruneReport(msgspec.Struct):
    """`reusable_bytes` of the database files hold nothing now, and are filled before they grow."""

    pruned: list[Pruned]
    kept_for_ever: list[Kind]
    archive: str | None
    dry_run: bool
    reusable_bytes: int = 0


def cutoffs(retention: RetentionSettings, now: int) -> dict[Kind, int]:
    """What the settings come to."""
    days = {kind: getattr(retention, f"{kind}_days") for kind in Kind}
    return {kind: now - round(value * DAY_MS) for kind, value in days.items() if value}


def prune(
    backends: Backends,
    before: Cutoffs,
    archive: Archive | None,
    runs: RunLog,
    stop: Stop,
    *,
    dry_run: bool = False,
) -> PruneReport:
    """Deletes what is older. A stop ends it between two transactions. Raises what the archive does.

    Dead letters go as `dlq drop` lets them go: what they held is missing then, and not silently.
    """
    report = PruneReport(
        pruned=[Pruned(kind, before[kind]) for kind in Kind if kind in before],
        kept_for_ever=[kind for kind in Kind if kind not in before],
        archive=None if archive is None else str(archive.path),
        dry_run=dry_run,
    )
    waiting = _count(backends, before)
    for part in report.pruned:
        if dry_run or not waiting[part.kind]:
            part.rows = waiting[part.kind]
            continue
        runs.begin(backends.store)
        while not stop and (rows := _batch(backends, part, archive)):
            part.rows += rows
    report.reusable_bytes = sum(map(reusable_bytes, backends.databases()))
    return report


def _count(backends: Backends, before: Cutoffs) -> dict[Kind, int]:
    """How many rows of each kind are to go. Takes no write lock."""
    remembered = {History(kind): at for kind, at in before.items() if kind is not Kind.LETTERS}
    counts = {Kind(kind): n for kind, n in backends.store.count_before(remembered).items()}
    if Kind.LETTERS in before:
        counts[Kind.LETTERS] = backends.queue.count_before(before[Kind.LETTERS])
    return counts


def _batch(backends: Backends, part: Pruned, archive: Archive | None) -> int:
    """The oldest rows of the kind in one transaction; how many there were."""

    def keep(rows: Sequence[Remembered]) -> None:
        if archive is not None:
            archive.add(TABLES[part.kind], rows)

    if part.kind is not Kind.LETTERS:
        return backends.store.forget(History(part.kind), part.before, BATCH, keep)
    with backends.transaction(), backends.queue.transaction():
        found = backends.queue.letters_before(part.before, LETTERS)
        keep([_row(letter) for letter in found])
        return letters.drop(backends, found)


def _row(letter: DeadLetter) -> dict[str, object]:
    """As the table has it."""
    row = letter._asdict()
    series, window = row.pop("series"), row.pop("window")
    return {**row, **series._asdict(), **window._asdict()}
