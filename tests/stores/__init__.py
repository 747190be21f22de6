"""What the tests of every store share: how each is opened, and a look into its tables."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from histq.db import Database
from histq.model import FIELDS, HOUR_MS, Candle, Series
from histq.page import Flat, flatten
from histq.stores import Store
from histq.stores.sqlite import SqliteStore

T0: Final = 1_700_000_000_000
BTC: Final = Series("binance", "BTCUSDT", "1h")
ETH: Final = Series("binance", "ETHUSDT", "1h")

Sql = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]


class Bench:
    """A store, its clock, and what its tables hold."""

    def __init__(self) -> None:
        self.now = T0
        self.store: Store
        self.sql: Sql

    def prices(self, series: Series) -> list[Candle]:
        found = self.sql(
            f"select {', '.join(FIELDS)} from historical_prices"
            " where source = ? and symbol = ? and interval = ? order by timestamp",
            series,
        )
        return [Candle(*row) for row in found]

    def revisions(self, series: Series) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
        """(timestamp, old, new) in the order of recording."""
        found = self.sql(
            "select timestamp, old, new from revisions where series_id = (select id from series"
            " where source = ? and symbol = ? and interval = ?) order by id",
            series,
        )
        return [(timestamp, json.loads(old), json.loads(new)) for timestamp, old, new in found]


@contextmanager
def sqlite(bench: Bench, folder: Path) -> Iterator[None]:
    with Database.open(folder / "histq.db") as database:
        bench.store = SqliteStore(database, clock=lambda: bench.now)
        bench.sql = database.rows
        yield


BACK_ENDS: Final[dict[str, Callable[[Bench, Path], AbstractContextManager[None]]]] = {
    "sqlite": sqlite
}


def candle(hour: float, close: float = 1.5) -> Candle:
    """The candle that opens so many hours after 1970 began."""
    return Candle(round(hour * HOUR_MS), close=close)


def page(*hours: float) -> Flat:
    return flatten(candle(hour) for hour in hours)
