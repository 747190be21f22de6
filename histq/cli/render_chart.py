"""A chart as a person reads it: a price line over time, and below it a heat map of coverage."""

from collections.abc import Iterable
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from histq.chart import Cell, Chart, HeatMap, Look, Point, Row
from histq.cli.axes import price
from histq.cli.plot import AXIS, COLOURS, Signs, plot
from histq.model import iso

NARROWEST: Final = 50
SHARE: Final = "  complete"


def chart(drawn: Chart, width: int, height: int, signs: Signs) -> RenderableType:
    """As wide as told, or as the heat map needs; `height` counts the lines of the plot alone."""
    width = max(width, NARROWEST)
    parts: list[RenderableType] = [_title(drawn)]
    if drawn.bins:
        parts += [_figures(drawn), "", *plot(drawn, width, height, signs)]
    parts += ["", *_heat_map(drawn.coverage, width, signs), "", _legend(drawn, width, signs)]
    return Group(*parts)


def _title(drawn: Chart) -> Text:
    name = f"{drawn.source}/{drawn.symbol}/{drawn.interval}"
    candles = "1 candle" if drawn.candles == 1 else f"{drawn.candles:,} candles"
    told = f"  {candles}, {iso(drawn.start)} to {iso(drawn.end)}, UTC"
    return Text.assemble((name, "bold"), told)


def _figures(drawn: Chart) -> RenderableType:
    made = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        made.add_column(style=AXIS)
        made.add_column(justify="right")
        made.add_column()
    made.add_row(*_figure("open", drawn.open), *_figure("high", drawn.high))
    made.add_row(*_figure("close", drawn.close), *_figure("low", drawn.low))
    return made


def _figure(name: str, point: Point | None) -> tuple[str, str, str]:
    return (name, price(point.price), iso(point.timestamp)) if point else (name, "-", "")


def _heat_map(found: HeatMap, width: int, signs: Signs) -> Iterable[Text]:
    if not found.rows:
        return
    margin = max(len(text) for text in (found.column, *(row.label for row in found.rows))) + 1
    columns = len(found.rows[0].cells)
    each = 2 if margin + 2 * columns + len(SHARE) <= width else 1
    yield Text(f"{found.column:<{margin}}{_numbers(found, columns, each)}{SHARE}", style=AXIS)
    for row in found.rows:
        line = Text(f"{row.label:<{margin}}")
        for cell in row.cells:
            line.append(*_sign(cell, each, signs))
        yield line.append(_percent(row))


def _numbers(found: HeatMap, columns: int, each: int) -> str:
    """Every fifth cell's number over it."""
    line = [" "] * (columns * each + 1)
    for number in (found.first, *range(5, columns + found.first, 5)):
        at = (number - found.first) * each
        line[at : at + len(str(number))] = str(number)
    return "".join(line)[: columns * each]


def _sign(cell: Cell | None, each: int, signs: Signs) -> tuple[str, str]:
    return (signs.looks[cell.look] * each, COLOURS[cell.look]) if cell else (" " * each, "")


def _percent(row: Row) -> Text:
    if row.share is None:
        return Text(f"{'-':>{len(SHARE)}}")
    shown = "100 %" if row.share == 1 else f"{min(row.share * 100, 99.99):.2f} %"
    return Text(f"{shown:>{len(SHARE)}}", style="green" if row.share == 1 else "yellow")


def _legend(drawn: Chart, width: int, signs: Signs) -> Text:
    """Of the signs that occur, and no others; no entry is broken in two."""
    seen = {cell.look for row in drawn.coverage.rows for cell in row.cells if cell}
    if drawn.bins:
        seen |= {blank.look for blank in drawn.blanks}
    lines = [Text()]
    for look in (look for look in Look if look in seen):
        entry = Text.assemble((signs.looks[look], COLOURS[look]), f" {look}   ")
        if len(lines[-1]) + len(entry) > width:
            lines.append(Text())
        lines[-1].append_text(entry)
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)
