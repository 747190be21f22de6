"""What can be said of a database file and its disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.db import Database
from histq.health import damage, fsync_ms, has_reset_race, reusable_bytes, schema_version, wal


@pytest.fixture
def db(place: Path) -> Iterator[Database]:
    with Database.open(place / "histq.db") as opened:
        yield opened


def note(db: Database, name: str) -> None:
    db.rows("insert into series (source, symbol, interval, created_at) values (?,'','',0)", [name])


@pytest.mark.parametrize(
    ("version", "race"),
    [
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
        ("4.0.0", False),
    ],
)
def test_a_sqlite_has_the_reset_race_unless_its_branch_was_mended(version: str, race: bool) -> None:
    assert has_reset_race(version) is race


def test_a_sound_file_has_no_damage(db: Database) -> None:
    assert damage(db, quick=True) == []
    assert damage(db, quick=False) == []


def test_the_schema_has_the_name_of_the_last_migration(db: Database) -> None:
    assert schema_version(db) == "0001_schema"


def test_what_was_deleted_can_be_filled_again(db: Database) -> None:
    with db.transaction():
        db.change_many(
            "insert into prices (series_id, timestamp, close, created_at) values (1, ?, 1.5, 0)",
            [(i,) for i in range(20_000)],
        )
    assert reusable_bytes(db) == 0

    db.rows("delete from prices")

    assert reusable_bytes(db) >= 10 * 16_384


def test_a_reader_keeps_pages_in_the_log(db: Database, place: Path) -> None:
    with Database.open(place / "histq.db") as reader:
        note(db, "before")
        with reader.snapshot():
            note(db, "after")

            held = wal(db)

        free = wal(db)

    assert held.pinned == 2  # the row's page, and that of its unique index
    assert held.bytes > 0
    assert free.pinned == 0


def test_a_write_to_the_disk_takes_time_and_leaves_nothing(place: Path) -> None:
    took_ms = fsync_ms(place)

    assert 0 < took_ms < 60_000
    assert list(place.iterdir()) == []
