"""The picture of stats --watch: what gets the lines that there are, and what a provider says."""

import io

import pytest
from rich.console import Console, RenderableType

from histq.cli.render_watch import Screen, on_paper, shares
from histq.model import Depth
from histq.pipeline.stats import DatabaseStats
from histq.pipeline.watch import Look, Trouble, WatchedSeries

NOON = 1_700_049_600_000  # 2023-11-15T12:00Z


def watched(symbol: str, stored_per_s: float = 0) -> WatchedSeries:
    return WatchedSeries("binance", symbol, "1h", NOON, NOON, 24, 0, stored_per_s, 0, 0)


def look(*series: WatchedSeries, error: str = "") -> Look:
    return Look(
        at=NOON,
        environment="preview",
        queue=Depth(3, 72, 1, 1, 1, 0, 65),
        next_due_at=NOON + 12_000,
        fetched_per_s=1234.4,
        stored_per_s=None,
        failure_rate=0.125,
        gaps=2,
        series=list(series),
        hosts=[],
        batches=[],
        errors=[Trouble(NOON, "binance/BTCUSDT/1h", error)] if error else [],
        database=DatabaseStats("/data/histq-preview.db", 2048),
    )


def drawn(picture: RenderableType, lines: int = 24, columns: int = 80) -> list[str]:
    """The lines of the picture as they stand on a terminal of that size."""
    file = io.StringIO()
    Console(file=file, width=columns, height=lines, color_system=None).print(picture)
    return [line.rstrip() for line in file.getvalue().removesuffix("\n").split("\n")]


def screen(found: Look | None, notice: str = "") -> Screen:
    return Screen(found, notice, every_s=2, alert_depth=10_000)


@pytest.mark.parametrize(
    ("lines", "wishes", "given"),
    [
        pytest.param(100, [(5, 40), (4, 4), (3, 11)], [40, 4, 11], id="room for all"),
        pytest.param(20, [(5, 40), (4, 4), (3, 11)], [13, 4, 3], id="the first gets what is left"),
        pytest.param(20, [(5, 6), (4, 4), (3, 11)], [6, 4, 10], id="then the next"),
        pytest.param(8, [(5, 40), (4, 4), (3, 11)], [5, 3, 0], id="the last gets none"),
        pytest.param(6, [(5, 40), (4, 4), (3, 11)], [6, 0, 0], id="no head without a row"),
        pytest.param(1, [(5, 40), (4, 4)], [0, 0], id="one line"),
        pytest.param(9, [(5, 40), (3, 0), (3, 3)], [6, 0, 3], id="a table without rows"),
        pytest.param(-3, [(5, 40), (4, 4)], [0, 0], id="no line"),
    ],
)
def test_lines_are_shared_out(lines: int, wishes: list[tuple[int, int]], given: list[int]) -> None:
    assert shares(lines, wishes) == given


def test_the_head_says_how_all_of_it_is() -> None:
    first, second, third, *_ = drawn(screen(look(watched("BTCUSDT"))))

    assert first == "2023-11-15T12:00Z  preview  /data/histq-preview.db  2.0 KiB"
    assert second == "queue 72 points, oldest 1.1 m: 1 ready, 1 leased, 1 delayed, 0 dead"
    assert third == ("fetched 1,234/s  stored -/s  failed 12.5%  open gaps 2  next retry in 12.0 s")


def test_without_a_look_there_is_only_the_notice() -> None:
    assert drawn(screen(None, "no database yet")) == ["no database yet", "every 2 s; q leaves"]


@pytest.mark.parametrize(("lines", "columns"), [(24, 80), (12, 80), (8, 30), (60, 200)])
def test_the_picture_has_no_more_lines_and_columns_than_the_terminal(
    lines: int, columns: int
) -> None:
    series = [watched(f"COIN{n}USDT") for n in range(200)]

    found = drawn(screen(look(*series, error="x" * 300)), lines, columns)

    assert len(found) <= lines
    assert max(map(len, found)) <= columns
    assert found[-1] == "every 2 s; q leaves"


def test_the_series_that_move_are_shown_first_and_in_order() -> None:
    series = [watched(f"{letter}USDT", letter in "CX") for letter in "ABCDEFGHIJKLMNOPQRSTUVWX"]

    found = drawn(screen(look(*series)), 9)

    shown = [line.split()[0] for line in found if line.startswith("binance/")]
    assert shown == ["binance/CUSDT/1h", "binance/XUSDT/1h"]
    assert "and 22 more" in found


def test_on_paper_every_series_is_shown() -> None:
    series = [watched(f"COIN{n}USDT") for n in range(200)]

    found = drawn(on_paper(look(*series), 10_000), columns=200)

    assert sum(line.startswith("binance/") for line in found) == 200


def test_what_a_provider_says_cannot_command_the_terminal() -> None:
    found = drawn(screen(look(watched("BTCUSDT"), error="\x1b[2J[red]no\nway\x07")))

    (line,) = (line for line in found if "way" in line)
    assert line == "2023-11-15T12:00Z  binance/BTCUSDT/1h:  [2J[red]no way"
