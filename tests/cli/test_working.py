"""Work that takes long says how far it is, to who watches, and can be ended."""

import signal
from pathlib import Path

import pytest

from histq.db import Database
from histq.model import HOUR_MS, Candle, Series, Span, State
from histq.page import flatten
from histq.stores.sqlite import SqliteStore
from tests.terminal import CURSOR_HIDDEN, CURSOR_SHOWN, Terminal

LONG = 600_000
SHORT = 24


def hold(place: Path, hours: int) -> None:
    """As many hours of two sources."""
    page = flatten(Candle(slot * HOUR_MS, 3.0, 4.0, 2.0, 3.5) for slot in range(hours))
    with Database.open(place / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        for series in (Series("binance", "BTCUSDT", "1h"), Series("cryptocompare", "BTCUSD", "1h")):
            store.write(series, page)
            store.record(series, [Span(0, hours * HOUR_MS, State.STORED)])


COMMANDS = pytest.mark.parametrize(
    ("command", "doing"),
    [
        ("compare BTC --as-usd", "comparing binance/BTCUSDT/1h"),
        ("export BTC -s binance -o out.csv", "exporting binance/BTCUSDT/1h"),
    ],
    ids=["compare", "export"],
)


@COMMANDS
def test_a_bar_says_how_far_it_is_and_sigterm_ends_it(
    command: str, doing: str, environ: dict[str, str], place: Path
) -> None:
    hold(place, LONG)
    with Terminal(*command.split(), cwd=place, environ=environ, columns=120) as terminal:
        terminal.says(doing)
        terminal.says(" %")
        terminal.process.send_signal(signal.SIGTERM)
        code = terminal.wait()

    assert code == 143
    assert terminal.said.rindex(CURSOR_SHOWN) > terminal.said.rindex(CURSOR_HIDDEN)
    assert "Traceback" not in terminal.said
    assert not (place / "out.csv").exists()


@COMMANDS
def test_what_is_done_at_once_shows_no_bar(
    command: str, doing: str, environ: dict[str, str], place: Path
) -> None:
    hold(place, SHORT)
    with Terminal(*command.split(), cwd=place, environ=environ, columns=120) as terminal:
        code = terminal.wait()

    assert code == 0
    assert CURSOR_HIDDEN not in terminal.said
