"""Applies revisions in batches, so that no transaction keeps other writers waiting for long."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from histq.errors import Usage
from histq.model import Series
from histq.pipeline.runs import RunLog
from histq.stop import Stop
from histq.stores import Store

BATCH: Final = 500
"""Revisions a transaction."""


class LeftOut(msgspec.Struct, frozen=True):
    id: int
    why: str


class ApplyReport(msgspec.Struct):
    """Ids by what became of them, or in a dry run would become."""

    applied: list[int]
    already_applied: list[int]
    left_out: list[LeftOut]
    dry_run: bool


def named(store: Store, ids: Sequence[int]) -> Iterator[list[int]]:
    """These revisions in batches. Raises Usage for an id that is none, before the first batch."""
    wanted = sorted(set(ids))
    known = {one.id for one in store.revisions(store.series(), len(wanted), wanted)}
    if unknown := [id_ for id_ in wanted if id_ not in known]:
        raise Usage(f"no revision {unknown[0]}; histq revisions list shows them")
    return (wanted[i : i + BATCH] for i in range(0, len(wanted), BATCH))


def waiting(store: Store, series: Sequence[Series]) -> Iterator[list[int]]:
    """All that can still be applied, in batches, each looked up when it is its turn."""
    after = 0
    while ids := store.waiting_revisions(series, after, BATCH):
        yield ids
        after = ids[-1]


def apply(
    store: Store, batches: Iterable[Sequence[int]], runs: RunLog, stop: Stop, *, dry_run: bool
) -> ApplyReport:
    """Applies each batch in a transaction of its own; a stop ends it between two of them."""
    applied: set[int] = set()
    report = ApplyReport([], [], [], dry_run)
    for ids in batches:
        if stop:
            break
        if not dry_run:
            runs.begin(store)
        done = store.apply_revisions(ids, dry_run=dry_run)
        # A dry run changes nothing, so a later batch of the same candle tells of these again.
        applied.update(done.applied)
        report.already_applied += done.already
        report.left_out += [LeftOut(*one) for one in done.left_out]
    report.applied = sorted(applied)
    return report
