"""Prices over time: a line or candles, between an axis of prices and one of instants."""

import math
from itertools import pairwise
from typing import Final, NamedTuple

from rich.text import Text

from histq.chart import Chart, Look, adjoining
from histq.cli.axes import Range, price_ticks, time_ticks
from histq.cli.canvas import ASCII, BRAILLE, Canvas, Ink
from histq.model import Interval, Window
from histq.stores import Bar

LINE: Final = "cyan"
AXIS: Final = "dim"
COLOURS: Final = {
    Look.COMPLETE: "green",
    Look.HOLED: "cyan",
    Look.QUEUED: "blue",
    Look.PARTIAL: "yellow",
    Look.EMPTY: "dim",
    Look.LACKING: "bold red",
}
LINES_A_TICK: Final = 3
CANDLE_DOTS: Final = 6
"""From this width on a single candle is drawn as one; below it would not be told from others."""

BODY_REACH: Final = 4
"""Dots that a candle's body reaches to either side, at most."""


class Signs(NamedTuple):
    """What to draw with; it tells everything without colours too."""

    ink: Ink
    looks: dict[Look, str]
    wall: str
    wall_tick: str
    corner: str
    floor: str
    floor_tick: str


UNICODE: Final = Signs(BRAILLE, dict(zip(COLOURS, "█▓=▄░x", strict=True)), *"│┤└─┬")
PLAIN: Final = Signs(ASCII, dict(zip(COLOURS, "#%=+.x", strict=True)), *"|++-+")


def plot(drawn: Chart, width: int, height: int, signs: Signs) -> list[Text]:
    """`height` lines and those of the time axis. There is a bar at least."""
    prices = Range.of(min(bar.low for bar in drawn.bins), max(bar.high for bar in drawn.bins))
    ticks = price_ticks(prices, max(2, height // LINES_A_TICK))
    margin = max(len(tick.label) for tick in ticks)
    columns = width - margin - 2
    plotted = _Plot(drawn, prices, Canvas(columns, height, signs.ink))
    plotted.draw()
    labels = {plotted.y(tick.at) // signs.ink.high: tick.label for tick in ticks}
    lines = []
    for number, row in enumerate(plotted.canvas.rows()):
        label = labels.get(number, "")
        edge = f"{label:>{margin}} {signs.wall_tick if label else signs.wall}"
        lines.append(Text.assemble((edge, AXIS), (row, LINE)))
    return [*lines, *_time_axis(drawn, columns, margin, signs)]


class _Plot:
    """Knows where on the canvas a bar and a price are."""

    def __init__(self, drawn: Chart, prices: Range, canvas: Canvas) -> None:
        self.canvas = canvas
        self._drawn = drawn
        self._prices = prices

    def y(self, price: float) -> int:
        return round((1 - self._prices.share(price)) * (self.canvas.height - 1))

    def _x(self, bar: Bar) -> int:
        start, end = self._drawn.start, self._drawn.end
        return (bar.start + bar.end - 2 * start) * self.canvas.width // (2 * (end - start))

    def draw(self) -> None:
        bars = self._drawn.bins
        shortest = min(bar.end - bar.start for bar in bars)
        room = shortest * self.canvas.width // (self._drawn.end - self._drawn.start)
        single = all(bar.candles == 1 for bar in bars)
        if single and room >= CANDLE_DOTS and any(bar.low < bar.high for bar in bars):
            reach = min((room - 1) // 2, BODY_REACH)
            for bar in bars:
                self._candle(bar, reach)
        else:
            self._line(bars)

    def _candle(self, bar: Bar, reach: int) -> None:
        """Hollow where the price rose, filled where it fell."""
        x = self._x(bar)
        top, bottom = sorted((self.y(bar.open), self.y(bar.close)))
        self.canvas.line((x, self.y(bar.high)), (x, top))
        self.canvas.line((x, bottom), (x, self.y(bar.low)))
        self.canvas.box(x - reach, top, x + reach, bottom, filled=bar.close < bar.open)

    def _line(self, bars: list[Bar]) -> None:
        """Through every bar from low to high; never over a missing candle."""
        interval = Interval(self._drawn.interval)
        joined = [adjoining(interval, *pair) for pair in pairwise(bars)]
        for (left, right), together in zip(pairwise(bars), joined, strict=True):
            if together:
                start = self._x(left), self.y(left.close)
                self.canvas.line(start, (self._x(right), self.y(right.open)))
        for bar, before, after in zip(bars, [False, *joined], [*joined, False], strict=True):
            x = self._x(bar)
            self.canvas.line((x, self.y(bar.high)), (x, self.y(bar.low)))
            if not (before or after):  # a single dot would be overlooked
                self.canvas.line((x - 1, self.y(bar.close)), (x + 1, self.y(bar.close)))


def _time_axis(drawn: Chart, columns: int, margin: int, signs: Signs) -> list[Text]:
    """Ruler and dates. The ruler tells what the blanks above it are."""
    window = Window(drawn.start, drawn.end)
    ruler, labels = [(signs.floor, AXIS)] * columns, [" "] * columns
    free = 0
    for tick in time_ticks(window, columns):
        at = int(_column(window, tick.at, columns))
        left = max(0, min(at - len(tick.label) // 2, columns - len(tick.label)))
        if left >= free:
            ruler[at] = (signs.floor_tick, AXIS)
            labels[left : left + len(tick.label)] = tick.label
            free = left + len(tick.label) + 1
    for blank in drawn.blanks:
        first = int(_column(window, max(blank.start, drawn.start), columns))
        last = math.ceil(_column(window, min(blank.end, drawn.end), columns))
        ruler[first:last] = [(signs.looks[blank.look], COLOURS[blank.look])] * (last - first)
    indent = " " * (margin + 1)
    return [
        Text.assemble((indent + signs.corner, AXIS), *ruler),
        Text(indent + " " + "".join(labels), style=AXIS),
    ]


def _column(window: Window, at: float, columns: int) -> float:
    return (at - window.start) * columns / (window.end - window.start)
