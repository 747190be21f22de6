"""export: prices out of the database, into files that other programs read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from histq.cli.groups import Which, spread
from histq.cli.options import ConfigFile, Db, Quiet, Since, Until, Verbose
from histq.errors import Usage

if TYPE_CHECKING:
    from histq.cli.session import Session
    from histq.pipeline.backends import Backends
    from histq.pipeline.export import Export, Shape

PANEL = "Data in and out"

Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Instead of stdout.", show_default=False),
]
Formats = Annotated[
    Literal["csv", "jsonl", "parquet"] | None,
    typer.Option("--format", help="Else as the file's ending says, or csv.", show_default=False),
]
Fills = Annotated[
    Literal["none", "ffill", "null"],
    typer.Option(
        "--fill",
        help="Rows for missing slots, told by a column `filled`: the last close, or nulls."
        " Comes after --resample.",
    ),
]
Resample = Annotated[
    str | None,
    typer.Option(
        "--resample",
        metavar="INTERVAL",
        help="Merge into coarser candles; incomplete ones are left out.",
        show_default=False,
    ),
]
Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="With --resample: the incomplete ones too.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]


def add_to(app: typer.Typer) -> None:
    app.command(
        rich_help_panel=PANEL, epilog="histq export BTCUSDT -i 1h --resample 1d -o btc.csv"
    )(export)


@spread
def export(
    which: Which,
    since: Since = None,
    until: Until = None,
    output: Output = None,
    format_: Formats = None,
    fill: Fills = "none",
    resample: Resample = None,
    incomplete: Incomplete = False,
    force: Force = False,
    db: Db = None,
    config: ConfigFile = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write stored prices as CSV, JSON lines or Parquet. A file is written whole or not at all."""
    from histq.cli.session import Session
    from histq.pipeline.export import Export

    if incomplete and resample is None:
        raise Usage("--incomplete goes with --resample; name an interval, or leave it out")
    file = None if output == Path("-") else output
    shape = _shape(since, until, file, format_, fill, resample, incomplete)
    if file is None and shape.format == "parquet" and sys.stdout.isatty():
        raise Usage("Parquet is nothing for a terminal; name a file with -o")
    session = Session("export", db=db, file=config, quiet=quiet, verbose=verbose)
    with session.open() as backends:
        job = Export(backends.store, which.series(session, backends), shape)
        if file is None:
            _to_stdout(job)
        else:
            _to_file(job, file, session, backends, force)
    _say(session, job, file)


def _shape(
    since: str | None,
    until: str | None,
    file: Path | None,
    format_: str | None,
    fill: str,
    resample: str | None,
    incomplete: bool,
) -> "Shape":
    from histq.dates import span
    from histq.export import Fill, Format
    from histq.host import wall_clock
    from histq.model import Interval, Window
    from histq.page import MOST
    from histq.pipeline.export import Shape

    start, end = span(since, until, wall_clock())
    return Shape(
        Window(start or 0, MOST if end is None else end),
        Format(format_) if format_ else Format.of(file.name if file else ""),
        Fill(fill),
        None if resample is None else Interval.parse(resample),
        incomplete,
    )


def _to_stdout(job: "Export") -> None:
    from histq.pipeline.export import translated
    from histq.stop import Stop

    # Signals keep their usual meaning: there is nothing to clean up, and a write to a reader that
    # does not read would never see a stop.
    with translated("stdout"):
        job.write(sys.stdout.buffer, Stop())


def _to_file(
    job: "Export", file: Path, session: "Session", backends: "Backends", force: bool
) -> None:
    from histq.cli.working import Working
    from histq.errors import Stopped
    from histq.pipeline.export import refuse_replacing, replacing
    from histq.stop import Stop

    databases = (backends.database, backends.queue.database, backends.store.database)
    refuse_replacing(file, force=force, databases=[one.path for one in databases if one])
    stop = Stop().on_signals()
    try:
        with replacing(file) as out, Working(session.err, quiet=session.quiet) as working:
            job.write(out, stop, working.tell)
    except Stopped as stopped:
        session.err.print(f"stopped: {file} is as it was before", soft_wrap=True)
        raise typer.Exit(stop.exit_code) from stopped


def _say(session: "Session", job: "Export", file: Path | None) -> None:
    if session.quiet:
        return
    if file is not None:
        session.err.print(f"wrote {job.rows:,} rows to {file}", soft_wrap=True)
    if job.left_out:
        session.err.print(
            f"left out {job.left_out:,} incomplete candles; --incomplete writes them too",
            soft_wrap=True,
        )
