"""Reading one moment of a database, and copying it, while others write."""

from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3

from histq.db import Database
from histq.errors import Stopped
from histq.place import beside


@pytest.fixture
def path(place: Path) -> Path:
    return place / "histq.db"


def note(db: Database, name: str) -> None:
    db.rows("insert into series (source, symbol, interval, created_at) values (?,'','',0)", [name])


def notes(db: Database) -> list[str]:
    return [source for (source,) in db.rows("select source from series order by id")]


def fill(db: Database, rows: int) -> None:
    with db.transaction():
        note(db, "first")
        db.change_many(
            "insert into prices (series_id, timestamp, close, created_at) values (1, ?, 1.5, 0)",
            [(i,) for i in range(rows)],
        )


def test_a_snapshot_does_not_see_what_is_written_meanwhile(path: Path) -> None:
    with Database.open(path) as reader, Database.open(path) as writer:
        note(writer, "before")

        with reader.snapshot():
            note(writer, "during")
            assert notes(reader) == ["before"]

        assert notes(reader) == ["before", "during"]


def test_a_snapshot_ends_when_what_is_done_in_it_fails(path: Path) -> None:
    with Database.open(path) as db:
        with pytest.raises(ZeroDivisionError), db.snapshot():
            raise ZeroDivisionError

        with db.transaction():
            note(db, "after")
        assert notes(db) == ["after"]


def test_a_copy_has_what_the_snapshot_has_although_others_write_between_its_steps(
    path: Path, place: Path
) -> None:
    file = place / "copy.db"
    file.touch()
    steps: list[tuple[int, int]] = []
    with Database.open(path) as reader, Database.open(path) as writer:
        fill(writer, 1_500_000)

        def tell(pages: int, all_: int) -> None:
            steps.append((pages, all_))
            note(writer, f"at page {pages}")

        with reader.snapshot():
            reader.copy_to(file, tell)

        assert len(notes(writer)) == 1 + len(steps)
    with closing(sqlite3.connect(file)) as copy:
        assert copy.execute("select source from series").fetchall() == [("first",)]
        assert copy.execute("select count(*) from prices").fetchone() == (1_500_000,)
        assert copy.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert len(steps) > 1  # it takes several, so there were writes in between
    assert steps[-1][0] == steps[-1][1]


def test_a_copy_is_one_file(path: Path, place: Path) -> None:
    (place / "to").mkdir()
    file = place / "to" / "copy.db"
    file.touch()

    with Database.open(path) as db, db.snapshot():
        db.copy_to(file, lambda pages, all_: None)

    assert [entry.name for entry in (place / "to").iterdir()] == ["copy.db"]


def test_a_copy_opens_as_a_database(path: Path, place: Path) -> None:
    file = place / "copy.db"
    file.touch()
    with Database.open(path) as db:
        note(db, "kept")
        with db.snapshot():
            db.copy_to(file, lambda pages, all_: None)

    with Database.open(file, create=False) as copy:
        assert notes(copy) == ["kept"]
        assert copy.value("pragma journal_mode") == "wal"


def test_whoever_is_told_of_the_steps_can_end_the_copy(path: Path, place: Path) -> None:
    file = place / "copy.db"
    file.touch()

    def tell(pages: int, all_: int) -> None:
        raise Stopped("enough")

    with Database.open(path) as db:
        with pytest.raises(Stopped, match="enough"), db.snapshot():
            db.copy_to(file, tell)
        note(db, "goes on")

        assert notes(db) == ["goes on"]


def test_a_copy_does_not_checkpoint_the_database(path: Path, place: Path) -> None:
    file = place / "copy.db"
    file.touch()
    with Database.open(path) as db:
        fill(db, 1000)
        before = path.stat()

        with db.snapshot():
            db.copy_to(file, lambda pages, all_: None)

        after = path.stat()
        assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        assert beside(path, "wal").stat().st_size > 0
