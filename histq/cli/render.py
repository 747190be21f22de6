"""What a person reads: tables and sentences. Gets values, gives renderables."""

import json
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from histq.budget.credits import Balance
from histq.cli.light_table import LightTable
from histq.model import DeadLetter, Depth, iso
from histq.pipeline.reports import ConsumeReport, FetchReport
from histq.queues import DeadCount
from histq.stores import Run, SeriesStats, Throughput

NOTHING_MISSING = "nothing is missing: all of it is held, or known to be empty"
NOTHING_WANTED = "nothing to ask for: no whole candle has opened and closed in that time"


def table(*columns: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    made = LightTable(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in right else "left",
            header_style="dim",
            no_wrap=True,
            overflow="ellipsis",
        )
    return made


def count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def credits_left(balances: Sequence[Balance]) -> str:
    return ", ".join(f"{count(one.left)} this {one.period}" for one in balances) or "-"


def size(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} GiB"


def age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def fetched(report: FetchReport) -> RenderableType:
    right = ("requests", "points", "ms")
    rows = table("source", "requests", "points", "ms", right=right)
    for source in report.sources:
        rows.add_row(
            source.source,
            count(source.requests),
            count(source.queued_points),
            count(source.elapsed_ms),
        )
    parts: list[RenderableType] = []
    if report.start is not None or report.end is not None:
        start = "where the ledger ends" if report.start is None else iso(report.start)
        end = "now" if report.end is None else iso(report.end)
        parts.append(Text(f"from {start} to {end}, UTC", style="dim"))
    parts.append(rows)
    parts.append(
        Text(
            f"queued {count(report.queued_points)} points in {count(report.queued_messages)}"
            f" messages in {count(report.elapsed_ms)} ms"
        )
    )
    if not report.requests and all(source.succeeded for source in report.sources):
        wanted = any(source.wanted for source in report.sources)
        parts.append(Text(NOTHING_MISSING if wanted else NOTHING_WANTED))
    parts += [Text(f"skipped {skip.why}", style="dim") for skip in report.skipped]
    parts += _failures(report)
    return Group(*parts)


def _failures(report: FetchReport) -> Iterable[Text]:
    told = dict.fromkeys(failure.error for failure in report.failures)
    for error in list(told)[:10]:
        yield Text(f"failed {error}", style="red")
    if len(told) > 10:
        yield Text(f"failed ... and {len(told) - 10} more; --json lists them all", style="red")
    if report.failed_windows:
        yield Text(f"{report.failed_windows} windows failed; histq fetch asks for them again")


def consumed(report: ConsumeReport) -> RenderableType:
    right = ("leased", "unique", "inserted", "duplicates", "revised", "dead", "ms", "points/s")
    rows = table("messages", *right, right=("messages", *right))
    rows.add_row(
        count(report.messages),
        count(report.points),
        count(report.unique),
        count(report.inserted),
        count(report.duplicates),
        count(report.revised),
        Text(count(report.dead), style="red" if report.dead else ""),
        count(report.elapsed_ms),
        count(report.points_per_s),
    )
    parts: list[RenderableType] = [rows]
    if report.dead:
        parts.append(Text("histq dlq list shows what is dead, and why", style="red"))
    if report.retried:
        parts.append(Text(f"{count(report.retried)} points come back later"))
    if report.left:
        parts.append(
            Text(f"left {count(report.left)} messages that are delayed or leased elsewhere")
        )
    return Group(*parts)


def queue(depth: Depth, alert_depth: int) -> RenderableType:
    columns = ("messages", "points", "ready", "leased", "delayed", "dead", "oldest")
    rows = table(*columns, right=columns, title="Queue")
    deep = depth.points > alert_depth
    rows.add_row(
        count(depth.messages),
        Text(count(depth.points), style="yellow" if deep else ""),
        count(depth.ready),
        count(depth.leased),
        count(depth.delayed),
        Text(count(depth.dead), style="red" if depth.dead else ""),
        age(depth.oldest_age_s),
    )
    if not deep:
        return rows
    warning = f"more than {count(alert_depth)} points wait (queue.alert_depth): run histq consume"
    return Group(rows, Text(warning, style="yellow"))


def coverage(series: Sequence[SeriesStats]) -> RenderableType:
    if not series:
        return Text("No series yet: histq fetch gets some.")
    right = ("candles", "missing", "complete", "failed")
    rows = table(
        *(
            "source",
            "symbol",
            "interval",
            "candles",
            "first",
            "last",
            "missing",
            "complete",
            "failed",
        ),
        right=right,
        title="Coverage",
    )
    for one in series:
        rows.add_row(
            one.source,
            one.symbol,
            one.interval,
            count(one.points),
            "-" if one.first is None else iso(one.first),
            "-" if one.last is None else iso(one.last),
            count(one.missing),
            _share(one),
            Text(count(one.failed), style="red" if one.failed else ""),
        )
    return rows


def _share(one: SeriesStats) -> Text:
    if one.missing is None or not one.points:
        return Text("-")
    share = one.points / (one.points + one.missing)
    shown = "100 %" if not one.missing else f"{min(share * 100, 99.99):.2f} %"
    return Text(shown, style="green" if not one.missing else "yellow")


def throughput(rows: Sequence[Throughput]) -> RenderableType:
    right = ("avg points/s", "max points/s", "points a batch", "batches")
    made = table("source", *right, right=right, title="Throughput")
    for row in rows:
        made.add_row(
            row.source,
            count(round(row.avg_points_per_s)),
            count(round(row.max_points_per_s)),
            count(round(row.avg_batch_points)),
            count(row.batches),
        )
    return made


def runs(found: Sequence[Run]) -> RenderableType:
    made = table("command", "started", "took", "exit", right=("took", "exit"), title="Last runs")
    for run in found:
        took = None if run.ended_at is None else (run.ended_at - run.started_at) / 1000
        made.add_row(
            run.command,
            iso(run.started_at // 1000 * 1000),
            "running or killed" if took is None else age(took),
            "-" if run.exit_code is None else str(run.exit_code),
        )
    return made


def letters(found: Sequence[DeadLetter]) -> RenderableType:
    right = ("id", "points", "failures")
    made = table(
        *("id", "kind", "series", "from", "points", "reason", "failures", "failed at", "error"),
        right=right,
    )
    for letter in found:
        made.add_row(
            str(letter.id),
            letter.kind,
            str(letter.series),
            iso(letter.window.start),
            count(letter.points),
            letter.reason,
            str(letter.failures),
            iso(letter.failed_at // 1000 * 1000),
            letter.error,
        )
    return made


def letter(one: DeadLetter) -> dict[str, object]:
    """As JSON shows it."""
    shown = one._asdict()
    source, symbol, interval = shown.pop("series")
    start, end = shown.pop("window")
    shown["raw_data"] = json.loads(one.raw_data)
    return {
        "id": shown.pop("id"),
        "source": source,
        "symbol": symbol,
        "interval": interval,
        "start": start,
        "end": end,
        **shown,
    }


def whole_letter(one: DeadLetter) -> RenderableType:
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    for name, value in letter(one).items():
        if name in ("start", "end", "queued_at", "failed_at"):
            assert isinstance(value, int)
            value = f"{value}  {iso(value)}"
        if name != "raw_data":
            made.add_row(name, Text(str(value)))
    raw = json.dumps(json.loads(one.raw_data), indent=2)
    return Group(made, Text(raw))


def dead(found: Sequence[DeadCount]) -> RenderableType:
    made = table("series", "reason", "letters", "last", "error", right=("letters",))
    made.title = "Dead letters"
    for row in found:
        made.add_row(
            f"{row.source}/{row.symbol}/{row.interval}",
            row.reason,
            count(row.letters),
            iso(row.last_at // 1000 * 1000),
            row.error,
        )
    return made
