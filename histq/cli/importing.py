"""import: prices that a user has already, into the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, spread

if TYPE_CHECKING:
    from rich.console import RenderableType

    from histq.pipeline.imports import ImportReport, SeriesImport

PANEL = "Data in and out"
SHOWN = 5
"""Differences of a series; `--json` lists more, `revisions` has all."""

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="CSV as Binance's archive has it, or a SQLite database."),
]
Symbol = Annotated[
    str | None,
    typer.Option(
        "--symbol",
        metavar="SYMBOL",
        help="Of a CSV whose name does not tell; of a table, only this one.",
        show_default=False,
    ),
]
Interval = Annotated[
    str | None,
    typer.Option(
        "-i",
        "--interval",
        help="Of a CSV whose name does not tell, or a table without that column; else only it.",
        show_default=False,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "-s",
        "--source",
        help="Of a CSV (futures look alike: give them another); of a table, only this one."
        " [default: binance, or as the table says]",
        show_default=False,
    ),
]
Table = Annotated[str, typer.Option("--table", help="Of a SQLite file: the table, or view.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only compare the files with what is stored.")
]


def add_to(app: typer.Typer) -> None:
    app.command("import", rich_help_panel=PANEL, epilog="histq import BTCUSDT-1h-2024-11.csv")(
        import_
    )


@spread
def import_(
    files: Files,
    symbol: Symbol = None,
    interval: Interval = None,
    source: Source = None,
    table: Table = "historical_prices",
    dry_run: DryRun = False,
    *,
    usual: Usual,
) -> None:
    """Store prices from files, and say what both hold and where they differ."""
    from histq.cli import collect
    from histq.cli.progress import Display
    from histq.pipeline.import_files import Asked
    from histq.pipeline.imports import ImportJob, import_files

    session = usual.session("import")
    stop = session.stop_on_signals()
    with Display(session.err, quiet=session.quiet) as display:
        job = ImportJob(
            opener=session.opener,
            files=files,
            asked=Asked(symbol, interval, source, table),
            runs=session.runs,
            stop=stop,
            watcher=display,
            dry_run=dry_run,
        )
        report = import_files(job)
    exit_code = stop.exit_code if stop else report.exit_code
    collect.finish(session, exit_code, report, _shown(report))


def _shown(report: "ImportReport") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from histq.cli.render import count, table

    right = ("rows", "inserted", "equal", "different", "buried", "open", "left")
    made = table("series", "from", "to", *right, right=right)
    for one in report.series:
        made.add_row(*_row(one))
    parts: list[RenderableType] = [made, *(_differences(one) for one in report.series)]
    if any(one.buried for one in report.series) and not report.dry_run:
        parts.append(Text("histq dlq list shows what is buried, and why", style="red"))
    if open_ := sum(one.not_closed for one in report.series):
        parts.append(Text(f"{count(open_)} candles are left out: they have not closed yet"))
    if any(one.left for one in report.series):
        parts.append(Text("stopped; histq consume stores what is left", style="yellow"))
    parts += [Text(f"failed {failure.error}", style="red") for failure in report.failures]
    if report.dry_run:
        parts.append(Text("nothing is changed: this was a dry run", style="dim"))
    return Group(*(part for part in parts if part))


def _row(one: "SeriesImport") -> list[str]:
    from histq.cli.render import count
    from histq.model import iso

    figures = (one.rows, one.inserted, one.equal, one.different, one.buried)
    return [
        f"{one.source}/{one.symbol}/{one.interval}",
        "-" if one.first is None else iso(one.first),
        "-" if one.last is None else iso(one.last),
        *map(count, (*figures, one.not_closed, one.left)),
    ]


def _differences(one: "SeriesImport") -> "RenderableType":
    """The first of them: what is held stays, what the file says is a revision."""
    from rich.text import Text

    from histq.cli.render import count
    from histq.model import iso

    lines = []
    for difference in one.differences[:SHOWN]:
        values = ", ".join(
            f"{name} {held} held, {told} in the file"
            for name, (held, told) in difference.values.items()
        )
        lines.append(f"{one.symbol} {one.interval} {iso(difference.timestamp)}: {values}")
    if one.different > SHOWN:
        tail = f"{count(one.different)} candles differ; what is held stays"
        lines.append(f"{one.symbol} {one.interval}: {tail}")
    return Text("\n".join(lines))
