"""What the daemon does when its time comes, a job each: when, what, and how it went."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from histq.daemon.facts import Facts
from histq.daemon.turns import Job, Outcome
from histq.daemon.watcher import LogWatcher
from histq.errors import Config, HistqError, Refused
from histq.host import Clock, wall_clock
from histq.locks import NamedLocks
from histq.model import DAY_MS
from histq.pipeline.backends import Opener
from histq.pipeline.backup import Place, backup
from histq.pipeline.fetch import FetchJob, fetch
from histq.pipeline.ledgers import ledgers, to_repair
from histq.pipeline.prune import cutoffs, prune
from histq.pipeline.reading import untold
from histq.pipeline.reports import FetchReport
from histq.pipeline.runs import RunLog
from histq.pipeline.targets import Selection, enabled, lacks_key, select
from histq.plan import Wish
from histq.settings import Settings
from histq.stop import Stop

FETCH: Final = "fetch"

Run = Callable[[RunLog, Stop], Outcome]


class Surroundings(NamedTuple):
    """What every job works with."""

    opener: Opener
    state_folder: Path
    locks: NamedLocks
    facts: Facts
    clock: Clock = wall_clock

    @property
    def settings(self) -> Settings:
        return self.opener.settings


class Scheduled(NamedTuple):
    """A job and when it runs; `at_once` where it does not wait for its time when it never ran."""

    job: Job
    schedule: str
    jitter_s: float = 0
    at_once: bool = False


def scheduled(around: Surroundings) -> list[Scheduled]:
    """All jobs that the settings ask for, in the order in which one run of each makes sense."""
    settings = around.settings.daemon
    found = [
        Scheduled(
            _job(around, f"{FETCH} {name}", partial(_fetch, around, name)),
            around.settings.sources[name].schedule or settings.schedule,
            settings.jitter_s,
            at_once=True,
        )
        for name in enabled(around.settings)
        if not lacks_key(name, around.settings)
    ]
    others = (
        ("repair", settings.repair, _repair),
        ("recheck", settings.recheck, _recheck),
        ("maintain", settings.maintain, _maintain),
        ("prune", settings.prune, _prune),
        ("backup", settings.backup, _backup),
    )
    found += [
        Scheduled(_job(around, name, partial(run, around)), schedule)
        for name, schedule, run in others
        if schedule
    ]
    return found


def row_of(name: str) -> str:
    """The command that stands in the audit trail for the job of that name."""
    return f"daemon {name}"


def _job(around: Surroundings, name: str, run: Run) -> Job:
    """The job with its row in the audit trail, which also tells a later start when it last ran."""

    def logged(stop: Stop) -> Outcome:
        runs = RunLog(row_of(name), around.opener.owner)
        with around.opener.open(create=True) as backends:
            runs.begin(backends.store)
        try:
            outcome = run(runs, stop)
        except HistqError as error:
            _close(around, runs, Outcome(error.exit_code, str(error)))
            raise
        _close(around, runs, outcome)
        return outcome

    return Job(name, logged, around.settings.daemon.deadline_s)


def _close(around: Surroundings, runs: RunLog, outcome: Outcome) -> None:
    with around.opener.open(create=True) as backends:
        text = msgspec.json.encode({"said": outcome.said}).decode()
        runs.end(backends.store, outcome.exit_code, text)


def _fetch(around: Surroundings, name: str, runs: RunLog, stop: Stop) -> Outcome:
    """What is missing of one source, at its default intervals."""
    return _fetched(around, select(around.settings, sources=[name]), Wish(), runs, stop)


def _repair(around: Surroundings, runs: RunLog, stop: Stop) -> Outcome:
    """Every hole that asking again may fill."""
    with around.opener.open(create=True) as backends:
        selection = to_repair(ledgers(backends.store, around.settings), around.settings)
    return _fetched(around, selection, Wish(repair=True), runs, stop)


def _recheck(around: Surroundings, runs: RunLog, stop: Stop) -> Outcome:
    """The latest candles again: what a provider has changed meanwhile is a revision."""
    start = around.clock() - round(around.settings.daemon.recheck_days * DAY_MS)
    return _fetched(around, select(around.settings), Wish(start, refetch=True), runs, stop)


def _fetched(
    around: Surroundings, selection: Selection, wish: Wish, runs: RunLog, stop: Stop
) -> Outcome:
    report = fetch(
        FetchJob(
            opener=around.opener,
            selection=selection,
            wish=wish,
            runs=runs,
            stop=stop,
            watcher=LogWatcher(),
            state_folder=around.state_folder,
            patient=True,
            locks=around.locks,
            clock=around.clock,
        )
    )
    _note_refusals(around.facts, report, selection)
    return Outcome(report.exit_code, _said(report))


def _note_refusals(facts: Facts, report: FetchReport, selection: Selection) -> None:
    """Who refuses, and who answers. One that failed in another way, or was not heard to the end,
    may refuse as before.
    """
    refused = {f.source: f.error for f in report.failures if f.exit_code == Refused.exit_code}
    for source in report.sources:
        if source.succeeded or source.source in refused:
            facts.refused(source.source, refused.get(source.source, ""))
    # An archive that fails only has its source asked instead; how long it is silent is known.
    for archive in {target.shelf.archive.name for target in selection.targets if target.shelf}:
        facts.refused(archive, "")


def _said(report: FetchReport) -> str:
    said = f"queued {report.queued_points} points in {report.requests} requests"
    if report.failures:
        said += f", {len(report.failures)} failures, the first: {report.failures[0].error}"
    return said


def _maintain(around: Surroundings, runs: RunLog, stop: Stop) -> Outcome:
    with around.opener.open(create=True) as backends:
        backends.database.maintain()
    return Outcome(0, "folded the log into the database")


def _prune(around: Surroundings, runs: RunLog, stop: Stop) -> Outcome:
    before = cutoffs(around.settings.retention, around.clock())
    with around.opener.open(create=True) as backends:
        report = prune(backends, before, None, runs, stop)
    rows = ", ".join(f"{part.rows} {part.kind}" for part in report.pruned)
    return Outcome(0, f"deleted {rows}" if rows else "nothing is ever deleted")


def _backup(around: Surroundings, runs: RunLog, stop: Stop) -> Outcome:
    folder, keep = around.settings.daemon.backup_folder, around.settings.daemon.backup_keep
    if folder and not Path(folder).is_dir():
        raise Config(
            f"there is no folder {folder} for backups; make it: daemon.backup_folder names it"
        )
    place = Place(Path(folder) if folder else None, keep)
    report = backup(around.opener, place, around.clock(), stop, untold)
    return Outcome(0, f"copied to {', '.join(copy.file for copy in report.copies)}")
