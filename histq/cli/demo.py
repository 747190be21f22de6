"""demo: the main job on generated prices."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.options import Quiet, Verbose

if TYPE_CHECKING:
    from histq.cli.session import Session
    from histq.pipeline.reports import ConsumeReport, FetchReport
    from histq.stop import Stop

WORKERS = 5

OwnDb = Annotated[Path, typer.Option("--db", metavar="FILE", help="A database of its own.")]


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel="Set up", epilog="histq demo")(demo)


def demo(db: OwnDb = Path("histq-demo.db"), quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Run the main job on generated prices from a server on loopback. Needs no network, no key."""
    from histq.cli import render
    from histq.cli.inspect import shown
    from histq.cli.session import Session
    from histq.demo import DemoServer
    from histq.stop import Stop

    stop = Stop().on_signals()
    with DemoServer() as server:
        flags = {"sources": {"demo": {"base_url": server.url, "enabled": True}}}
        session = Session("demo", db=db, quiet=quiet, verbose=verbose, flags=flags, plain=True)
        _say(session, f"histq fetch: 30 days of 1m candles from {server.url}")
        fetched = _fetch(session, stop)
        session.out.print(render.fetched(fetched), "")
    _say(session, f"histq consume --concurrency {WORKERS}")
    consumed = _consume(session, stop)
    session.out.print(render.consumed(consumed), "")
    exit_code = stop.exit_code if stop else fetched.exit_code or consumed.exit_code
    session.end(exit_code, consumed)
    _say(session, f"histq stats --db {db}")
    session.out.print(shown(session))
    session.out.print(f"\nhistq gaps --all --db {db} shows the outage that the provider had")
    raise typer.Exit(exit_code)


def _say(session: "Session", line: str) -> None:
    session.out.print(line, style="bold")


def _fetch(session: "Session", stop: "Stop") -> "FetchReport":
    import tempfile

    from histq.cli.collect import Asked, fetch_job
    from histq.cli.progress import Display
    from histq.demo import LEVELS
    from histq.pipeline.fetch import fetch

    asked = Asked(list(LEVELS), ["demo"], ["1m"])
    with (
        tempfile.TemporaryDirectory() as state,
        Display(session.err, quiet=session.quiet) as display,
    ):
        job = fetch_job(session, display, stop, asked, patient=False, state_folder=Path(state))
        return fetch(job)


def _consume(session: "Session", stop: "Stop") -> "ConsumeReport":
    from histq.cli.progress import Display
    from histq.pipeline.consume import ConsumeJob, consume

    with Display(session.err, quiet=session.quiet) as display:
        job = ConsumeJob(session.opener, WORKERS, session.runs, stop=stop, watcher=display)
        return consume(job)
