"""Prices as dots: what is drawn, and what is left blank."""

from collections.abc import Sequence

import pytest

from histq.chart import Blank, Chart, HeatMap, Look
from histq.cli.canvas import ASCII, BRAILLE, Canvas
from histq.cli.plot import PLAIN, UNICODE, Signs, plot
from histq.model import HOUR_MS
from histq.stores import Bar

START = 1_704_067_200_000  # 2024-01-01


def hour(number: int, close: float, reach: float = 0.0, open_: float | None = None) -> Bar:
    start = START + number * HOUR_MS
    first = close if open_ is None else open_
    high, low = max(first, close) + reach, min(first, close) - reach
    return Bar(start, start + HOUR_MS, 1, start, start, first, high, low, close)


def drawn(bars: Sequence[Bar], hours: int, blanks: Sequence[Blank] = ()) -> list[str]:
    """The plot of so many hours, 10 lines high, 40 columns of them plot."""
    return lines(bars, hours, blanks, UNICODE)


def lines(bars: Sequence[Bar], hours: int, blanks: Sequence[Blank], signs: Signs) -> list[str]:
    chart = Chart(
        *("binance", "BTCUSDT", "1h"),
        *(START, START + hours * HOUR_MS),
        candles=len(bars),
        open=None,
        high=None,
        low=None,
        close=None,
        bins=list(bars),
        blanks=list(blanks),
        coverage=HeatMap("day", "hour", 0, []),
    )
    return [line.plain for line in plot(chart, 46, 10, signs)]


def body(plotted: Sequence[str]) -> list[str]:
    """What is right of the price axis, the ruler included."""
    edge = plotted[10].index("└") + 1
    return [line[edge:] for line in plotted[:11]]


def columns(plotted: Sequence[str]) -> str:
    """x where a column has a dot, a blank where it has none."""
    drawn_columns = zip(*body(plotted)[:10], strict=True)
    return "".join("x" if set(column) - {" "} else " " for column in drawn_columns)


def test_a_line_is_dots_between_two_points() -> None:
    canvas = Canvas(3, 1, BRAILLE)

    canvas.line((0, 0), (5, 0))
    canvas.line((2, 3), (2, 1))

    assert canvas.rows() == ["⠉⡏⠉"]


def test_ascii_has_two_dots_a_character() -> None:
    canvas = Canvas(4, 1, ASCII)

    canvas.line((0, 0), (0, 1))
    canvas.dot(1, 0)
    canvas.dot(3, 1)

    assert canvas.rows() == [":' ."]


def test_what_lies_outside_the_canvas_is_not_drawn() -> None:
    canvas = Canvas(2, 1, BRAILLE)

    canvas.line((-3, -1), (9, -1))
    canvas.dot(4, 0)

    assert canvas.rows() == ["  "]


def test_a_box_is_hollow_or_filled() -> None:
    hollow, filled = Canvas(2, 1, BRAILLE), Canvas(2, 1, BRAILLE)

    hollow.box(0, 0, 3, 3, filled=False)
    filled.box(0, 0, 3, 3, filled=True)

    assert (hollow.rows(), filled.rows()) == (["⣏⣹"], ["⣿⣿"])


def test_the_line_goes_from_corner_to_corner() -> None:
    plotted = drawn([hour(number, 1.0 + number) for number in range(40)], 40)

    assert set(columns(plotted)) == {"x"}
    assert body(plotted)[0][-1] != " "
    assert body(plotted)[9][0] != " "
    labels = [line.split("┤")[0].strip() for line in plotted if "┤" in line]
    assert labels == ["40", "20"]


def test_a_hole_is_left_blank_and_never_bridged() -> None:
    bars = [hour(number, 5.0 + number % 2) for number in range(80) if not 20 <= number < 40]

    plotted = drawn(bars, 80)

    # 41 columns for 80 hours: hour 19 ends in column 9, hour 40 begins in column 20.
    assert columns(plotted) == "x" * 10 + " " * 10 + "x" * 21


def test_the_ruler_says_what_a_blank_is() -> None:
    bars = [hour(number, 5.0 + number % 2) for number in range(80) if not 20 <= number < 40]
    blanks = [
        Blank(START + 20 * HOUR_MS, START + 30 * HOUR_MS, Look.EMPTY),
        Blank(START + 30 * HOUR_MS, START + 40 * HOUR_MS, Look.LACKING),
    ]

    ruler = body(drawn(bars, 80, blanks))[10]

    assert ruler[9:22] == "─░░░░░xxxxxx─"


def test_a_hole_too_short_for_a_column_is_marked_all_the_same() -> None:
    bars = [hour(number, 5.0 + number % 2) for number in range(4000) if number != 2000]
    blank = Blank(START + 2000 * HOUR_MS, START + 2001 * HOUR_MS, Look.LACKING)

    ruler = drawn(bars, 4000, [blank])[10]

    assert ruler.count("x") == 1


def test_a_hole_that_reaches_past_the_edge_is_cut() -> None:
    blank = Blank(START - 9 * HOUR_MS, START + 99 * HOUR_MS, Look.QUEUED)

    ruler = drawn([hour(0, 1.0)], 10, [blank])[10]

    assert ruler.count("=") == len(ruler) - ruler.index("└") - 1


def test_candles_are_hollow_when_the_price_rose_and_filled_when_it_fell() -> None:
    bars = [hour(0, 9.0, 1.0, open_=2.0), hour(1, 2.0, 1.0, open_=9.0)]

    plotted = drawn(bars, 2)

    assert body(plotted)[5].split() == ["⢸", "⢸", "⢸⣿⣿⣿⣿"]


def test_a_lone_price_is_more_than_a_dot() -> None:
    plotted = drawn([hour(0, 5.0), hour(1, 5.0), hour(9, 5.0)], 10)

    # Hour 0 and 1 are a line; hour 9, in the middle of its tenth, is three dots.
    assert columns(plotted).split() == ["x" * 5, "xx"]


def test_a_flat_price_lies_in_the_middle() -> None:
    plotted = drawn([hour(number, 1.0) for number in range(40)], 40)

    assert [number for number, line in enumerate(body(plotted)[:10]) if line.strip()] == [5]


@pytest.mark.parametrize("level", [1e-13, 0.00004668, 1.0, 97_000.0, 1e15, 0.0])
def test_every_line_is_as_wide_as_told(level: float) -> None:
    plotted = drawn([hour(number, level * (1 + number / 100)) for number in range(40)], 40)

    assert {len(line) for line in plotted} == {46}


def test_without_unicode_all_is_ascii() -> None:
    bars = [hour(number, 5.0 + number % 2) for number in range(80) if not 20 <= number < 40]
    blank = Blank(START + 20 * HOUR_MS, START + 40 * HOUR_MS, Look.LACKING)

    plotted = lines(bars, 80, [blank], PLAIN)

    assert "".join(plotted).isascii()
    assert plotted[10].count("x") == 11  # of 41 columns, those that the 20 of 80 hours touch
