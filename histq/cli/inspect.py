"""stats."""

from typing import TYPE_CHECKING

import typer

from histq.cli.options import ConfigFile, Db, Json, Quiet, Verbose

if TYPE_CHECKING:
    from rich.console import RenderableType

    from histq.cli.session import Session

PANEL = "Inspect"
LAST_RUNS = 5


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL, epilog="histq stats --json")(stats)


def stats(
    db: Db = None,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show queue, coverage of each series, throughput, failures and size."""
    from histq.cli.session import Session
    from histq.pipeline.stats import collect

    session = Session("stats", db=db, file=config, json=json, quiet=quiet, verbose=verbose)
    if json:
        with session.open() as backends:
            session.document(collect(backends, LAST_RUNS))
    else:
        session.out.print(shown(session))


def shown(session: "Session") -> "RenderableType":
    """The statistics as a person reads them."""
    from rich.console import Group
    from rich.text import Text

    from histq.cli import render
    from histq.pipeline.stats import collect

    with session.open() as backends:
        found = collect(backends, LAST_RUNS)
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
    file = f"{found.database.path}  {render.size(found.database.bytes)}"
    parts.append(Text.assemble(("Database", "bold"), "\n", file))
    spaced = [piece for part in parts for piece in (part, "")]
    return Group(*spaced[:-1])
