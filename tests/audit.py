"""What must be true of a database whatever happened to the processes that wrote it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

_QUERIES: Final = {
    "integrity": "pragma integrity_check",
    "prices": "select symbol, timestamp, open, high, low, close, volume, quote_volume,"
    " trades, taker_buy_volume, taker_buy_quote_volume from historical_prices"
    " order by symbol, timestamp",
    "messages": "select * from messages",
    "bodies": "select message_id from bodies",
    "letters": "select kind, symbol, start, points, reason, error, raw_data"
    " from dead_letters order by symbol, start, kind",
    "spans": 'select symbol, start, "end", state from spans join series'
    " on series.id = series_id order by symbol, start",
    "counters": "select source, symbol, interval, points, first, last from series"
    " where points > 0 order by source, symbol, interval",
    "recounts": "select source, symbol, interval, count(*), min(timestamp), max(timestamp)"
    " from historical_prices group by source, symbol, interval order by source, symbol, interval",
    "revisions": "select timestamp, old, new from revisions order by id",
}


def state(path: Path) -> dict[str, list[Any]]:
    """Everything that must not depend on how often a process died on the way.

    Fails where the file is damaged, or where a counter is not what a recount finds.
    """
    with closing(sqlite3.connect(path)) as connection:
        found = {name: connection.execute(query).fetchall() for name, query in _QUERIES.items()}
    assert found["integrity"] == [("ok",)]
    assert found["counters"] == found["recounts"]
    return found
