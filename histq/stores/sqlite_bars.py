"""What a chart draws, from key ranges alone: a bar a window, however many candles are in it."""

from collections.abc import Sequence

from histq.db import Database
from histq.model import Series, Window
from histq.stores import Bar


def bars(database: Database, series: Series, windows: Sequence[Window]) -> list[Bar]:
    """One for each window that holds candles."""
    series_id = database.value(
        "select id from series where source = ? and symbol = ? and interval = ?", series
    )
    found = (_bar(database, series_id, window) for window in windows)
    return [bar for bar in found if bar]


def _bar(database: Database, series_id: int | None, window: Window) -> Bar | None:
    within = "from prices where series_id = :id and timestamp >= :start and timestamp < :end"
    # What the ends say, by key: as aggregates they would cost as much as the extremes.
    (row,) = database.rows(
        f"select count(*),"
        f" (select min(timestamp) {within}), (select max(timestamp) {within}),"
        f" (select coalesce(open, close) {within} order by timestamp limit 1),"
        f" max(coalesce(high, close)), min(coalesce(low, close)),"
        f" (select close {within} order by timestamp desc limit 1) {within}",
        {"id": series_id, "start": window.start, "end": window.end},
    )
    return Bar(*window, *row) if row[0] else None
