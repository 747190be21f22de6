"""Progress on stderr: bars where a person watches, a line now and then elsewhere, or nothing."""

import logging
import threading
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from histq.logs import Prose
from histq.model import Series, iso
from histq.pipeline.reports import ConsumeReport

logger = logging.getLogger(__name__)

LINE_EVERY_S: Final = 10.0


class Display:
    """Told by the pipeline's threads; shows candles of the plan and the date reached, by source.

    Serves fetch and consume alike, so that `sync` shows both. Where the console is the log, it is
    told what went wrong and what is waited for; of progress the pipeline has its own lines.
    """

    def __init__(self, console: Console, *, quiet: bool, now: float | None = None) -> None:
        self._console = console
        self._quiet = quiet
        self._lock = threading.Lock()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=False,
        )
        self._logged = isinstance(console.file, Prose)
        self._live = console.is_terminal and not quiet
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, list[int]] = {}
        self._said_at = time.monotonic() if now is None else now
        self._last_note = ""

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._bars.stop()

    def planned(self, series: Series, slots: int) -> None:
        if slots:
            note = f"{series.symbol} {series.interval}"
            self._move(series.source, total=slots, done=0, note=note)

    def answered(self, series: Series, slots: int, reached: int) -> None:
        note = f"{series.symbol} {series.interval} to {iso(reached)}"
        self._move(series.source, total=0, done=slots, note=note)

    def waiting_points(self, points: int) -> None:
        self._move("stored", total=points, done=0, note="points")

    def stored(self, report: ConsumeReport) -> None:
        self._move("stored", total=0, done=report.points, note="points")

    def retrying(self, source: str, why: str, wait_s: float) -> None:
        if self._logged:
            logger.warning("retrying source=%s wait_s=%.1f error=%s", source, wait_s, why)
        else:
            self._say(f"{source}: retrying in {wait_s:.1f} s: {why}")

    def failed(self, source: str, why: str) -> None:
        if self._logged:
            logger.error("failed source=%s error=%s", source, why)
            return
        line = why if why.startswith(source) else f"{source}: {why}"
        self._console.print(f"histq: {line}", style="red", soft_wrap=True)

    def waiting(self, why: str) -> None:
        self._say(why)

    def idle(self, why: str) -> None:
        self._say(why)

    def _say(self, line: str) -> None:
        with self._lock:
            if line == self._last_note or self._quiet:
                return
            self._last_note = line
        self._console.print(line, style="yellow", soft_wrap=True)

    def _move(self, name: str, *, total: int, done: int, note: str) -> None:
        if self._logged:
            return
        with self._lock:
            totals = self._totals.setdefault(name, [0, 0])
            totals[0] += done
            totals[1] += total
            if self._live:
                if name not in self._tasks:
                    self._tasks[name] = self._bars.add_task(name, total=None, note="")
                known = totals[1] or None
                self._bars.update(self._tasks[name], total=known, completed=totals[0], note=note)
                return
            if self._quiet or time.monotonic() - self._said_at < LINE_EVERY_S:
                return
            self._said_at = time.monotonic()
        planned = f" of {totals[1]:,}" if totals[1] else ""
        self._console.print(f"{name}: {totals[0]:,}{planned} {note}", soft_wrap=True)
