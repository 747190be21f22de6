"""SIGKILL at any moment costs nothing: run again, and the table is that of an undisturbed run."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audit import state
from tests.conftest import source_at
from tests.killable import Death, Killable
from tests.loopback import Asked, Loopback, Says

HOUR_MS = 3_600_000
START = 1_704_067_200_000  # 2024-01-01
SLOTS = 1_500
OUTAGE = range(1_200, 1_203)
FETCH = ("fetch", "-q", "BTCUSDT", "ETHUSDT", "-s", "binance", "--from", "2024-01-01", "--to")
UNTIL = "2024-03-03T12:00Z"  # 1,500 hours later

# Every kind of write in every kind of transaction; a kill comes before the first and the second.
FETCH_WRITES = (
    "begin immediate",
    "create table",
    "insert into runs",
    "insert into series",
    "insert into messages",
    "insert into spans",
    "delete from spans",
    "delete from dead_letters",
    "commit",
)
CONSUME_WRITES = (
    "begin immediate",
    "update messages set token",
    "delete from messages",
    "insert or ignore into prices",
    "update series set points",
    "insert into dead_letters",
    "insert into spans",
    "delete from spans",
    "insert into ingestion_stats",
    "commit",
)
MOMENTS = 12


def _klines(asked: Asked) -> Says:
    """Hours of both symbols, an outage of three, and one candle whose high is below its low."""
    start, end = int(asked.query["startTime"]), int(asked.query["endTime"])
    rows: list[list[Any]] = []
    for slot in range(SLOTS):
        opened = START + slot * HOUR_MS
        if start <= opened <= end and slot not in OUTAGE:
            high = "1.0" if slot == 700 and asked.query["symbol"] == "ETHUSDT" else "9.0"
            close = f"{2 + slot / 1000}"
            row = [opened, "3.0", high, "2.0", close, "5.5", opened + HOUR_MS - 1, "1.5", 7]
            rows.append([*row, "2.5", "0.5", "0"])
    return Says(json.dumps(rows[:1000]).encode())


@pytest.fixture
def killable(environ: dict[str, str]) -> Iterator[Killable]:
    with Loopback(_klines) as server:
        settings = source_at("binance", server.url)
        with Killable({**environ, **settings}, Path(__file__).parent.parent) as killable:
            yield killable


def _fetch(killable: Killable, place: Path, **kill: Any) -> Death:
    return killable.run(*FETCH, UNTIL, cwd=place, **kill)


def _consume(killable: Killable, place: Path, **kill: Any) -> Death:
    return killable.run("consume", "-q", "--concurrency", "2", cwd=place, **kill)


@pytest.fixture
def undisturbed(killable: Killable, tmp_path: Path) -> tuple[dict[str, list[Any]], int, int]:
    """The end state of runs that nobody kills, and how many statements each of them takes."""
    place = _folder(tmp_path, "undisturbed")
    fetched = _fetch(killable, place)
    consumed = _consume(killable, place)
    assert (fetched.status, consumed.status) == (0, 3)  # 3: one candle is a dead letter
    found = state(place / "histq.db")
    assert len(found["prices"]) == 2 * (1_500 - 3) - 1
    assert [row[:5] for row in found["letters"]] == [
        ("candle", "ETHUSDT", START + 700 * HOUR_MS, 1, "poison")
    ]
    return found, fetched.statements, consumed.statements


def _folder(tmp_path: Path, name: str) -> Path:
    place = tmp_path / name
    place.mkdir()
    return place


def _kills(kinds: tuple[str, ...], writes: int) -> list[dict[str, Any]]:
    """The first and the second write of each kind, and moments spread over the whole run."""
    of_each = [{"kind": kind, "at": at} for kind in kinds for at in (1, 2)]
    spread = [{"at": at} for at in range(1, writes + 1, max(1, writes // MOMENTS))]
    return [*of_each, *spread]


def _struck(deaths: list[Death], kinds: tuple[str, ...]) -> set[str]:
    """The kinds of which one was the write that a process died before."""
    killed = [death.statement.lower() for death in deaths if death.status == -9]
    return {kind for kind in kinds if any(write.startswith(kind) for write in killed)}


def test_a_killed_fetch_run_again_ends_as_if_undisturbed(
    killable: Killable,
    undisturbed: tuple[dict[str, list[Any]], int, int],
    in_memory: Path,
) -> None:
    expected, writes, _ = undisturbed

    deaths = []
    for number, kill in enumerate(_kills(FETCH_WRITES, writes)):
        place = _folder(in_memory, f"fetch-{number}")
        deaths.append(_fetch(killable, place, **kill))
        assert _fetch(killable, place).status == 0
        _consume(killable, place)
        assert state(place / "histq.db") == expected, f"{kill}: {deaths[-1].statement}"

    assert _struck(deaths, FETCH_WRITES) == set(FETCH_WRITES)
    assert sum(death.status == -9 for death in deaths) >= 25


def test_a_killed_consume_run_again_ends_as_if_undisturbed(
    killable: Killable,
    undisturbed: tuple[dict[str, list[Any]], int, int],
    in_memory: Path,
) -> None:
    expected, _, writes = undisturbed
    queued = _folder(in_memory, "queued")
    _fetch(killable, queued)

    deaths = []
    for number, kill in enumerate(_kills(CONSUME_WRITES, writes)):
        place = _folder(in_memory, f"consume-{number}")
        shutil.copy(queued / "histq.db", place / "histq.db")
        deaths.append(_consume(killable, place, **kill))
        _consume(killable, place)
        assert state(place / "histq.db") == expected, f"{kill}: {deaths[-1].statement}"

    assert _struck(deaths, CONSUME_WRITES) == set(CONSUME_WRITES)
    assert sum(death.status == -9 for death in deaths) >= 25


def test_a_sync_killed_after_any_time_ends_as_if_undisturbed(
    killable: Killable,
    undisturbed: tuple[dict[str, list[Any]], int, int],
    tmp_path: Path,
) -> None:
    expected, _, _ = undisturbed
    sync = ("sync", *FETCH[1:], UNTIL)

    statuses = []
    for centiseconds in range(2, 42, 4):
        place = _folder(tmp_path, f"sync-{centiseconds}")
        death = killable.run(*sync, cwd=place, after_s=centiseconds / 100)
        statuses.append(death.status)
        killable.run(*sync, cwd=place)
        assert state(place / "histq.db") == expected, f"killed after {centiseconds / 100} s"

    assert statuses.count(-9) >= 5
