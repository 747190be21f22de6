"""The commands: parse, open, call, render. Nothing heavy is imported before a command runs."""

import contextlib
import errno
import logging
import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
import typer.main

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
    options,
    prepare,
    repair,
    revisions,
)
from histq.errors import HistqError

logger = logging.getLogger(__name__)

UNREAD: Final = 141
"""What shells say of a program that SIGPIPE ended: nobody reads its output any more."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(
    name="histq",
    help=(
        "Historical crypto prices through a durable queue into a table, with no hole nobody knows"
        " of.\n\nExit codes: 0 done and complete; 1 unexpected error, full disk; 2 usage, unknown"
        " symbol or interval; 3 ran but incomplete; 4 nothing to do (--fail-if-empty);"
        " 5 configuration or credentials; 6 the source refuses us; 10 database missing;"
        " 11 locked for too long; 12 schema newer than the program; 130/143 stopped by a signal;"
        " 141 nobody reads the output"
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
    log_format: options.LogFormat = None,
) -> None: ...


def main() -> None:
    """The program `histq`. Every error that is ours is one line on stderr and its exit code."""
    began = time.monotonic()
    _prepare_streams()
    try:
        exit_code = app(args=options.hoisted(sys.argv[1:]), standalone_mode=False) or 0
        sys.stdout.flush()
        elapsed_ms = (time.monotonic() - began) * 1000
        logger.info("ended exit_code=%d ms=%.0f", exit_code, elapsed_ms)
        sys.exit(exit_code)
    except typer.exceptions.TyperException as error:
        # Empty where the help has been shown instead; the words in between are pydantic's.
        if said := error.format_message().replace("Value error, ", "").rstrip("."):
            _fail(f"{said}; histq --help shows what there is", error.exit_code)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(130)
    except HistqError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        _leave_unread()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # Typer has caught it, and ends with 1
            _leave_unread()
        raise
    except Exception as error:  # the top of the program: a person reads one line, not a traceback
        if isinstance(error, OSError) and error.errno in NO_ROOM and error.filename is None:
            _throw_away_output()
            _fail(f"writing the output: {error.strerror}; free some room and run it again", 1)
        from histq.alerts import sentry

        sentry.report(error)
        _fail(f"unexpected {type(error).__name__}: {error}; -v shows where", 1, traced=True)


def _prepare_streams() -> None:
    """Lets stdout and stderr take any letter, and anything at all where they are closed."""
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115, as long as the process
        else:
            # Where the encoding has no such letter its number stands in: a symbol may be of any
            # script.
            stream.reconfigure(errors="backslashreplace")


def _fail(line: str, exit_code: int, *, traced: bool = False) -> NoReturn:
    """Tells an error as the log is told, and ends. Machines get the traceback where `traced`."""
    from histq import logs

    verbose = any(re.fullmatch("--verbose|-q*v[qv]*", word) for word in sys.argv)
    with contextlib.suppress(BrokenPipeError):
        if _in_json():
            extra = {"exit_code": exit_code}
            logger.error("%s", line, extra=extra, exc_info=verbose or traced)
        else:
            if verbose:
                import traceback

                typer.echo(logs.safe(traceback.format_exc()), err=True, nl=False)
            typer.echo(logs.safe(f"histq: {line}"), err=True)
    sys.exit(exit_code)


def _in_json() -> bool:
    """Whether stderr is to hold nothing but JSON; begins it where no settings were read yet."""
    from histq import logs

    if logs.in_json():
        return True
    from histq.config import ENVIRONMENT_VARIABLES, FORMAT_VARIABLES, told

    if (options.log_format(sys.argv[1:]) or told(FORMAT_VARIABLES)) != "json":
        return False
    from histq.host import owner_id

    about = logs.About(told(ENVIRONMENT_VARIABLES), _command(), owner_id())
    logs.begin("json", logging.INFO, about, sys.stderr)
    return True


def _command() -> str | None:
    """The command that was asked for; None where there is none of that name."""
    found: Any = typer.main.get_command(app)
    names = []
    for word in options.without_log_format(sys.argv[1:]):
        found = getattr(found, "commands", {}).get(word)
        if found is None:
            break
        names.append(word)
    return " ".join(names) or None


def _leave_unread() -> NoReturn:
    """Ends quietly: whoever read our output, `head` for one, has had enough."""
    _throw_away_output()
    sys.exit(UNREAD)


def _throw_away_output() -> None:
    """What is still buffered goes nowhere; Python would complain of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
