"""Alerts and their notices in the SQLite store."""

from collections.abc import Sequence
from typing import Final

from histq.db import Database
from histq.host import Clock
from histq.stores.alerts import Alert, Severity, Turn, Untold

_ALERT: Final = (
    "a.id, a.name, a.subject, a.severity, a.text, a.since, a.started_at, a.better_since, a.ended_at"
)


class SqliteAlerts:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    def open(self) -> list[Alert]:
        found = self._db.rows(
            f"select {_ALERT} from alerts a indexed by alerts_open where a.ended_at is null"
            " order by a.id"
        )
        return [_alert(*row) for row in found]

    def latest(self, limit: int) -> list[Alert]:
        found = self._db.rows(
            f"select {_ALERT} from alerts a where a.started_at is not null"
            " order by a.id desc limit ?",
            (limit,),
        )
        return [_alert(*row) for row in found]

    def keep(self, alert: Alert) -> Alert:
        values = {name: getattr(alert, name) for name in Alert.__struct_fields__}
        with self._db.transaction():
            if not alert.id:
                return _alert(self._insert(values), *list(values.values())[1:])
            self._db.change(
                "update alerts set severity = :severity, text = :text, since = :since,"
                " started_at = :started_at, better_since = :better_since, ended_at = :ended_at"
                " where id = :id",
                values,
            )
        return alert

    def _insert(self, values: dict[str, object]) -> int:
        return self._db.insert(
            "insert into alerts (name, subject, severity, text, since, started_at, better_since,"
            " ended_at) values (:name, :subject, :severity, :text, :since, :started_at,"
            " :better_since, :ended_at)",
            values,
        )

    def drop(self, alert: Alert) -> None:
        with self._db.transaction():
            self._db.change("delete from alerts where id = ? and started_at is null", (alert.id,))

    def forget(self, before: int) -> int:
        with self._db.transaction():
            self._db.change(
                "delete from notices where alert_id in (select id from alerts where ended_at < ?)",
                (before,),
            )
            return self._db.change("delete from alerts where ended_at < ?", (before,))

    def ask(self, alert: Alert, turn: Turn, text: str, channels: Sequence[str]) -> None:
        with self._db.transaction():
            self._db.change_many(
                "insert into notices (alert_id, turn, channel, text, asked_at)"
                " values (?, ?, ?, ?, ?) on conflict (alert_id, turn, channel) do nothing",
                [(alert.id, turn, channel, text, self._clock()) for channel in channels],
            )

    def untold(self, channel: str, after: int, limit: int) -> list[Untold]:
        found = self._db.rows(
            f"select n.id, n.turn, n.text, n.asked_at, {_ALERT}"
            " from notices n join alerts a on a.id = n.alert_id"
            " where n.channel = ? and n.told_at is null and n.asked_at > ? order by n.id limit ?",
            (channel, after, limit),
        )
        return [
            Untold(id_, _alert(*rest), Turn(turn), text, asked_at)
            for id_, turn, text, asked_at, *rest in found
        ]

    def told(self, untold: Untold) -> None:
        with self._db.transaction():
            self._db.change(
                "update notices set told_at = ? where id = ?", (self._clock(), untold.id)
            )

    def waiting(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for alert_id, channel in self._db.rows(
            "select distinct alert_id, channel from notices where told_at is null order by channel"
        ):
            found.setdefault(alert_id, []).append(channel)
        return found


def _alert(
    id_: int,
    name: str,
    subject: str,
    severity: str,
    text: str,
    since: int,
    started_at: int | None,
    better_since: int | None,
    ended_at: int | None,
) -> Alert:
    return Alert(
        id_, name, subject, Severity(severity), text, since, started_at, better_since, ended_at
    )
