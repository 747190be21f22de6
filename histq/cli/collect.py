"""fetch, consume, sync."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn

import typer

from histq.cli import options
from histq.cli.groups import Usual, spread
from histq.cli.monitor import watched
from histq.cli.options import FailIfEmpty
from histq.errors import Usage

if TYPE_CHECKING:
    from histq.cli.progress import Display
    from histq.cli.session import Session
    from histq.pipeline.fetch import FetchJob
    from histq.pipeline.targets import Selection
    from histq.plan import Wish
    from histq.stop import Stop

PANEL = "Collect"
NOTHING_TO_DO = 4

Follow = Annotated[
    bool, typer.Option("--follow", help="Stay and consume what comes, until stopped.")
]
NoWait = Annotated[
    bool,
    typer.Option("--no-wait", help="Leave delayed messages and others' leases; exit 3 if any."),
]


def add_to(app: typer.Typer) -> None:
    app.command(
        rich_help_panel=PANEL, epilog="histq fetch BTCUSDT ETHUSDT -s binance -i 1h --from 30d"
    )(watched(fetch, when=lambda given: not given["dry_run"]))
    app.command(rich_help_panel=PANEL, epilog="histq consume --concurrency 5")(watched(consume))
    app.command(rich_help_panel=PANEL, epilog="histq sync BTCUSDT --from 30d")(watched(sync))


class Asked(NamedTuple):
    """What the user says of what to fetch."""

    symbols: options.Symbols = None
    source: options.Sources = None
    interval: options.Intervals = None
    since: options.Since = None
    until: options.Until = None
    refetch: options.Refetch = False
    no_archive: options.NoArchive = False


@spread
def fetch(
    asked: Asked,
    dry_run: options.DryRun = False,
    fail_if_empty: FailIfEmpty = False,
    *,
    usual: Usual,
) -> None:
    """Ask the sources for what is missing and queue it. The price table is not touched."""
    from histq.cli import render
    from histq.cli.progress import Display
    from histq.pipeline.fetch import fetch as run

    session = usual.session("fetch")
    stop = session.stop_on_signals()
    with Display(session.err, quiet=session.quiet) as display:
        job = fetch_job(session, display, stop, asked, patient=False)
        if dry_run and asked.since == "listing":
            raise Usage("--dry-run asks nobody, so it cannot find the listing; name a date")
        if dry_run:
            _show_plan(session, job, fail_if_empty=fail_if_empty)
        report = run(job)
    exit_code = stop.exit_code if stop else report.exit_code
    if exit_code == 0 and fail_if_empty and not report.queued_points:
        exit_code = NOTHING_TO_DO
    finish(session, exit_code, report, render.fetched(report))


def _show_plan(session: "Session", job: "FetchJob", *, fail_if_empty: bool) -> NoReturn:
    from histq.cli import render_ledger
    from histq.pipeline.pricing import dry_run

    plan = dry_run(job.opener, job.selection, job.wish, job.state_folder, job.clock())
    if session.json:
        session.document(plan)
    else:
        session.out.print(render_ledger.planned(plan))
    raise typer.Exit(NOTHING_TO_DO if fail_if_empty and not plan.requests else 0)


@spread
def consume(
    concurrency: options.Concurrency = None,
    follow: Follow = False,
    no_wait: NoWait = False,
    fail_if_empty: FailIfEmpty = False,
    *,
    usual: Usual,
) -> None:
    """Store what is queued; bury what cannot be stored. Returns when the queue is empty."""
    from histq.cli import render
    from histq.cli.progress import Display
    from histq.pipeline.consume import ConsumeJob
    from histq.pipeline.consume import consume as run

    session = usual.session("consume")
    stop = session.stop_on_signals()
    with Display(session.err, quiet=session.quiet) as display:
        job = ConsumeJob(
            opener=session.opener,
            concurrency=concurrency or session.settings.consume.concurrency,
            runs=session.runs,
            stop=stop,
            watcher=display,
            wait=not no_wait,
            more=lambda: follow,
        )
        report = run(job)
    exit_code = stop.exit_code if stop else report.exit_code
    if exit_code == 0 and fail_if_empty and not report.messages:
        exit_code = NOTHING_TO_DO
    finish(session, exit_code, report, render.consumed(report))


@spread
def sync(
    asked: Asked,
    concurrency: options.Concurrency = None,
    fail_if_empty: FailIfEmpty = False,
    *,
    usual: Usual,
) -> None:
    """Fetch and consume at once: what is missing ends in the price table."""
    from rich.console import Group

    from histq.cli import render
    from histq.cli.progress import Display
    from histq.pipeline.reports import SyncReport
    from histq.pipeline.sync import sync as run

    session = usual.session("sync")
    stop = session.stop_on_signals()
    with Display(session.err, quiet=session.quiet) as display:
        job = fetch_job(session, display, stop, asked, patient=True)
        workers = concurrency or session.settings.consume.concurrency
        report: SyncReport = run(job, display, workers)
    exit_code = stop.exit_code if stop else report.exit_code
    if exit_code == 0 and fail_if_empty and not report.consume.messages:
        exit_code = NOTHING_TO_DO
    shown = Group(render.fetched(report.fetch), "", render.consumed(report.consume))
    finish(session, exit_code, report, shown)


def fetch_job(
    session: "Session",
    display: "Display",
    stop: "Stop",
    asked: Asked,
    *,
    patient: bool,
    state_folder: Path | None = None,
) -> "FetchJob":
    """The job that it means. Raises Usage, and Credentials, before anything is made or asked."""
    from histq import dates
    from histq.host import wall_clock
    from histq.pipeline.targets import select
    from histq.plan import Wish

    start, end = dates.span(asked.since, asked.until, wall_clock())
    selection = select(
        session.settings,
        asked.symbols or (),
        asked.source or (),
        asked.interval or (),
        archives=not asked.no_archive,
    )
    listing = asked.since == dates.LISTING
    if listing:
        selection = selection.dated()
    wish = Wish(start, end, asked.refetch, listing=listing)
    return job_of(
        session, display, stop, selection, wish, patient=patient, state_folder=state_folder
    )


def job_of(
    session: "Session",
    display: "Display",
    stop: "Stop",
    selection: "Selection",
    wish: "Wish",
    *,
    patient: bool,
    state_folder: Path | None = None,
) -> "FetchJob":
    """The job that fetches the selection, as this command's session has it."""
    from histq.config import state_folder as shared_folder
    from histq.pipeline.fetch import FetchJob

    return FetchJob(
        opener=session.opener,
        selection=selection,
        wish=wish,
        runs=session.runs,
        stop=stop,
        watcher=display,
        state_folder=state_folder or shared_folder(),
        patient=patient,
    )


def finish(session: "Session", exit_code: int, report: object, shown: object) -> None:
    """Closes the audit trail's row, prints the result and ends with the exit code."""
    from histq.cli.session import SHOWN_ON

    session.end(exit_code, report)
    if session.json and exit_code in SHOWN_ON:
        session.document(report)
    elif not session.json and (exit_code in SHOWN_ON or session.runs.begun):
        session.out.print(shown)  # a mistake that changed nothing has been told in one line
    raise typer.Exit(exit_code)
