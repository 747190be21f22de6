"""Progress of one long piece of work, on stderr."""

import threading
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from histq.stop import Stop

LINE_EVERY_S: Final = 10.0
SHOWN_AFTER_S: Final = 1.0
"""What is over sooner needs no bar."""


class Working:
    """A bar where a person watches and it takes a while, a line now and then elsewhere, nothing
    when quiet. With a `stop`, `tell` raises Stopped once it has come.
    """

    def __init__(self, console: Console, *, quiet: bool, stop: Stop | None = None) -> None:
        self._console = console
        self._stop = stop
        self._quiet = quiet
        self._live = console.is_terminal and not quiet
        self._lock = threading.Lock()
        self._said_at = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, note="")
        self._begins = threading.Timer(SHOWN_AFTER_S, self._bar.start)

    def __enter__(self) -> Self:
        if self._live:
            self._begins.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._begins.cancel()
            self._begins.join()
            self._bar.stop()

    def tell(self, what: str, done: int, all_: int | None) -> None:
        """Called by whichever thread does the work."""
        if self._stop:
            raise self._stop.stopped(f"stopped while {what}")
        share = f"{min(100, 100 * done // all_)} %" if all_ else ""
        if self._live:
            self._bar.update(self._task, description=what, completed=done, total=all_, note=share)
            return
        with self._lock:
            if self._quiet or time.monotonic() - self._said_at < LINE_EVERY_S:
                return
            self._said_at = time.monotonic()
        self._console.print(f"{what} {share}".rstrip(), soft_wrap=True)
