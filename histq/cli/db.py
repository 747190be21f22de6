"""db check, db backup, db prune: the operator's commands for the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, spread
from histq.errors import Stopped, Usage

if TYPE_CHECKING:
    from rich.console import RenderableType

    from histq.cli.session import Session
    from histq.pipeline.audit import AuditReport
    from histq.pipeline.backup import BackupReport
    from histq.pipeline.prune import Kind, PruneReport

PANEL = "Set up"
KINDS = "letters, stats, runs, revisions"

Quick = Annotated[
    bool, typer.Option("--quick", help="Leave out whether indexes agree with their tables.")
]
Target = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="A file, or a folder; without it, beside the database under its name and the time.",
        show_default=False,
    ),
]
Keep = Annotated[
    int | None,
    typer.Option("--keep", min=1, help="Delete older backups made so, but for the newest N."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
Kinds = Annotated[
    list[str] | None,
    typer.Argument(metavar="KIND", help=f"Of {KINDS}; without any, all.", show_default=False),
]
OlderThan = Annotated[
    str | None,
    typer.Option(
        "--older-than",
        metavar="DATE",
        help="90d, or a date: for every kind, dead letters too, instead of the settings.",
        show_default=False,
    ),
]
ArchiveFile = Annotated[
    Path | None,
    typer.Option(
        "--archive",
        metavar="FILE",
        help="Write what is deleted there first, as JSON lines; an archive is added to.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be deleted.")]

db = typer.Typer(no_args_is_help=True, help="The database file: check, backup, prune.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(db, name="db", rich_help_panel=PANEL)


@db.command(epilog="histq db check --quick")
@spread
def check(quick: Quick = False, *, usual: Usual) -> None:
    """Audit the file, the counters, the ledger and the queue. Exit 3 when something is wrong.

    It reads one moment, while everything runs on, and changes nothing.
    """
    from histq.cli.working import Working
    from histq.pipeline.audit import audit
    from histq.pipeline.interruptible import interruptible
    from histq.stop import Stop

    session = usual.session("db check")
    stop = Stop().on_signals()
    try:
        with Working(session.err, quiet=session.quiet) as working:
            report = interruptible(
                lambda: audit(session.opener, stop, working.tell, quick=quick), stop
            )
    except Stopped as stopped:
        raise _stopped(session, stopped, stop.exit_code) from stopped
    if session.json:
        session.document(report)
    else:
        session.out.print(_checked(report), soft_wrap=True)
    raise typer.Exit(report.exit_code)


@db.command(epilog="histq db backup /var/backups --keep 7")
@spread
def backup(file: Target = None, keep: Keep = None, force: Force = False, *, usual: Usual) -> None:
    """Copy the database as it is at one moment, while everything runs. Whole, or not there.

    To restore: stop every histq, delete histq.db-wal and histq.db-shm, copy the backup to histq.db.
    """
    from histq.cli.working import Working
    from histq.host import wall_clock
    from histq.pipeline.backup import Place
    from histq.pipeline.backup import backup as run
    from histq.stop import Stop

    session = usual.session("db backup")
    stop = Stop().on_signals()
    try:
        with Working(session.err, quiet=session.quiet) as working:
            place = Place(file, keep, force)
            report = run(session.opener, place, wall_clock(), stop, working.tell)
    except Stopped as stopped:
        raise _stopped(session, stopped, stop.exit_code) from stopped
    if session.json:
        session.document(report)
    else:
        session.out.print(_backed_up(report), soft_wrap=True)


@db.command(epilog="histq db prune stats runs --older-than 90d --dry-run")
@spread
def prune(
    kinds: Kinds = None,
    older_than: OlderThan = None,
    archive: ArchiveFile = None,
    dry_run: DryRun = False,
    *,
    usual: Usual,
) -> None:
    """Delete old statistics, runs, dead letters and revisions; prices are never deleted.

    Without --older-than by the settings of retention, which keep dead letters and revisions for
    ever. Dead letters go as by histq dlq drop; revisions that wait, and runs that run, stay.
    """
    from contextlib import nullcontext

    from histq.cli import collect
    from histq.pipeline.archive import Archive
    from histq.pipeline.prune import prune as run
    from histq.stop import Stop

    session = usual.session("db prune")
    chosen = _chosen(kinds or [])
    before = _before(session, chosen, older_than)
    stop = Stop().on_signals()
    with session.open() as backends:
        files = [database.path for database in backends.databases()]
        wanted = archive if archive is not None and not dry_run else None
        with Archive.open(wanted, files) if wanted else nullcontext() as opened:
            report = run(backends, before, opened, session.runs, stop, dry_run=dry_run)
    # Of the others nothing is known here: they were not asked for.
    report.kept_for_ever = [kind for kind in report.kept_for_ever if kind in chosen]
    exit_code = stop.exit_code if stop else 0
    collect.finish(session, exit_code, report, _pruned(report))


def _chosen(kinds: list[str]) -> "list[Kind]":
    """The kinds of these names, or all. Raises Usage."""
    from histq.pipeline.prune import Kind

    known = {kind.value for kind in Kind}
    if unknown := [kind for kind in kinds if kind not in known]:
        raise Usage(f"no kind {unknown[0]!r}; known: {KINDS}")
    return [Kind(kind) for kind in kinds] or list(Kind)


def _before(session: "Session", chosen: "list[Kind]", older_than: str | None) -> "dict[Kind, int]":
    """The instants before which each kind goes. Raises Usage."""
    from histq.dates import instant
    from histq.host import wall_clock
    from histq.pipeline.prune import cutoffs

    now = wall_clock()
    if older_than is None:
        found = cutoffs(session.settings.retention, now)
        return {kind: found[kind] for kind in chosen if kind in found}
    at = instant(older_than, now, "--older-than")
    if at > now:
        raise Usage(f"--older-than {older_than} is in the future")
    return dict.fromkeys(chosen, at)


def _stopped(session: "Session", stopped: Stopped, exit_code: int) -> typer.Exit:
    session.err.print(str(stopped), soft_wrap=True)
    return typer.Exit(exit_code)


def _checked(report: "AuditReport") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    lines = [Text(str(finding), style="yellow") for finding in report.findings]
    looked = f"{report.points:,} candles of {report.series:,} series"
    held = f"{report.messages:,} messages and {report.dead_letters:,} dead letters"
    if not report.complete:
        lines.append(Text("the file is damaged, so what is in it was not looked at", style="red"))
    elif lines:
        lines.append(Text(f"{len(lines)} findings in {looked}, {held}"))
    else:
        lines.append(Text(f"all is well: {looked}, {held}", style="green"))
    return Group(*lines)


def _backed_up(report: "BackupReport") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from histq.cli.render import size

    lines = [Text(f"wrote {one.file}, {size(one.bytes)}, checked") for one in report.copies]
    lines += [Text(f"removed {path}", style="dim") for path in report.removed]
    return Group(*lines)


def _pruned(report: "PruneReport") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from histq.cli.render import size
    from histq.model import iso

    done = "would delete" if report.dry_run else "deleted"
    lines = [
        Text(f"{done} {one.rows:,} {one.kind} from before {iso(one.before // 1000 * 1000)}")
        for one in report.pruned
    ]
    if report.kept_for_ever:
        lines.append(Text(f"kept for ever: {', '.join(report.kept_for_ever)}", style="dim"))
    if report.archive and any(one.rows for one in report.pruned):
        lines.append(Text(f"what was deleted is in {report.archive}"))
    free = size(report.reusable_bytes)
    lines.append(Text(f"{free} of the file hold nothing and are filled again", style="dim"))
    return Group(*lines)
