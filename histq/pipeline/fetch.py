"""Asks the sources for what is missing and puts every page that comes back on the queue."""

import contextlib
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from operator import attrgetter
from pathlib import Path

import msgspec

from histq.errors import DatabaseMissing
from histq.host import Clock, wall_clock
from histq.locks import NamedLocks
from histq.pipeline.backends import Opener
from histq.pipeline.record import Watcher
from histq.pipeline.reports import FetchReport
from histq.pipeline.runs import RunLog
from histq.pipeline.source import SourceWork
from histq.pipeline.targets import Selection, Target
from histq.place import refuse_impossible, series_locks
from histq.plan import Wish
from histq.stop import Stop


class FetchJob(msgspec.Struct, frozen=True):
    """One fetch, and what its threads share. `patient` waits for a full queue instead of ending.

    `locks` are those of the process where it runs several fetches.
    """

    opener: Opener
    selection: Selection
    wish: Wish
    runs: RunLog
    stop: Stop
    watcher: Watcher
    state_folder: Path
    patient: bool = False
    locks: NamedLocks | None = None
    clock: Clock = wall_clock


def fetch(job: FetchJob) -> FetchReport:
    """Runs all sources side by side, a thread each, so that a slow one holds up nobody.

    Raises what no other source can work around: a database that is none, locked, or out of room.
    """
    began = time.monotonic()
    path = job.opener.path
    refuse_impossible(path, create=True)
    with contextlib.suppress(DatabaseMissing):
        # Speaks up about a file that is not ours before anything is made beside it. An empty one,
        # of a process that died as it made it, is as good as none.
        job.opener.open(create=False).close()
    with series_locks(path) if job.locks is None else nullcontext(job.locks) as locks:
        works = [
            SourceWork(job, targets, locks.share()) for targets in _by_source(job.selection.targets)
        ]
        threads = [threading.Thread(target=work.run, name=work.name, daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for work in works:
        if work.fatal is not None:
            raise work.fatal
    failures = [failure for work in works for failure in work.failures]
    reports = [report for work in works for report in work.reports]
    return FetchReport(
        requests=sum(report.requests for report in reports),
        queued_messages=sum(report.queued_messages for report in reports),
        queued_points=sum(report.queued_points for report in reports),
        failed_windows=sum(failure.start is not None for failure in failures),
        skipped=list(job.selection.skipped),
        elapsed_ms=round((time.monotonic() - began) * 1000),
        sources=reports,
        failures=failures,
        start=job.wish.start,
        end=job.wish.end,
    )


def _by_source(targets: Sequence[Target]) -> list[list[Target]]:
    # In one order in every process, so that no two wait for each other's series; each once, because
    # two tokens may be one market of a source.
    distinct = {target.series: target for target in reversed(targets)}
    found: dict[str, list[Target]] = {}
    for target in sorted(distinct.values(), key=attrgetter("series")):
        found.setdefault(target.provider.name, []).append(target)
    return list(found.values())
