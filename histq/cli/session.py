"""What every command begins with, settings, consoles, logging, and what it ends with."""

import contextlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from histq import config
from histq.alerts import sentry
from histq.errors import Locked
from histq.host import owner_id
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.runs import RunLog

SCHEMA = 1
SHOWN_ON = (0, 3, 4, 6, 130, 143)
"""Exit codes with which `--json` still prints its document."""

STOPPED = (130, 143)
STOPPED_LOCK_TIMEOUT_S = 1.0


class Session:
    """One command's surroundings. Results go to `out`, everything else to `err`."""

    def __init__(
        self,
        command: str,
        *,
        db: Path | None = None,
        file: Path | None = None,
        json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        flags: Mapping[str, Any] | None = None,
        plain: bool = False,
        read_files: bool = True,
    ) -> None:
        self.command = command
        self.json = json
        self.quiet = quiet
        self.out = _console(sys.stdout)
        self.err = _console(sys.stderr)
        _log(quiet, verbose)
        tree = dict(flags or {})
        if db is not None:
            tree["database"] = {"path": str(db)}
        self.loaded = config.load(tree, file=file, plain=plain, read_files=read_files)
        self.settings = self.loaded.settings
        self.opener = Opener(self.settings, owner_id())
        self.runs = RunLog(command, self.opener.owner)
        sentry.start(self.settings)

    def open(self, *, create: bool = False) -> Backends:
        return self.opener.open(create=create)

    def document(self, content: object) -> None:
        """Prints one JSON document: the fields of `content` after the version of the schema."""
        shown = {"schema": SCHEMA, **msgspec.to_builtins(content)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n")

    def end(self, exit_code: int, summary: object) -> int:
        """Closes the run's row in the audit trail, where the command changed anything."""
        if self.opener.path.is_file() and self.runs.begun:
            text = msgspec.json.encode(msgspec.to_builtins(summary)).decode()
            if exit_code not in STOPPED:
                self._close_run(self.opener, exit_code, text)
            else:
                # Who is told to stop waits for no lock; the row then reads like that of one killed.
                with contextlib.suppress(Locked):
                    brief = self.opener._replace(lock_timeout_s=STOPPED_LOCK_TIMEOUT_S)
                    self._close_run(brief, exit_code, text)
        return exit_code

    def _close_run(self, opener: Opener, exit_code: int, summary: str) -> None:
        with opener.open(create=False) as backends:
            self.runs.end(backends.store, exit_code, summary)


def _console(file: Any) -> Console:
    # Where the encoding has no such letter its number stands in; a symbol may be of any script.
    file.reconfigure(errors="backslashreplace")
    # Where nobody watches there is no width to keep to, and a wrapped table cannot be read by grep.
    width = None if file.isatty() else 200
    # No markup: what a provider said may look like it.
    return Console(file=file, width=width, highlight=False, markup=False)


def _log(quiet: bool, verbose: bool) -> None:
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    # httpx tells whole URLs at INFO; it stays at WARNING whatever the user asks for.
    logging.getLogger("histq").setLevel(level)
