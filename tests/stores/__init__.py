"""What the tests of every store share: a world to live in, and how each store is opened in it.

To try another back end, write a function as `sqlite` below and add it to `BACK_ENDS`; all of
`tests/stores/` but `test_sqlite*.py` then runs on it too. One that lives elsewhere does so in a
plug-in of pytest, a module that says `tests.stores.BACK_ENDS["mine"] = mine` when it is imported:

    pytest -p its_module tests/stores -k mine

The function gets a `Bench` and an empty folder for as long as one test takes. It opens a store
that takes the time and the dead from the bench, sets `bench.store` and `bench.change`, and closes
what it opened.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from histq.db import Database
from histq.model import HOUR_MS, Candle, Series, Window
from histq.page import Flat, Number, flatten
from histq.stores import Store
from histq.stores.sqlite import SqliteStore

T0: Final = 1_700_000_000_000
BTC: Final = Series("binance", "BTCUSDT", "1h")
ETH: Final = Series("binance", "ETHUSDT", "1h")
EVER: Final = Window(0, 2**63 - 1)
MANY: Final = 10**6


class Told(NamedTuple):
    """What a revision says, without when and what became of it."""

    timestamp: int
    old: dict[str, Number]
    new: dict[str, Number]


class Bench:
    """A store, the time and the dead as it is told them, and a hand that changes its prices.

    `change` is somebody who edits the table: the candle of that series and open time has another
    close now, or is gone where that is None. No method of a store does such a thing.
    """

    store: Store
    change: Callable[[Series, int, float | None], None]

    def __init__(self) -> None:
        self.now = T0
        self.dead: set[str] = set()

    def prices(self, series: Series) -> list[Candle]:
        return list(self.store.candles(series, EVER))

    def revisions(self, series: Series) -> list[Told]:
        """In the order of recording."""
        found = self.store.revisions([series], MANY)
        return [Told(one.timestamp, one.old, one.new) for one in reversed(found)]

    def applied_at(self, series: Series) -> list[int | None]:
        """When each of them was applied."""
        return [one.applied_at for one in reversed(self.store.revisions([series], MANY))]


BackEnd = Callable[[Bench, Path], AbstractContextManager[None]]


@contextmanager
def sqlite(bench: Bench, folder: Path) -> Iterator[None]:
    with Database.open(folder / "histq.db") as database:
        bench.store = SqliteStore(
            database, clock=lambda: bench.now, dead=lambda owner: owner in bench.dead
        )

        def change(series: Series, timestamp: int, close: float | None) -> None:
            what = "delete from prices" if close is None else "update prices set close = ?"
            database.rows(
                f"{what} where timestamp = ? and series_id ="
                " (select id from series where source = ? and symbol = ? and interval = ?)",
                [*([] if close is None else [close]), timestamp, *series],
            )

        bench.change = change
        with closing(bench.store):
            yield


BACK_ENDS: Final[dict[str, BackEnd]] = {"sqlite": sqlite}


def candle(hour: float, close: float = 1.5) -> Candle:
    """The candle that opens so many hours after 1970 began."""
    return Candle(round(hour * HOUR_MS), close=close)


def page(*hours: float) -> Flat:
    return flatten(candle(hour) for hour in hours)
