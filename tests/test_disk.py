"""A disk without room, one that fails, one that only reads: told in a line, and nothing is lost."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from histq.db import WAL_BYTES, Database
from histq.errors import DiskFull
from histq.model import HOUR_MS, Candle, Draft, Span, State, Window
from histq.pipeline.backends import Backends, Opener
from tests.audit import state
from tests.cli.test_collect import FETCH
from tests.conftest import Ended, Histq, source_at
from tests.disks import SmallDisk, small_disks
from tests.hourly import hours
from tests.loopback import Loopback
from tests.pipeline import BTC, ETH, START, candle, configured, draft, run

MIB = 1024 * 1024
SLOTS = 700
TO_THE_BRIM = {"HISTQ_DATABASE__MIN_FREE_BYTES": "0"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], SmallDisk]]:
    with small_disks(tmp_path / "disk") as make:
        yield make


def assert_one_line(ended: Ended, code: int, said: str) -> None:
    assert ended.code == code, ended
    assert len(ended.err.splitlines()) == 1, ended.err
    assert said in ended.err
    assert ended.out == ""


def test_a_disk_that_is_full_stops_fetch_and_consume_and_both_go_on_when_there_is_room(
    small_disk: Callable[[int], SmallDisk], histq: Histq, place: Path
) -> None:
    disk = small_disk(3 * MIB)
    with Loopback(hours) as server:
        settings = {**source_at("binance", server.url), **TO_THE_BRIM}
        everywhere = {**settings, "HISTQ_DB": str(disk.folder / "histq.db")}
        histq("init", **everywhere)
        disk.fill(but=96 * 1024)
        fetched = histq(*FETCH, **everywhere)
        disk.empty()
        again = histq(*FETCH, **everywhere)
        disk.fill(but=96 * 1024)
        consumed = histq("consume", **everywhere)
        stats = histq("stats", "--json", **everywhere)
        disk.empty()
        disk.enlarge(16 * MIB)
        drained = histq("consume", **everywhere)
        histq(*FETCH, **settings)
        histq("consume", **settings)

    assert_one_line(fetched, 1, "the disk is full; free some room")
    assert again.code == 0
    assert_one_line(consumed, 1, "the disk is full; free some room")
    assert stats.document["queue"]["messages"] > 0
    assert drained.code == 0
    assert state(disk.folder / "histq.db") == state(place / "histq.db")


def test_a_disk_without_room_for_the_files_beside_a_database_is_full(
    small_disk: Callable[[int], SmallDisk],
) -> None:
    disk = small_disk(4 * MIB)
    opener = configured(disk.folder)
    opener.open(create=True).close()
    disk.fill(but=0)

    with pytest.raises(DiskFull, match="the disk is full"):
        opener.open(create=True)


def pages(count: int) -> list[Draft]:
    """Large ones, one after the other."""
    return [
        draft([candle(slot) for slot in range(first, first + SLOTS)])._replace(
            window=Window(START + first * HOUR_MS, START + (first + SLOTS) * HOUR_MS)
        )
        for first in range(0, count * SLOTS, SLOTS)
    ]


def put_until_full(backends: Backends) -> int:
    """How many messages of a MiB were put, the one that met the end of the disk included."""
    for number in range(1, 64):
        try:
            backends.queue.put([Draft(ETH, Window(number, number + 1), 1, bytes(MIB))])
        except DiskFull:
            return number
    pytest.fail("the disk is never full")


def test_a_disk_that_is_full_at_a_checkpoint_loses_nothing(
    small_disk: Callable[[int], SmallDisk],
) -> None:
    disk = small_disk(WAL_BYTES + 6 * MIB)
    opener = configured(disk.folder)
    with opener.open(create=True) as backends:
        backends.queue.put(pages(3))
        put = put_until_full(backends)
        log = (disk.folder / "histq.db-wal").stat().st_size
        dead = backends.queue.depth().messages - 3
    disk.enlarge(128 * MIB)

    report = run(opener)

    assert log >= WAL_BYTES
    assert dead == put  # the last one too: it was committed before its checkpoint met the full disk
    assert (report.inserted, report.dead) == (3 * SLOTS, dead)
    assert state(disk.folder / "histq.db")["messages"] == []


class CrampedOpener(Opener):
    """Opens a database that may grow by so many pages and no more."""

    room: int

    def open(self, *, create: bool) -> Backends:
        opened = Opener(self.settings, self.owner).open(create=create)
        cramp(opened.database, self.room)
        return opened


def cramp(database: Database, room: int) -> None:
    pages = database.value("pragma page_count") - database.value("pragma freelist_count")
    database.rows(f"pragma max_page_count = {pages + room}")


@pytest.mark.parametrize("room", range(0, 8))
def test_a_put_that_finds_no_room_puts_all_or_nothing(room: int, tmp_path: Path) -> None:
    drafts = pages(3)
    with configured(tmp_path).open(create=True) as backends:
        cramp(backends.database, room)

        def fetch_one() -> None:
            with backends.transaction():
                backends.queue.put(drafts)
                backends.store.record(BTC, [Span(*drafts[0].window, State.QUEUED)])

        with pytest.raises(DiskFull, match="the disk is full"):
            fetch_one()

        assert backends.queue.depth().messages == 0
        assert backends.store.spans(BTC) == []
        cramp(backends.database, 1000)
        fetch_one()
        assert backends.queue.depth().messages == 3


def end_state(folder: Path, rooms: list[int]) -> dict[str, list[Any]]:
    """After a consume in each of these rooms, and one with room enough."""
    opener = configured(folder)
    with opener.open(create=True) as backends:
        backends.queue.put([*pages(3), draft([Candle(START)], ETH, slots=1)])
    for room in rooms:
        cramped = CrampedOpener(*opener)
        CrampedOpener.room = room
        with pytest.raises(DiskFull, match="the disk is full"):
            run(cramped)
    run(opener)
    return state(folder / "histq.db")


def test_a_consume_that_finds_no_room_leaves_the_queue_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "enough").mkdir()
    (tmp_path / "cramped").mkdir()
    expected = end_state(tmp_path / "enough", [])

    found = end_state(tmp_path / "cramped", [0, 1, 2, 4])

    assert found == expected
    assert len(found["prices"]) == 3 * SLOTS


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Makes every write past so many bytes of a file fail, in processes that begin from now on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_stops_the_run_and_leaves_the_queue_for_the_next(
    file_limit: Callable[[int], None], histq: Histq, place: Path
) -> None:
    opener = configured(place)
    with opener.open(create=True) as backends:
        backends.queue.put(pages(3))
    file_limit(64 * 1024)

    failed = histq("consume", "--concurrency", "2", forked=False)
    file_limit(resource.RLIM_INFINITY)

    assert_one_line(failed, 1, "disk I/O error")
    with opener.open(create=False) as backends:
        assert backends.queue.depth().messages == 3
        assert backends.database.value("select max(failures) from messages") == 0
    assert histq("consume", "--json").document["inserted"] == 3 * SLOTS
    assert state(place / "histq.db")["letters"] == []


@pytest.mark.parametrize("command", [("consume",), FETCH], ids=["consume", "fetch"])
def test_a_disk_that_only_reads_is_a_matter_of_settings(
    command: tuple[str, ...], small_disk: Callable[[int], SmallDisk], histq: Histq
) -> None:
    disk = small_disk(8 * MIB)
    where = {**TO_THE_BRIM, "HISTQ_DB": str(disk.folder / "histq.db")}
    with configured(disk.folder).open(create=True) as backends:
        backends.queue.put(pages(1))
    disk.read_only(True)

    refused = histq(*command, **where)
    disk.read_only(False)

    assert_one_line(refused, 5, "--db")
    assert histq("consume", "--json", **where).document["inserted"] == SLOTS
