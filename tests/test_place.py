"""Where a database can be: not on another host's disk, and not on one that is nearly full."""

from pathlib import Path

import pytest

from histq.config import load
from histq.db import Database
from histq.errors import Config, DiskFull, Locked
from histq.pipeline.backends import Opener
from histq.place import beside, part_of, refuse_full


@pytest.fixture
def mountinfo(place: Path, tmp_path: Path) -> Path:
    """Says that the place is NFS."""
    file = tmp_path / "mountinfo"
    file.write_text(f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / {place.resolve()} rw - nfs4 b rw\n")
    return file


def opener(place: Path, mountinfo: Path, *, allow_network: bool) -> Opener:
    flags = {"database": {"path": str(place / "histq.db"), "allow_network": allow_network}}
    return Opener(load(flags, plain=True).settings, "h:b:1:0:x", mountinfo=mountinfo)


@pytest.mark.parametrize("create", [True, False], ids=["made", "opened"])
def test_a_database_on_a_network_file_system_is_refused(
    create: bool, place: Path, mountinfo: Path
) -> None:
    path = place / "histq.db"
    if not create:
        Database.open(path, mountinfo=None).close()

    with pytest.raises(Config, match=r"network file system \(nfs4 at .*place\)"):
        Database.open(path, create=create, mountinfo=mountinfo)

    assert path.exists() is not create


def test_commands_refuse_it_unless_the_settings_allow_it(place: Path, mountinfo: Path) -> None:
    with pytest.raises(Config, match=r"set database\.allow_network"):
        opener(place, mountinfo, allow_network=False).open(create=True)

    with opener(place, mountinfo, allow_network=True).open(create=True) as backends:
        assert backends.queue.depth().messages == 0


def test_a_queue_of_its_own_on_a_network_file_system_is_refused_too(
    place: Path, tmp_path: Path, mountinfo: Path
) -> None:
    flags = {
        "database": {"path": str(tmp_path / "histq.db")},
        "queue": {"url": f"sqlite:///{place}/queue.db"},
    }
    apart = Opener(load(flags, plain=True).settings, "h:b:1:0:x", mountinfo=mountinfo)

    with pytest.raises(Config, match="network file system"):
        apart.open(create=True)


def test_less_than_is_to_stay_free_is_refused_with_both_figures(place: Path) -> None:
    with pytest.raises(DiskFull, match=r"MiB of the disk are free, .* take 1,073,741,824\.0 MiB"):
        refuse_full(place / "histq.db", 2**50)


def test_twice_the_wal_is_to_stay_free(place: Path) -> None:
    path = place / "histq.db"
    with beside(path, "wal").open("wb") as wal:
        wal.truncate(2**43)  # a file of nothing but a hole: 8 TiB

    with pytest.raises(DiskFull, match=r"take 16,777,216\.0 MiB"):
        refuse_full(path, 1)


def test_nothing_is_refused_where_nothing_is_to_stay_free(place: Path) -> None:
    refuse_full(place / "absent" / "histq.db", 0)


@pytest.mark.parametrize("name", ["histq.db", "histq.db-wal", "histq.db-shm", "histq.db-lock"])
def test_the_files_of_a_database_are_known_by_their_names(name: str, place: Path) -> None:
    assert part_of(place / ".." / "place" / name, place / "histq.db")


def test_a_hard_link_to_a_database_is_the_database(place: Path) -> None:
    path = place / "histq.db"
    Database.open(path).close()
    (place / "other.db").hardlink_to(path)

    assert part_of(place / "other.db", path)
    assert not part_of(place / "third.db", path)


@pytest.mark.parametrize("there", [True, False], ids=["made", "not made yet"])
def test_a_link_to_a_database_has_the_locks_of_the_database(there: bool, place: Path) -> None:
    path, link = place / "histq.db", place / "link.db"
    if there:
        Database.open(path).close()
    link.symlink_to("histq.db")

    assert beside(link, "lock") == place.resolve() / "histq.db-lock"
    with (
        Database.open(path) as one,
        Database.open(link, lock_timeout_s=0) as other,
        one.exclusively(),
        pytest.raises(Locked),
        other.exclusively(),
    ):
        pass
    assert [file.name for file in place.iterdir() if file.name.startswith("link.db-")] == []
