"""`db check`: whether files, queue, store and ledger agree at one moment, while others write on."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from histq.findings import Finding
from histq.health import damage
from histq.model import Series, State, Window, iso
from histq.pipeline.backends import Backends, Opener
from histq.plan import joined
from histq.stop import Stop

FOUND_SOMETHING: Final = 3

Tell = Callable[[str, int, int | None], None]
"""Gets what is being done, how much of it is done, and of how much, where that is known."""


class AuditReport(msgspec.Struct):
    """`complete` is False where a damaged file was not looked at any further."""

    files: list[str]
    quick: bool
    complete: bool
    series: int
    points: int
    messages: int
    dead_letters: int
    findings: list[Finding]
    elapsed_ms: int = 0

    @property
    def exit_code(self) -> int:
        return FOUND_SOMETHING if self.findings else 0


def audit(opener: Opener, stop: Stop, tell: Tell, *, quick: bool) -> AuditReport:
    """What does not add up. Raises DatabaseMissing, Config for a file that cannot be read,
    Stopped, and what opening raises.
    """
    began = time.monotonic()
    with opener.open(create=False) as backends, backends.snapshot():
        report = _report(backends, quick)
        for database in backends.databases():
            tell(f"reading {database.path.name}", 0, None)
            report.findings += [
                Finding(str(database.path), line, "restore a backup: histq db backup --help")
                for line in damage(database, quick=quick)
            ]
            _heed(stop)
        report.complete = not report.findings
        if report.complete:
            report.findings += _contents(backends, report, stop, tell)
    report.elapsed_ms = round((time.monotonic() - began) * 1000)
    return report


def _report(backends: Backends, quick: bool) -> AuditReport:
    depth = backends.queue.depth()
    return AuditReport(
        files=[str(database.path) for database in backends.databases()],
        quick=quick,
        complete=True,
        series=len(backends.store.series()),
        points=0,
        messages=depth.messages,
        dead_letters=depth.dead,
        findings=[],
    )


def _contents(backends: Backends, report: AuditReport, stop: Stop, tell: Tell) -> Iterator[Finding]:
    def looked_at(points: int, all_: int) -> None:
        report.points = points
        tell("reading candles", points, all_)
        _heed(stop)

    yield from backends.store.audit(looked_at)
    tell("reading the queue", 0, None)
    yield from backends.queue.audit()
    if backends.queue.database and backends.store.database:
        # Elsewhere there is no one moment of both, and what is on its way would look lost.
        yield from _promises(backends)


def _promises(backends: Backends) -> Iterator[Finding]:
    """Stretches that the ledger leaves to the queue, and that the queue does not have."""
    waiting: dict[Series, list[Window]] = {}
    buried: dict[Series, list[Window]] = {}
    for series, window, in_letter in backends.queue.held():
        (buried if in_letter else waiting).setdefault(series, []).append(window)
    for series in backends.store.series():
        spans = backends.store.spans(series)
        letters = buried.get(series, [])
        queued = [Window(s.start, s.end) for s in spans if s.state is State.QUEUED]
        if lost := _uncovered(queued, [*waiting.get(series, []), *letters]):
            source, symbol, interval = series
            advice = (
                f"histq fetch {symbol} -s {source} -i {interval} --refetch"
                f" --from {iso(lost[0].start)} --to {iso(lost[-1].end)} asks again"
            )
            what = f"{_stretches(lost)} queued, and no message holds it"
            yield Finding(str(series), what, advice)
        dead = [Window(s.start, s.end) for s in spans if s.state is State.DEAD]
        if lost := _uncovered(dead, letters):
            what = f"{_stretches(lost)} dead, and no dead letter holds it"
            yield Finding(str(series), what, f"histq repair {series.symbol} asks again")


def _uncovered(windows: Sequence[Window], cover: Iterable[Window]) -> list[Window]:
    """What of the windows, which are in order and apart, no part of the cover holds."""
    left: list[Window] = []
    parts = deque(joined(cover))
    for start, end in windows:
        while parts and parts[0].end <= start:
            parts.popleft()
        for part in parts:
            if end <= part.start:
                break
            if start < part.start:
                left.append(Window(start, part.start))
            start = max(start, part.end)
        if start < end:
            left.append(Window(start, end))
    return left


def _stretches(lost: Sequence[Window]) -> str:
    """The first in full: 2024-01-01..2024-02-01 and 3 other stretches are."""
    more = f" and {len(lost) - 1} other stretches are" if len(lost) > 1 else " is"
    return f"{lost[0]}{more}"


def _heed(stop: Stop) -> None:
    if stop:
        raise stop.stopped("stopped while checking; nothing was changed")
