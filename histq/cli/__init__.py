"""The commands: parse, open, call, render. Nothing heavy is imported before a command runs."""

import sys
from typing import Annotated

import typer

from histq import __version__
from histq.cli import (
    alerts,
    chart,
    collect,
    compare,
    daemon,
    db,
    demo,
    doctor,
    exchange,
    importing,
    inspect,
    prepare,
    repair,
    revisions,
)
from histq.errors import HistqError

app = typer.Typer(
    name="histq",
    help=(
        "Historical crypto prices through a durable queue into a table, with no hole nobody knows"
        " of.\n\nExit codes: 0 done and complete · 1 unexpected error, full disk · 2 usage, unknown"
        " symbol or interval · 3 ran but incomplete · 4 nothing to do (--fail-if-empty) ·"
        " 5 configuration or credentials · 6 the source refuses us · 10 database missing ·"
        " 11 locked for too long · 12 schema newer than the program · 130/143 stopped by a signal"
    ),
    epilog="Start with: histq demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
collect.add_to(app)
daemon.add_to(app)
inspect.add_to(app)
compare.add_to(app)
chart.add_to(app)
revisions.add_to(app)
alerts.add_to(app)
repair.add_to(app)
exchange.add_to(app)
importing.add_to(app)
prepare.add_to(app)
db.add_to(app)
doctor.add_to(app)
demo.add_to(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"histq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None: ...


def main() -> None:
    """The program `histq`. Every error that is ours is one line on stderr and its exit code."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.exceptions.TyperException as error:
        if error.format_message():  # empty where the help has been shown instead
            _fail(f"{error.format_message()}; histq --help shows what there is", error.exit_code)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(130)
    except HistqError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output, `head` for one, has had enough. Python would complain at exit.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # the top of the program: a person reads one line, not a traceback
        from histq.alerts import sentry

        sentry.report(error)
        _fail(f"unexpected {type(error).__name__}: {error}; -v shows where", 1)


def _fail(line: str, exit_code: int) -> None:
    if {"-v", "--verbose"} & set(sys.argv):
        import traceback

        traceback.print_exc()
    typer.echo(f"histq: {line}", err=True)
    sys.exit(exit_code)
