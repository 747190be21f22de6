"""The table that is drawn by hand looks as Rich's does."""

import io

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from histq.cli.render import table


def drawn(width: int, *, by_rich: bool) -> str:
    made = table("series", "slots", "why", right=("slots",), title="Gaps")
    made.add_row("binance/BTCUSDT/1h", "1,000", Text("failed", style="red"))
    made.add_row("coingecko/币安USD/1d", "7", "")
    if by_rich:
        made.__class__ = Table
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system="standard").print(made)
    return out.getvalue()


@pytest.mark.parametrize("width", [200, 40, 20])
def test_it_says_what_richs_own_says_line_by_line(width: int) -> None:
    ours, theirs = (
        [Text.from_ansi(line).plain.rstrip() for line in drawn(width, by_rich=rich).splitlines()]
        for rich in (False, True)
    )

    assert ours == theirs
    assert len(ours) == 4


def test_styles_are_kept() -> None:
    assert "\x1b[31mfailed" in drawn(200, by_rich=False)
