"""Options that mean the same in every command."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

Symbols = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SYMBOL",
        help="BTCUSDT, BTC/USDT or BTC. Without any: all tokens.",
        show_default=False,
    ),
]
Sources = Annotated[
    list[str] | None,
    typer.Option("-s", "--source", help="Only this source; may be repeated.", show_default=False),
]
Intervals = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--interval",
        help="1m, 1h, 1d, ... (1m is a minute, 1M a month); may be repeated.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="DATE",
        help="2024-01-01, 2024-01-01T12:00Z, 30d (ago), listing or now; UTC.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", help="Exclusive; as --from.", show_default=False),
]
Refetch = Annotated[bool, typer.Option("--refetch", help="Ask again for what is known.")]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency", min=1, max=64, help="Workers, each with its own connection; 5 unless set."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be asked for and its cost; ask nobody."),
]
NoArchive = Annotated[
    bool, typer.Option("--no-archive", help="Ask the sources themselves for all of it.")
]
FailIfEmpty = Annotated[
    bool, typer.Option("--fail-if-empty", help="Exit 4 when there was nothing to do.")
]
Db = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", help="The database; histq.db unless set."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("-c", "--config", metavar="FILE", help="Instead of ./histq.toml."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, only results and errors.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Log what happens; tracebacks.")]

LOG_FORMAT: Final = "--log-format"
LogFormat = Annotated[
    Literal["text", "json"] | None,
    typer.Option(
        LOG_FORMAT,
        help="Lines on stderr for people, or one JSON object each; before or after the command.",
        show_default=False,
    ),
]


def hoisted(arguments: Sequence[str]) -> list[str]:
    """The arguments with --log-format before the command, wherever it was given.

    So one option of the program works in every command, in both places.
    """
    found, rest = _split(arguments)
    return [*found, *rest]


def without_log_format(arguments: Sequence[str]) -> list[str]:
    """The arguments but for --log-format and its value."""
    return _split(arguments)[1]


def log_format(arguments: Sequence[str]) -> str | None:
    """The form of log lines that the command line asks for."""
    found, _ = _split(arguments)
    return found[-1].rpartition("=")[2] if found else None


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """--log-format with its value, and everything else."""
    found: list[str] = []
    rest = list(arguments)
    until = rest.index("--") if "--" in rest else len(rest)
    for place in reversed(range(until)):
        if rest[place] == LOG_FORMAT or rest[place].startswith(f"{LOG_FORMAT}="):
            size = 1 if "=" in rest[place] else 2
            told = rest[place : place + size]
            # What has no value must not take the name of the command for one.
            found = [*(told if len(told) == size else [f"{LOG_FORMAT}="]), *found]
            del rest[place : place + size]
    return found, rest
