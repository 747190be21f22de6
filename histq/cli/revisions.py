"""revisions: what providers changed after the fact, and taking it over."""

from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, Which, spread
from histq.cli.options import Intervals, Sources
from histq.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from histq.pipeline.revisions import ApplyReport
    from histq.stores import Revision

PANEL = "Inspect"
INCOMPLETE = 3
MOST_LEFT_OUT = 10

What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID|SYMBOL]...",
        help="Ids from histq revisions list, or symbols.",
        show_default=False,
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every revision that waits.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be applied; change none.")]

revisions = typer.Typer(no_args_is_help=True, help="Values that providers changed after the fact.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(revisions, name="revisions", rich_help_panel=PANEL)


@revisions.command("list", epilog="histq revisions list BTCUSDT -s binance")
@spread
def list_(which: Which, limit: Limit = 50, *, usual: Usual) -> None:
    """The newest revisions: what was said before and after, when, and whether it is applied."""
    session = usual.session("revisions list")
    with session.open() as backends:
        chosen = which.series(session, backends)
        found = backends.store.revisions(chosen, limit + 1)
    more = len(found) > limit
    if session.json:
        session.document({"more": more, "revisions": found[:limit]})
        return
    session.out.print(_table(found[:limit]) if found else "No revisions.")
    if more:
        session.out.print(f"the newest {limit:,}; --limit shows more", style="dim")


@revisions.command(epilog="histq revisions apply --all --dry-run")
@spread
def apply(
    what: What = None,
    source: Sources = None,
    interval: Intervals = None,
    all_: All = False,
    dry_run: DryRun = False,
    *,
    usual: Usual,
) -> None:
    """Put the newer values in the table; the old ones stay on record. Exit 3 when one is left out.

    A revision is applied together with the earlier ones of its candle that it builds on.
    """
    from histq.cli import collect
    from histq.pipeline import revisions as pipeline

    ids, symbols = _sorted(what or [])
    which = Which(symbols, source, interval)
    if sum(map(bool, (ids, any(which), all_))) != 1:
        raise Usage("name revisions by their ids, or by symbol, -s and -i, or say --all")
    session = usual.session("revisions apply")
    stop = session.stop_on_signals()
    with session.open() as backends:
        store = backends.store
        if ids:
            batches = pipeline.named(store, ids)
        else:
            batches = pipeline.waiting(store, which.series(session, backends))
        report = pipeline.apply(store, batches, session.runs, stop, dry_run=dry_run)
    exit_code = stop.exit_code if stop else INCOMPLETE if report.left_out else 0
    collect.finish(session, exit_code, report, _applied(report))


def _sorted(what: list[str]) -> tuple[list[int], list[str]]:
    """Ids and symbols: who writes digits alone means an id."""
    ids = [int(word) for word in what if word.isdecimal()]
    if unlikely := [id_ for id_ in ids if id_ >= 2**63]:
        raise Usage(f"no revision {unlikely[0]}; histq revisions list shows them")
    return ids, [word for word in what if not word.isdecimal()]


def _table(found: "Sequence[Revision]") -> "RenderableType":
    from histq.cli.render import table
    from histq.model import iso

    made = table("id", "series", "open time", "change", "seen", "applied", right=("id",))
    for one in found:
        changes = (
            f"{name}: {_value(one.old[name])} -> {_value(one.new[name])}" for name in one.new
        )
        applied = "no" if one.state == "waiting" else "no, a newer one is"
        made.add_row(
            str(one.id),
            f"{one.source}/{one.symbol}/{one.interval}",
            iso(one.timestamp),
            ", ".join(changes),
            iso(one.seen_at // 1000 * 1000),
            applied if one.applied_at is None else iso(one.applied_at // 1000 * 1000),
        )
    return made


def _value(number: float | None) -> str:
    return "nothing" if number is None else str(number)


def _applied(report: "ApplyReport") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    done = "would apply" if report.dry_run else "applied"
    lines = [Text(f"{done} {len(report.applied):,} revisions")]
    if report.already_applied:
        lines.append(Text(f"{len(report.already_applied):,} were applied before", style="dim"))
    for one in report.left_out[:MOST_LEFT_OUT]:
        lines.append(Text(f"left out {one.id}: {one.why}", style="yellow"))
    if (rest := len(report.left_out) - MOST_LEFT_OUT) > 0:
        lines.append(Text(f"left out ... and {rest:,} more; --json lists them all", style="yellow"))
    return Group(*lines)
