"""What `stats --watch` shows a person: a screen that fits, or all of it on paper."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from histq.cli.render import age, count, credits_left, size, table
from histq.model import Depth, iso
from histq.pipeline.health import HostHealth
from histq.pipeline.watch import Look, Trouble, WatchedBatch, WatchedSeries

OTHER_LINES: Final = 5
"""Three of the whole, one for what is wrong, and the last one for the keys."""

LEAST_SERIES: Final = 5
LEAST_LINES: Final = 3
"""Lines of a table that is shortened, its head among them, before another gets what is left."""

ROOMY: Final = 40
"""Lines from which on there is a blank one between the tables."""


class Screen:
    """A look at everything, in as many lines as the terminal has. `notice` says what is wrong."""

    def __init__(self, look: Look | None, notice: str, *, every_s: float, alert_depth: int) -> None:
        self._look = look
        self._notice = notice
        self._every_s = every_s
        self._alert_depth = alert_depth

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or options.max_height
        lines: list[RenderableType] = []
        if self._look is not None:
            lines += _head(self._look, self._alert_depth)
        lines.append(Text(_plain(self._notice), style="yellow", no_wrap=True, overflow="ellipsis"))
        if self._look is not None:
            lines += _tables(self._look, height - OTHER_LINES, spaced=height >= ROOMY)
        lines.append(Text(f"every {self._every_s:g} s; q leaves", style="dim"))
        yield Group(*lines)


def on_paper(look: Look, alert_depth: int) -> RenderableType:
    """All of it, for a file or a pipe."""
    return Group(*_head(look, alert_depth), *_tables(look, sys.maxsize, spaced=False), "")


def _head(look: Look, alert_depth: int) -> Iterator[Text]:
    database = f"{look.database.path}  {size(look.database.bytes)}"
    now = iso(look.at // 1000 * 1000)
    yield _line(Text(now, style="bold"), look.environment, database)
    yield _line(_queue(look.queue, alert_depth))
    yield _line(
        f"fetched {_rate(look.fetched_per_s)}/s",
        f"stored {_rate(look.stored_per_s)}/s",
        _share("failed", look.failure_rate),
        Text(f"open gaps {count(look.gaps)}", style="yellow" if look.gaps else ""),
        _due(look),
    )


def _line(*parts: str | Text) -> Text:
    line = Text("  ").join(part if isinstance(part, Text) else Text(part) for part in parts if part)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _queue(depth: Depth, alert_depth: int) -> Text:
    oldest = "" if depth.oldest_age_s is None else f", oldest {age(depth.oldest_age_s)}"
    return Text.assemble(
        "queue ",
        (f"{count(depth.points)} points", "yellow" if depth.points > alert_depth else ""),
        f"{oldest}: {count(depth.ready)} ready, {count(depth.leased)} leased,"
        f" {count(depth.delayed)} delayed, ",
        (f"{count(depth.dead)} dead", "red" if depth.dead else ""),
    )


def _due(look: Look) -> str:
    if look.next_due_at is None:
        return ""
    return f"next retry in {age(max(0, look.next_due_at - look.at) / 1000)}"


def _rate(per_s: float | None) -> str:
    return "-" if per_s is None else count(round(per_s))


def _share(name: str, share: float | None) -> Text:
    if share is None:
        return Text(f"{name} -")
    return Text(f"{name} {share:.1%}", style="red" if share else "")


def _tables(look: Look, lines: int, *, spaced: bool) -> Iterator[RenderableType]:
    """The tables, shortened to so many lines in all; one for which there is no room is left out."""
    tables = [
        _Part(LEAST_SERIES, 1 + max(1, len(look.series)), partial(_series, look.series)),
        _Part(sys.maxsize, _lines(look.hosts), partial(_hosts, look.hosts)),
        _Part(LEAST_LINES, _lines(look.errors), partial(_errors, look.errors)),
        _Part(LEAST_LINES, _lines(look.batches), partial(_batches, look.batches)),
    ]
    given = shares(lines - len(tables) * spaced, [(one.least, one.most) for one in tables])
    for share, one in zip(given, tables, strict=True):
        if share:
            yield one.show(share - 1)
            if spaced:
                yield ""


class _Part(NamedTuple):
    """A table, by the lines that it can use and what shows so many of its rows."""

    least: int
    most: int
    show: Callable[[int], Table]


def _lines(rows: Sequence[object]) -> int:
    return 1 + len(rows) if rows else 0


def shares(lines: int, wishes: Sequence[tuple[int, int]]) -> list[int]:
    """How many of the lines each table gets, by (the least, the most) that it can use.

    First the least for each in turn, then what is left in turn. One line is a head without rows:
    such a table gets none.
    """
    given = []
    for least, most in wishes:
        share = min(least, most, lines)
        given.append(share if share > 1 else 0)
        lines -= given[-1]
    for place, (_, most) in enumerate(wishes):
        if given[place]:
            more = min(most - given[place], lines)
            given[place] += more
            lines -= more
    return given


def _series(series: Sequence[WatchedSeries], rows: int) -> Table:
    right = ("fetched/s", "points", "stored/s", "gaps")
    made = table("series", "reached", *right, right=right)
    made.columns[0].no_wrap = False
    chosen = _chosen(series, rows)
    for one in chosen:
        made.add_row(
            _shrinking(f"{one.source}/{one.symbol}/{one.interval}"),
            "-" if one.reached is None else iso(one.reached // 1000 * 1000),
            _rate(one.fetched_per_s),
            count(one.points),
            _rate(one.stored_per_s),
            Text(count(one.gaps), style="yellow" if one.gaps else ""),
        )
    if left := len(series) - len(chosen):
        made.add_row(Text(f"and {count(left)} more", style="dim"))
    if not series:
        made.add_row(Text("none yet", style="dim"))
    return made


def _chosen(series: Sequence[WatchedSeries], rows: int) -> list[WatchedSeries]:
    """Those that there is room for, beside the line that counts the others: first who moves, then
    who lacks something; in their order.
    """
    if len(series) <= rows:
        return list(series)

    def rank(one: WatchedSeries) -> tuple[float, int]:
        return (one.fetched_per_s or 0) + (one.stored_per_s or 0), one.gaps

    first = sorted(series, key=rank, reverse=True)[: rows - 1]
    return [one for one in series if one in first]


def _hosts(found: Sequence[HostHealth], rows: int) -> Table:
    made = table("source", "budget used", "silent", "credits left", right=("budget used",))
    for one in found[:rows]:
        used = 1 - one.left
        made.add_row(
            one.source,
            Text(f"{used:.0%}", style="yellow" if one.left < 0.1 else ""),
            Text(f"for {age(one.silent_s)}", style="red") if one.silent_s else "-",
            credits_left(one.credits),
        )
    return made


def _batches(found: Sequence[WatchedBatch], rows: int) -> Table:
    right = ("points", "inserted", "duplicates", "dead", "ms", "points/s")
    made = table("last batches", *right, right=right)
    for one in found[:rows]:
        made.add_row(
            one.source,
            count(one.points),
            count(one.inserted),
            count(one.duplicates),
            Text(count(one.dead), style="red" if one.dead else ""),
            f"{one.elapsed_ms:,.1f}",
            count(round(one.points_per_s)),
        )
    return made


def _errors(found: Sequence[Trouble], rows: int) -> Table:
    made = table("last errors", "error")
    made.columns[1].no_wrap = False
    for one in found[:rows]:
        told = one.error if one.series in one.error else f"{one.series}: {one.error}"
        made.add_row(iso(one.at // 1000 * 1000), _shrinking(_plain(told), "red"))
    return made


def _shrinking(text: str, style: str = "") -> Text:
    """For the column that gives way where a row is too long: Rich shortens those that may wrap."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _plain(text: str) -> str:
    """On one line and without what a terminal would obey: it may be what a provider said."""
    return "".join(char if char.isprintable() else " " for char in text)
