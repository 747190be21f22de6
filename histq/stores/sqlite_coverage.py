"""How far each series reaches and what it lacks, from counters and the ledger alone."""

from histq.db import Database
from histq.ledger import ACCEPTED
from histq.model import Interval, Series, State
from histq.stores import SeriesStats


def coverage(database: Database) -> list[SeriesStats]:
    """Every series, in order."""
    found = database.rows(
        "select id, source, symbol, interval, points, first, last, doubled from series"
        " order by source, symbol, interval"
    )
    return [_series_stats(database, *row) for row in found]


def lasts(database: Database) -> dict[Series, int]:
    found = database.rows(
        "select source, symbol, interval, last from series where last is not null"
    )
    return {Series(*names): last for *names, last in found}


def _series_stats(
    database: Database,
    series_id: int,
    source: str,
    symbol: str,
    name: str,
    points: int,
    first: int | None,
    last: int | None,
    doubled: int,
) -> SeriesStats:
    interval = Interval(name)
    missing = None
    if interval.gridded and first is not None and last is not None:
        slots = interval.slots(interval.floor(first), interval.next(last))
        filled = points - doubled
        missing = max(0, slots - filled - _accepted(database, series_id, interval, first, last))
    failed = database.value(
        "select count(*) from spans where series_id = ? and state = ?", (series_id, State.FAILED)
    )
    return SeriesStats(source, symbol, name, points, first, last, missing, failed)


def _accepted(database: Database, series_id: int, interval: Interval, first: int, last: int) -> int:
    """Slots between first and last that the provider has said to be empty, and is believed."""
    found = database.rows(
        'select start, "end" from spans where series_id = ? and state = ? and seen >= ?',
        (series_id, State.EMPTY, ACCEPTED),
    )
    return sum(interval.slots(max(start, first), min(end, last)) for start, end in found)
