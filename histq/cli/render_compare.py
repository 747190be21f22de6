"""What a person reads of a comparison. Values in, renderables out."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from histq.cli.render import count, table
from histq.compare import FieldFigures
from histq.model import iso
from histq.pipeline.compare import CompareReport, PairReport, Side


def compared(report: CompareReport) -> RenderableType:
    """A block a pair, then what was left out."""
    parts: list[RenderableType] = []
    for pair in report.pairs:
        parts += [*_block(pair, _percent(report.tolerance)), ""]
    parts += [Text(f"not compared: {one}", style="yellow") for one in report.not_compared]
    return Group(*(parts if report.not_compared else parts[:-1]))


def _block(pair: PairReport, tolerance: str) -> Iterator[RenderableType]:
    yield Text(_title(pair), style="bold")
    yield Text(_held(pair, tolerance))
    if not pair.both:
        return
    yield _figures(pair)
    for one in pair.not_compared:
        yield Text(f"{', '.join(one.fields)} not compared: {one.why}", style="dim")
    if pair.differences:
        told = f"the largest of {count(pair.beyond)} differences beyond {tolerance}"
        yield Text(", ".join((told, *_labels(pair))))
        yield _differences(pair)


def _title(pair: PairReport) -> str:
    sides = (_named(side, pair.interval) for side in (pair.left, pair.right))
    coins = [f"{' and '.join(pair.as_usd)} taken for USD"] if pair.as_usd else []
    return ", ".join((" with ".join(sides), *coins))


def _named(side: Side, interval: str) -> str:
    return str(side) if side.interval == interval else f"{side} resampled to {interval}"


def _labels(pair: PairReport) -> list[str]:
    """What all of the figures depend on; every line that has figures says it."""
    return ["=".join((*pair.as_usd, "USD"))] if pair.as_usd else []


def _held(pair: PairReport, tolerance: str) -> str:
    if pair.start is None or pair.end is None:
        return "nothing compared: they hold no time in common"
    said = [f"{iso(pair.start)} to {iso(pair.end)}, UTC: {count(pair.both)} candles on both sides"]
    for side in (pair.left, pair.right):
        said.append(f"{count(side.only)} on {side.source} only")
        if side.incomplete:
            said.append(f"{count(side.incomplete)} on {side.source} incomplete")
    return f"{', '.join(said)}; tolerance {tolerance}"


def _figures(pair: PairReport) -> RenderableType:
    right = ("equal", "within", "beyond", "mean", "median", "largest")
    made = table("field", *_column(pair), *right, "at", right=right)
    made.columns[-1].overflow = "fold"
    made.columns[-1].no_wrap = False  # a narrow terminal takes from here, not from the figures
    for one in pair.fields:
        if one.compared:
            made.add_row(one.field, *_labels(pair), *_row(one))
    return made


def _column(pair: PairReport) -> list[str]:
    return ["in"] if pair.as_usd else []


def _row(one: FieldFigures) -> Iterator[RenderableType]:
    yield from map(count, (one.equal, one.within))
    yield Text(count(one.beyond), style="red" if one.beyond else "")
    yield from map(_percent, (one.mean, one.median, abs(one.largest.share) if one.largest else 0))
    yield iso(one.largest.timestamp) if one.largest else "-"


def _differences(pair: PairReport) -> RenderableType:
    right = (pair.left.source, pair.right.source, "difference")
    made = table("open time", "field", *_column(pair), *right, "", right=right)
    made.columns[-1].no_wrap = False
    for one in pair.differences:
        cells = (iso(one.timestamp), one.field, *_labels(pair))
        share = f"{'+' if one.share > 0 else '-'}{_percent(abs(one.share))}"
        note = "one closed early or late" if one.irregular else ""
        made.add_row(*cells, f"{one.left:,}", f"{one.right:,}", share, note)
    return made


def _percent(share: float | None) -> str:
    """Three digits of it, and as many zeros as it takes."""
    if share is None:
        return "-"
    percent = share * 100
    if 0 < percent < 0.0001:
        return "<0.0001 %"
    return f"{float(f'{percent:.3g}'):.7g} %"
