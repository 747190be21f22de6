"""What a person reads of the ledger: shares, months, holes, plans. Values in, renderables out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from histq.budget.credits import Balance
from histq.cli.render import age, count, size, table
from histq.gaps import Coverage, Gap
from histq.model import iso

if TYPE_CHECKING:
    from histq.pipeline.pricing import DryRun, PlannedSource

MONTH_WIDTH = 31


def shares(found: Sequence[Coverage]) -> RenderableType:
    """A row a series: how much of what is wanted is there."""
    if not found:
        return Text("No series yet: histq fetch gets some.")
    right = ("wanted", "stored", "queued", "accepted", "lacking", "complete")
    made = table("series", "from", "to", *right, right=right)
    for one in found:
        made.add_row(
            f"{one.source}/{one.symbol}/{one.interval}",
            "-" if one.start is None else iso(one.start),
            "-" if one.end is None else iso(one.end),
            count(one.slots),
            count(one.stored),
            count(one.queued),
            count(one.accepted),
            Text(count(one.lacking), style="red" if one.lacking else ""),
            _percent(one),
        )
    return made


def _percent(one: Coverage) -> Text:
    if one.share is None:
        return Text("-")
    shown = "100 %" if not one.lacking else f"{min(one.share * 100, 99.99):.2f} %"
    return Text(shown, style="yellow" if one.lacking else "green")


def months(found: Sequence[Coverage]) -> RenderableType:
    """A bar a month: full blocks are there, shades are nobody's fault, dots are lacking.

    How many came from an archive's files is told where any did.
    """
    filed = any(one.archived for one in found)
    tail = ("lacking", "accepted", "from files") if filed else ("lacking", "accepted")
    made = table("month", "", "complete", *tail, right=tail)
    for one in found:
        assert one.start is not None
        bar = Text()
        for number, (sign, style) in _parts(one):
            bar.append(sign * number, style=style)
        month = iso(one.start)[:7]
        counts = [count(one.lacking), count(one.accepted), count(one.archived)]
        made.add_row(month, bar, _percent(one), *counts[: len(tail)])
    return made


def _parts(one: Coverage) -> list[tuple[int, tuple[str, str]]]:
    """Widths of what is there, accepted and lacking; what exists at all gets a sign at least."""
    shown = (
        (one.stored + one.queued, ("█", "green")),
        (one.accepted + one.open, ("▒", "dim")),
        (one.lacking, ("·", "red")),
    )
    widths = [
        (max(1, round(MONTH_WIDTH * slots / one.slots)) if slots else 0, look)
        for slots, look in shown
    ]
    excess = sum(width for width, _ in widths) - MONTH_WIDTH
    widest = max(range(len(widths)), key=lambda i: widths[i][0])
    width, look = widths[widest]
    widths[widest] = (width - excess, look)
    return widths


def gaps(found: Sequence[Gap], explained: int) -> RenderableType:
    """A row a hole, with its reason."""
    tail = f"{count(explained)} holes are confirmed by their providers; --all shows them"
    if not found:
        return Text("Nothing is missing." if not explained else f"Nothing is missing; {tail}")
    made = table("series", "from", "to", "slots", "why", "reason", right=("slots",))
    for gap in found:
        made.add_row(
            f"{gap.source}/{gap.symbol}/{gap.interval}",
            iso(gap.start),
            iso(gap.end),
            count(gap.slots),
            Text(gap.why, style="dim" if gap.explained else "red"),
            gap.reason or "",
        )
    open_ = sum(not gap.explained for gap in found)
    parts: list[RenderableType] = [made]
    if open_:
        parts.append(Text(f"{count(open_)} holes are not explained; histq repair asks again"))
    if explained:
        parts.append(Text(tail, style="dim"))
    return Group(*parts)


def _credits(source: "PlannedSource", balance: Balance) -> Text:
    said = f"{balance} are spent, {count(balance.left)} are left until {iso(balance.ends_at)}"
    if source.requests <= balance.left:
        return Text(f"{source.source}: {said}", style="dim")
    setting = f"credits_per_{balance.period} of [sources.{source.source}]"
    return Text(f"{source.source}: the plan does not fit: {said}, see {setting}", style="red")


def planned(plan: "DryRun") -> RenderableType:
    """What a fetch would ask for, by series, and what it costs, by source."""
    right = ("requests", "points", "held")
    made = table("series", "from", "to", *right, right=right)
    for one in plan.series:
        made.add_row(
            f"{one.source}/{one.symbol}/{one.interval}",
            "-" if one.start is None else iso(one.start),
            "-" if one.end is None else iso(one.end),
            count(one.requests),
            count(one.points),
            count(one.held),
        )
    parts: list[RenderableType] = [made]
    for source in plan.sources:
        cost = "" if source.unit == "requests" else f", {count(source.cost)} {source.unit}"
        took = f", at least {age(source.at_least_s)}" if source.at_least_s else ""
        parts.append(Text(f"{source.source}: {count(source.requests)} requests{cost}{took}"))
        parts += [_credits(source, balance) for balance in source.credits]
    parts.append(
        Text(f"at most {count(plan.points)} points, about {size(plan.disk_bytes)} once stored")
    )
    parts += [Text(f"skipped {skip.why}", style="dim") for skip in plan.skipped]
    return Group(*parts)
