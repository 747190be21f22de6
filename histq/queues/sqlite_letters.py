"""The dead letters beside the queue in a SQLite file."""

from collections.abc import Sequence

from histq.db import Database, Row
from histq.model import DeadLetter, Kind, Reason, Series, Window
from histq.queues import DeadCount

_LETTER = (
    'kind, source, symbol, interval, start, "end", points, reason, error, failures, deliveries,'
    " queued_at, failed_at, raw_data"
)


class SqliteLetters:
    """As the queue's protocol promises."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        with self._db.transaction():
            for letter in letters:
                self._db.change(
                    f"insert into dead_letters ({_LETTER}) values ({', '.join('?' * 14)})"
                    " on conflict (source, symbol, interval, start, \"end\") where kind = 'body'"
                    " do update set error = excluded.error, failed_at = excluded.failed_at,"
                    " raw_data = excluded.raw_data"
                    ' on conflict (source, symbol, interval, start, "end", raw_data)'
                    " where kind = 'candle' do update set failed_at = excluded.failed_at",
                    (letter.kind, *letter.series, *letter.window, *letter[4:]),
                )

    def newest(self, ids: Sequence[int] | None, limit: int | None) -> list[DeadLetter]:
        wanted = "" if ids is None else f"where id in ({', '.join('?' * len(ids))})"
        found = self._db.rows(
            f"select id, {_LETTER} from dead_letters {wanted} order by id desc limit ?",
            (*(ids or ()), -1 if limit is None else limit),
        )
        return [_letter(row) for row in found]

    def before(self, failed_before: int, limit: int) -> list[DeadLetter]:
        found = self._db.rows(
            f"select id, {_LETTER} from dead_letters where failed_at < ?"
            " order by failed_at, id limit ?",
            (failed_before, limit),
        )
        return [_letter(row) for row in found]

    def count_before(self, failed_before: int) -> int:
        sql = "select count(*) from dead_letters where failed_at < ?"
        return int(self._db.value(sql, (failed_before,)))

    def by_error(self) -> list[DeadCount]:
        # A bare column beside max() is taken from the row that has the maximum:
        # https://www.sqlite.org/lang_select.html#bareagg
        found = self._db.rows(
            "select source, symbol, interval, reason, count(*) as letters, max(failed_at), error"
            " from dead_letters group by source, symbol, interval, reason order by letters desc"
        )
        return [DeadCount(*row) for row in found]

    def drop(self, ids: Sequence[int]) -> int:
        with self._db.transaction():
            return sum(self._db.change("delete from dead_letters where id = ?", (i,)) for i in ids)

    def supersede(self, series: Series, window: Window) -> int:
        with self._db.transaction():
            return self._db.change(
                "delete from dead_letters where source = ? and symbol = ? and interval = ?"
                " and start >= ? and \"end\" <= ? and kind = 'body'",
                (*series, *window),
            )


def _letter(row: Row) -> DeadLetter:
    identity, kind, source, symbol, interval, start, end, points, reason, *rest = row
    series, window = Series(source, symbol, interval), Window(start, end)
    return DeadLetter(identity, Kind(kind), series, window, points, Reason(reason), *rest)
