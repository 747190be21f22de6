"""A backup is whole or not there, never over the database, and tidies up only after itself."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3

from histq.config import load
from histq.db import Database
from histq.errors import DatabaseMissing, Stopped, Usage
from histq.host import owner_id
from histq.model import HOUR_MS, Candle
from histq.page import flatten
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.backup import BackupReport, Place, backup
from histq.stop import Stop
from tests.queues import BTC, draft

NOON = 1_704_110_400_000  # 2024-01-01T12:00Z
NAMED = "histq-20240101T120000Z.db"


@pytest.fixture
def opener(place: Path) -> Opener:
    flags = {"database": {"path": str(place / "histq.db")}}
    return Opener(load(flags, plain=True).settings, owner_id())


@pytest.fixture
def backends(opener: Opener) -> Iterator[Backends]:
    with opener.open(create=True) as opened:
        opened.store.write(BTC, flatten([Candle(0, close=1.5)]))
        opened.queue.put([draft(5)])
        yield opened


def made(opener: Opener, where: Place = Place(), *, now: int = NOON) -> BackupReport:  # noqa: B008
    return backup(opener, where, now, Stop(), lambda what, done, all_: None)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_backup_lies_beside_the_database_under_its_name_and_the_time(
    opener: Opener, backends: Backends, place: Path
) -> None:
    report = made(opener)

    (copy,) = report.copies
    assert copy.file == str(place / NAMED)
    assert copy.bytes == (place / NAMED).stat().st_size
    with Database.open(place / NAMED, create=False) as restored:
        assert restored.value("select close from prices") == 1.5
        assert restored.value("select count(*) from messages") == 1


def test_a_backup_in_a_folder_has_the_same_name(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    (tmp_path / "safe").mkdir()

    made(opener, Place(tmp_path / "safe"))

    assert names(tmp_path / "safe") == [NAMED]


def test_an_existing_file_is_replaced_only_by_force(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    file = tmp_path / "b.db"
    file.write_text("precious")

    with pytest.raises(Usage, match="--force replaces it"):
        made(opener, Place(file))
    assert file.read_text() == "precious"
    made(opener, Place(file, force=True))

    assert file.read_bytes()[:15] == b"SQLite format 3"


@pytest.mark.parametrize("name", ["histq.db", "histq.db-wal", "histq.db-lock", "link"])
def test_a_database_is_not_copied_onto_itself(
    name: str, opener: Opener, backends: Backends, place: Path
) -> None:
    (place / "link").symlink_to(place / "histq.db")

    with pytest.raises(Usage, match="the database itself"):
        made(opener, Place(place / name, force=True))

    assert backends.database.value("select count(*) from prices") == 1


@pytest.mark.parametrize(
    ("target", "keep", "told"),
    [
        ("absent/b.db", None, "there is no folder"),
        ("b.db", 3, "--keep counts the backups that histq names itself"),
        ("/dev/null", None, "no regular file"),
    ],
    ids=["no folder", "keep with a name", "a device"],
)
def test_a_target_that_makes_no_sense_is_refused(
    target: str, keep: int | None, told: str, opener: Opener, backends: Backends, place: Path
) -> None:
    with pytest.raises(Usage, match=told):
        made(opener, Place(place / target, keep))


def test_of_its_own_older_backups_it_keeps_as_many_as_it_is_told(
    opener: Opener, backends: Backends, place: Path
) -> None:
    for hour in range(4):
        made(opener, now=NOON + hour * HOUR_MS)
    foreign = place / "histq-20200101T000000Z.db"
    with closing(sqlite3.connect(foreign)) as conn:
        conn.execute("create table mine (a)")
    (place / "histq-20200101T000000Z.txt").touch()
    (place / "other-20200101T000000Z.db").write_bytes((place / NAMED).read_bytes())

    report = made(opener, Place(keep=2), now=NOON + 4 * HOUR_MS)

    assert [Path(path).name for path in report.removed] == [
        "histq-20240101T120000Z.db",
        "histq-20240101T130000Z.db",
        "histq-20240101T140000Z.db",
    ]
    assert [name for name in names(place) if name.startswith(("histq-", "other-"))] == [
        "histq-20200101T000000Z.db",
        "histq-20200101T000000Z.txt",
        "histq-20240101T150000Z.db",
        "histq-20240101T160000Z.db",
        "other-20200101T000000Z.db",
    ]


@pytest.mark.parametrize("where", ["copying", "checking"])
def test_a_stop_leaves_nothing(where: str, opener: Opener, backends: Backends, place: Path) -> None:
    stop = Stop()
    before = names(place)

    def tell(what: str, done: int, all_: int | None) -> None:
        if what.startswith(where):
            stop.set()

    with pytest.raises(Stopped):
        backup(opener, Place(), NOON, stop, tell)

    assert names(place) == before


def test_what_a_killed_backup_left_is_cleared_away(
    opener: Opener, backends: Backends, place: Path
) -> None:
    host, boot, *_ = owner_id().split(":")
    dead = f"{host}:{boot}:1:7:0000"  # process 1 started at another tick
    living = owner_id()
    left = [f".{NAMED}.{dead}.tmp", f".{NAMED}.{dead}.tmp-journal"]
    for name in (*left, f".{NAMED}.{living}.tmp", ".mine.tmp"):
        (place / name).touch()

    made(opener, now=NOON + HOUR_MS)

    assert {name for name in names(place) if name.endswith((".tmp", "-journal"))} == {
        f".{NAMED}.{living}.tmp",
        ".mine.tmp",
    }


def test_queue_and_store_of_their_own_are_copied_as_of_one_moment(place: Path) -> None:
    flags = {
        "database": {"path": str(place / "histq.db")},
        "queue": {"url": "sqlite:///queue.db"},
        "store": {"url": "sqlite:///prices.db"},
    }
    apart = Opener(load(flags, plain=True).settings, owner_id())
    apart.open(create=True).close()

    report = made(apart)

    assert [Path(copy.file).name for copy in report.copies] == [
        "histq-20240101T120000Z.db",
        "queue-20240101T120000Z.db",
        "prices-20240101T120000Z.db",
    ]
    with pytest.raises(Usage, match="name a folder for their copies"):
        made(apart, Place(place / "one.db"))


def test_there_is_no_backup_of_nothing(opener: Opener, place: Path) -> None:
    with pytest.raises(DatabaseMissing):
        made(opener)

    assert names(place) == []


def test_a_backup_is_as_private_as_the_database(
    opener: Opener, backends: Backends, place: Path
) -> None:
    (place / "histq.db").chmod(0o600)

    made(opener)

    assert (place / NAMED).stat().st_mode & 0o777 == 0o600
