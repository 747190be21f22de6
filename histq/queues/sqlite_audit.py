"""Whether the SQLite queue adds up: messages and bodies, what they claim, and the dead letters."""

import json
from collections.abc import Iterator
from typing import Final

from histq.db import Database, Row
from histq.errors import Poison
from histq.findings import Finding, some
from histq.model import WIDTH, Depth, Kind, Series, Window
from histq.page import from_json, unpack
from histq.queues import Held

ROWS_A_READ: Final = 200

_CUT_OFF: Final = "restore a backup, or delete these rows; histq gaps then shows what is missing"


def held(db: Database) -> Iterator[Held]:
    """The windows of all messages and dead letters."""
    for table, dead in (("messages", False), ("dead_letters", True)):
        found = db.rows(f'select source, symbol, interval, start, "end" from {table}')
        for *series, start, end in found:
            yield Held(Series(*series), Window(start, end), dead)


def audit(db: Database, depth: Depth) -> Iterator[Finding]:
    """What does not add up; `depth` is what the queue says of itself."""
    yield from _pairs(db)
    yield from _leases(db)
    messages = points = 0
    for id_, claimed, body in _bodies(db):
        messages, points = messages + 1, points + claimed
        yield from _body(id_, claimed, body)
    letters = 0
    for id_, kind, claimed, raw_data in _letters(db):
        letters += 1
        if why := _flaw(Kind(kind), claimed, raw_data):
            yield Finding(f"dead letter {id_}", why, f"look at it with histq dlq show {id_}")
    yield from _depth(depth, messages, points, letters)


def _pairs(db: Database) -> Iterator[Finding]:
    lonely = db.rows("select id from messages where id not in (select message_id from bodies)")
    if lonely:
        what = f"{len(lonely)} messages have no body (ids {some(i for (i,) in lonely)})"
        yield Finding("messages", what, _CUT_OFF)
    lonely = db.rows(
        "select message_id from bodies where message_id not in (select id from messages)"
    )
    if lonely:
        what = f"{len(lonely)} bodies have no message (ids {some(i for (i,) in lonely)})"
        yield Finding("bodies", what, _CUT_OFF)


def _leases(db: Database) -> Iterator[Finding]:
    wrong = db.rows(
        'select id from messages where (token is null) <> (owner is null) or start >= "end"'
        " or deliveries < 0 or failures < 0"
    )
    if wrong:
        what = f"{len(wrong)} messages have an impossible lease or window"
        yield Finding("messages", f"{what} (ids {some(i for (i,) in wrong)})", _CUT_OFF)


def _bodies(db: Database) -> Iterator[Row]:
    """(id, claimed points, body or None) of every message, a bounded read each."""
    last = -1
    while found := db.rows(
        "select id, points, body from messages left join bodies on message_id = id"
        " where id > ? order by id limit ?",
        (last, ROWS_A_READ),
    ):
        yield from found
        last = found[-1][0]


def _body(id_: int, claimed: int, body: bytes | None) -> Iterator[Finding]:
    if body is None:
        return  # told already
    try:
        points = len(unpack(body)) // WIDTH
    except Poison as error:
        yield Finding(f"message {id_}", str(error), "histq consume buries it, and dlq shows it")
        return
    if points != claimed:
        what = f"claims {claimed:,} points and holds {points:,}"
        yield Finding(f"message {id_}", what, "histq consume stores what it holds")


def _letters(db: Database) -> Iterator[Row]:
    last = -1
    while found := db.rows(
        "select id, kind, points, raw_data from dead_letters where id > ? order by id limit ?",
        (last, ROWS_A_READ),
    ):
        yield from found
        last = found[-1][0]


def _flaw(kind: Kind, claimed: int, raw_data: str) -> str:
    """Why the letter cannot be what it says; empty for a good one."""
    if kind is Kind.BODY:
        return _body_flaw(raw_data)
    try:
        packed = from_json(raw_data)
    except Poison as error:
        return str(error)
    try:
        points = len(unpack(packed)) // WIDTH
    except Poison:
        return ""  # bytes that were no page are kept as they came
    return "" if points == claimed else f"claims {claimed:,} points and holds {points:,}"


def _body_flaw(raw_data: str) -> str:
    try:
        shown = json.loads(raw_data)
    except ValueError as error:
        return f"is no JSON: {error}"
    if not isinstance(shown, dict) or not {"bytes", "cut", "answered_at"} <= shown.keys():
        return "does not say what the body was"
    return "" if {"body", "base64"} & shown.keys() else "holds no body"


def _depth(depth: Depth, messages: int, points: int, letters: int) -> Iterator[Finding]:
    counted = {"messages": messages, "points": points, "dead": letters}
    for name, number in counted.items():
        if (said := getattr(depth, name)) != number:
            what = f"says {said:,} {name} and holds {number:,}"
            yield Finding("queue", what, "restore a backup, or run sqlite3's reindex on the file")
    if depth.ready + depth.leased + depth.delayed != depth.messages:
        what = f"{depth.ready} ready, {depth.leased} leased and {depth.delayed} delayed"
        advice = "restore a backup, or run sqlite3's reindex on the file"
        yield Finding("queue", f"{what} are not {depth.messages} messages", advice)
