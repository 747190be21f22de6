"""What every command begins with, settings, consoles, logging, and what it ends with."""

import gc
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from histq import config, logs
from histq.alerts import sentry
from histq.cli import options
from histq.errors import Stopped
from histq.host import owner_id
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.runs import RunLog
from histq.settings import Settings
from histq.stop import Stop

logger = logging.getLogger(__name__)

SCHEMA = 1
SHOWN_ON = (0, 3, 4, 6, 130, 143)
"""Exit codes with which `--json` still prints its document."""


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
        stays: bool = False,
        dated: bool = False,
    ) -> None:
        """`stays` is for a command that says what it does while it runs, `dated` for lines of text
        that begin with the time.
        """
        self.command = command
        self.json = json
        self.quiet = quiet
        self._verbose, self._stays, self._dated = verbose, stays, dated
        tree = dict(flags or {})
        if db is not None:
            tree["database"] = {"path": str(db)}
        if log_format := options.log_format(sys.argv[1:]):
            tree["logs"] = {"format": log_format}
        self._tree, self._file = tree, file
        self.loaded = config.load(tree, file=file, plain=plain, read_files=read_files)
        self.settings = self.loaded.settings
        self.opener = Opener(self.settings, owner_id())
        self.runs = RunLog(command, self.opener.owner)
        gc.freeze()
        gc.enable()
        sentry.start(self.settings)
        form, level, about = self._logged(self.settings)
        logs.begin(form, level, about, sys.stderr, dated=dated)
        self.out = _console(sys.stdout)
        self.err = _prose() if logs.in_json() else _console(sys.stderr)

    def settings_anew(self) -> Settings:
        """As they are now, below the same command line. Raises Config."""
        return config.load(self._tree, file=self._file).settings

    def take(self, settings: Settings) -> None:
        """Logs by these from now on, and tells Sentry. Raises Config."""
        sentry.start(settings)
        form, level, about = self._logged(settings)
        logs.renew(form, level, about, dated=self._dated)

    def _logged(self, settings: Settings) -> tuple[str, int, logs.About]:
        """The form of the lines, from which level on, and what each says."""
        threshold = settings.logs.threshold
        if self._stays and settings.logs.level == "auto":
            threshold = "info"
        if self._verbose or self.quiet:
            threshold = "debug" if self._verbose else "error"
        level = logging.getLevelNamesMapping()[threshold.upper()]
        environment, owner = settings.environment, self.opener.owner
        about = logs.About(environment, self.command, owner, settings.secrets())
        return settings.logs.format, level, about

    def stop_on_signals(self) -> Stop:
        """Set by the first SIGINT or SIGTERM; from then on nobody waits long for the database."""
        stop = Stop().on_signals()
        self.opener = self.opener._replace(stop=stop)
        return stop

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
            try:
                with self.open() as backends:
                    self.runs.end(backends.store, exit_code, text)
            except Stopped as error:
                # The result stands, and the row looks like that of a run that was killed.
                logger.warning("the end of this run is not on record: %s", error)
        return exit_code


def _console(file: Any) -> Console:
    # Where nobody watches there is no width to keep to, and a wrapped table cannot be read by grep.
    width = None if file.isatty() else 200
    # No markup: what a provider said may look like it.
    return Console(file=file, width=width, highlight=False, markup=False)


def _prose() -> Console:
    """What is printed for people, as lines of the log."""
    file: Any = logs.Prose(logging.getLogger("histq.cli"))
    return Console(
        file=file, width=10_000, force_terminal=False, no_color=True, highlight=False, markup=False
    )
