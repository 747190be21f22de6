"""A table that is drawn by hand where it fits: a tenth of what Rich takes to lay one out."""

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

GAP = "  "


class LightTable(Table):
    """Looks as Rich's without a box does, and is that one where its cells do not fit."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cells = [[column.header, *column._cells] for column in self.columns]
        told = [cell for column in cells for cell in column if isinstance(cell, str | Text)]
        plain = len(told) == sum(map(len, cells)) and not any("\n" in str(cell) for cell in told)
        if plain and told:
            widths = [max(cell_len(str(cell)) for cell in column) for column in cells]
            if sum(widths) + len(GAP) * (len(widths) - 1) <= options.max_width:
                return self._drawn(console, widths)
        return super().__rich_console__(console, options)

    def _drawn(self, console: Console, widths: list[int]) -> Iterator[Segment]:
        if self.title is not None:
            width = sum(widths) + len(GAP) * (len(widths) - 1)
            yield Segment(str(self.title).ljust(width), console.get_style(self.title_style or ""))
            yield Segment.line()
        header = [column.header for column in self.columns]
        for number, row in enumerate(
            [header, *zip(*(c._cells for c in self.columns), strict=True)]
        ):
            for place, (column, width, cell) in enumerate(
                zip(self.columns, widths, row, strict=True)
            ):
                style = console.get_style(column.style if number else column.header_style)
                if place:
                    yield Segment(GAP)
                yield from _cell(console, column, cell, width, style)
            yield Segment.line()


def _cell(
    console: Console, column: Column, cell: object, width: int, style: Style
) -> Iterator[Segment]:
    room = " " * (width - cell_len(str(cell)))
    if column.justify == "right":
        yield Segment(room)
    if isinstance(cell, Text):
        base = console.get_style(cell.style)  # which render leaves out where there are no spans
        yield from Segment.apply_style(cell.render(console), base)
    else:
        yield Segment(str(cell), style)
    if column.justify != "right":
        yield Segment(room)
