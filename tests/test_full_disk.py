"""A disk with little room: fetch stops before it is full, and what is queued is still stored."""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3

from tests.conftest import Histq, source_at
from tests.disks import small_disks
from tests.hourly import HOUR_MS, PAGE, opens
from tests.loopback import Asked, Loopback, Says

MIB = 1024 * 1024
FETCH = ("fetch", "-q", "-s", "binance", "--from", "2018-01-01", "--to", "2024-01-01")


def hours(asked: Asked) -> Says:
    """With as many digits as real ones have, so that a page is as large."""
    values = ["3.14159", "4.2", "2.71828", "3.5", "1234.5678"]
    rows = [
        [t, *values, t + HOUR_MS - 1, "35.5", 7, "5.25", "17.125", "0"]
        for t in islice(opens(asked), PAGE)
    ]
    return Says(json.dumps(rows).encode())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """32 MiB."""
    with small_disks(tmp_path / "disk") as make:
        yield make(32 * MIB).folder


def value(path: Path, sql: str) -> int:
    with closing(sqlite3.connect(path)) as conn:
        (found,) = conn.execute(sql).fetchone()
        return int(found)


@pytest.mark.parametrize("command", ["fetch", "sync"])
def test_a_fetch_stops_before_the_disk_is_full_and_the_queue_drains(
    command: str, histq: Histq, small_disk: Path
) -> None:
    path = small_disk / "histq.db"
    small = {"HISTQ_DB": str(path), "HISTQ_DATABASE__MIN_FREE_BYTES": str(8 * MIB)}
    with Loopback(hours) as server:
        fetched = histq(command, *FETCH[1:], **small, **source_at("binance", server.url))
    queued = value(path, "select coalesce(sum(points), 0) from messages")
    stored = value(path, "select count(*) from prices")

    drained = histq("consume", "-q", **small)

    assert fetched.code == 1
    (line,) = [line for line in fetched.err.splitlines() if "MiB of the disk are free" in line]
    assert "free some room and run the command again" in line
    assert queued + stored > 10_000
    assert drained.code == 0
    assert value(path, "select count(*) from messages") == 0
    assert value(path, "select count(*) from prices") == queued + stored
    assert histq("db", "check", "--db", str(path)).code == 0


def test_a_fetch_asks_for_as_much_room_as_it_is_set_to(histq: Histq, place: Path) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        huge = {"HISTQ_DATABASE__MIN_FREE_BYTES": str(2**50)}
        refused = histq(*FETCH, "BTC", **huge, **settings)
        off = histq(*FETCH, "BTC", HISTQ_DATABASE__MIN_FREE_BYTES="0", **settings)

    assert refused.code == 1
    assert refused.out == ""
    assert "may take 1,073,741,824." in refused.err
    assert "Traceback" not in refused.err
    assert off.code == 0


def test_an_import_is_held_to_it_too(histq: Histq, place: Path) -> None:
    histq("init")
    (place / "BTCUSDT-1h-2024-01.csv").write_text(
        "1704067200000,3,4,2,3.5,1,1704070799999,35,7,5,17,0\n"
    )
    huge = {"HISTQ_DATABASE__MIN_FREE_BYTES": str(2**50)}
    arguments = ("import", "BTCUSDT-1h-2024-01.csv")

    refused = histq(*arguments, **huge)
    done = histq(*arguments)

    assert refused.code == 1
    assert "MiB of the disk are free" in refused.err
    assert done.code == 0


def test_a_backup_for_which_there_is_no_room_is_not_begun(
    histq: Histq, small_disk: Path, place: Path
) -> None:
    histq("init")
    with (small_disk / "ballast").open("wb") as ballast:
        ballast.write(b"\0" * (32 * MIB - 65_536))

    ended = histq("db", "backup", str(small_disk))

    assert ended.code == 1
    assert "MiB of the disk are free; name a place with room" in ended.err
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]
