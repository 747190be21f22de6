"""stats, coverage, gaps."""

from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, Which, spread
from histq.errors import Usage

if TYPE_CHECKING:
    from rich.console import RenderableType

    from histq.cli.session import Session

PANEL = "Inspect"
LEAST_EVERY_S = 0.1

FOUND_SOMETHING = 3

Watch = Annotated[bool, typer.Option("--watch", help="Show it live, until q or Ctrl-C.")]
Every = Annotated[
    str | None,
    typer.Option("--every", metavar="TIME", help="With --watch: 2s, 500ms, 1m; 2s unless set."),
]


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL, epilog="histq stats --watch")(stats)
    app.command(rich_help_panel=PANEL, epilog="histq coverage BTCUSDT -s binance")(coverage)
    app.command(rich_help_panel=PANEL, epilog="histq gaps --json")(gaps)


@spread
def stats(watch: Watch = False, every: Every = None, *, usual: Usual) -> None:
    """Show queue, coverage of each series, throughput, failures and size.

    With --watch live, with rates: on a terminal until q is pressed, else a snapshot every time.
    """
    from histq.dates import duration_s
    from histq.pipeline.stats import collect

    if every is not None and not watch:
        raise Usage("--every goes with --watch; add it, or leave --every out")
    every_s = duration_s(every or "2s", "--every", LEAST_EVERY_S)
    session = usual.session("stats")
    if watch:
        from histq.cli.watch import watch as run

        raise typer.Exit(run(session, every_s))
    if session.json:
        with session.open() as backends:
            session.document(collect(backends, session.settings.environment))
    else:
        session.out.print(shown(session))


def shown(session: "Session") -> "RenderableType":
    """The statistics as a person reads them."""
    from rich.console import Group
    from rich.text import Text

    from histq.cli import render
    from histq.pipeline.stats import collect

    with session.open() as backends:
        found = collect(backends, session.settings.environment)
    parts = [
        render.queue(found.queue, session.settings.queue.alert_depth),
        render.coverage(found.series),
    ]
    if found.throughput:
        parts.append(render.throughput(found.throughput))
    if found.dead_letters:
        parts.append(render.dead(found.dead_letters))
    if found.runs:
        parts.append(render.runs(found.runs))
    file = f"{found.database.path}  {render.size(found.database.bytes)}  {found.environment}"
    parts.append(Text.assemble(("Database", "bold"), "\n", file))
    spaced = [piece for part in parts for piece in (part, "")]
    return Group(*spaced[:-1])


@spread
def coverage(which: Which, *, usual: Usual) -> None:
    """How complete each series is; of a single one, month by month."""
    from histq.cli import render_ledger
    from histq.gaps import by_month
    from histq.pipeline.ledgers import all_coverage

    session = usual.session("coverage")
    with session.open() as backends:
        found = which.ledgers(session, backends)
    months = by_month(*found[0]) if len(found) == 1 else []
    if session.json:
        session.document({"series": all_coverage(found), "months": months})
        return
    session.out.print(render_ledger.shares(all_coverage(found)))
    if months:
        session.out.print("", render_ledger.months(months))


@spread
def gaps(
    which: Which,
    all_: Annotated[
        bool, typer.Option("--all", help="Also the holes that the provider has confirmed.")
    ] = False,
    *,
    usual: Usual,
) -> None:
    """What is missing, and why. Exit 3 when a hole is not explained."""
    from histq.cli import render_ledger
    from histq.pipeline.ledgers import all_gaps

    session = usual.session("gaps")
    with session.open() as backends:
        found = all_gaps(which.ledgers(session, backends))
    open_ = [gap for gap in found if not gap.explained]
    if session.json:
        session.document({"unexplained": len(open_), "gaps": found})
    else:
        session.out.print(render_ledger.gaps(found if all_ else open_, len(found) - len(open_)))
    raise typer.Exit(FOUND_SOMETHING if open_ else 0)
