"""What doctor makes of what it finds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.config import load
from histq.errors import Config, Stopped
from histq.health import Wal
from histq.model import Depth
from histq.pipeline import doctor_file, doctor_machine
from histq.pipeline.backends import Opener
from histq.pipeline.doctor import Check, Health, examine
from histq.queues import Holder

MIB = 1024 * 1024


def only(checks: Iterator[Check]) -> Check:
    (check,) = checks
    return check


def raising(error: BaseException) -> Iterator[Check]:
    yield Check("begun", Health.OK, "fine")
    raise error


def test_whatever_a_look_raises_the_rest_is_looked_at() -> None:
    told: list[str] = []

    diagnosis = examine(
        [
            ("ours", lambda: raising(Config("set it; like so"))),
            ("the system's", lambda: raising(PermissionError(13, "Permission denied"))),
            ("a mistake", lambda: raising(KeyError("x"))),
            ("last", lambda: [Check("last", Health.WARNING, "odd", "look")]),
        ],
        lambda check: told.append(check.check),
    )

    failures = [(one.check, one.found) for one in diagnosis.checks if one.health is Health.FAILED]
    assert failures == [
        ("ours", "set it; like so"),
        ("the system's", "[Errno 13] Permission denied"),
        ("a mistake", "unexpected KeyError: 'x'"),
    ]
    assert told == ["begun", "ours", "begun", "the system's", "begun", "a mistake", "last"]
    assert (diagnosis.failed, diagnosis.warnings, diagnosis.exit_code) == (3, 1, 3)


def test_warnings_alone_are_no_failure() -> None:
    look = [Check("x", Health.WARNING, "odd", "look")]

    assert examine([("x", lambda: look)], lambda check: None).exit_code == 0


def test_a_stop_is_no_finding() -> None:
    with pytest.raises(Stopped):
        examine([("x", lambda: raising(Stopped("stopped")))], lambda check: None)


@pytest.mark.parametrize(
    ("version", "health"),
    [("3.36.0", Health.FAILED), ("3.40.1", Health.WARNING), ("3.51.3", Health.OK)],
)
def test_sqlite_is_judged_by_its_version(version: str, health: Health) -> None:
    check = only(doctor_machine.sqlite(version))

    assert check.health is health
    assert ("one checkpointer, under its write lock" in check.found) is (health is Health.WARNING)


@pytest.mark.parametrize(
    ("limit", "health"), [(64, Health.WARNING), (1024, Health.OK), (-1, Health.OK)]
)
def test_few_open_files_are_a_warning(limit: int, health: Health) -> None:
    assert only(doctor_machine.open_files(limit)).health is health


def test_a_state_folder_that_will_be_made_is_fine(tmp_path: Path) -> None:
    assert only(doctor_machine.state(tmp_path / "a" / "b")).health is Health.OK
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_below_a_file_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a").touch()

    check = only(doctor_machine.state(tmp_path / "a" / "b"))

    assert check.health is Health.WARNING
    assert "HISTQ_STATE_DIR" in check.advice


@pytest.mark.parametrize(
    ("kind", "allowed", "health"),
    [
        ("ext4", False, Health.OK),
        ("nfs4", False, Health.FAILED),
        ("nfs4", True, Health.WARNING),
        ("fuse.something", False, Health.WARNING),
    ],
    ids=["a disk", "NFS", "NFS allowed", "FUSE"],
)
def test_a_file_system_is_judged_by_its_kind(
    kind: str, allowed: bool, health: Health, tmp_path: Path
) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"1 0 8:1 / / rw - {kind} a rw\n")

    check = only(doctor_file.file_system(tmp_path / "histq.db", mountinfo, allowed=allowed))

    assert check.health is health
    assert check.found.startswith(f"{kind} at /")


def test_a_disk_that_queueing_would_refuse_has_failed(tmp_path: Path) -> None:
    assert only(doctor_file.free_space(tmp_path / "histq.db", 0)).health is Health.OK
    assert only(doctor_file.free_space(tmp_path / "histq.db", 2**50)).health is Health.FAILED


@pytest.mark.parametrize(
    ("log", "health"),
    [
        (Wal(0, 0, 0), Health.OK),
        (Wal(500 * MIB, 32_000, 0), Health.OK),
        (Wal(MIB, 64, 3), Health.OK),
        (Wal(500 * MIB, 32_000, 31_000), Health.WARNING),
    ],
    ids=["empty", "large and free", "a reader at work", "large and held"],
)
def test_a_log_that_a_reader_makes_grow_is_a_warning(log: Wal, health: Health) -> None:
    assert only(doctor_file.log(log)).health is health


@pytest.mark.parametrize(
    ("points", "age_s", "health"),
    [
        (0, None, Health.OK),
        (10, 60.0, Health.OK),
        (10, 90_000.0, Health.WARNING),
        (20_000, 1.0, Health.WARNING),
    ],
    ids=["empty", "young", "old", "deep"],
)
def test_a_queue_that_nobody_drains_is_a_warning(
    points: int, age_s: float | None, health: Health
) -> None:
    depth = Depth(1, points, 1, 0, 0, 0, age_s)

    check = only(doctor_file.queue(depth, 10_000))

    assert check.health is health
    assert check.advice == ("run histq consume" if health is Health.WARNING else "")


def test_leases_of_the_dead_are_a_warning() -> None:
    living, dead = Holder("a", 3, dead=False), Holder("b", 2, dead=True)

    assert only(doctor_file.leases([])).found == "none held"
    assert only(doctor_file.leases([living])).found == "held by 1 processes"
    check = only(doctor_file.leases([living, dead]))
    assert (check.health, check.found) == (
        Health.WARNING,
        "2 messages are leased by processes that are dead",
    )


def test_a_database_that_is_not_there_yet_is_a_warning(tmp_path: Path) -> None:
    settings = load({"database": {"path": str(tmp_path / "histq.db")}}, plain=True).settings
    _, look = doctor_file.database_probe(Opener(settings, "h:b:1:0:x"))

    (check,) = look()

    assert check.health is Health.WARNING
    assert check.found.endswith("histq fetch or histq init makes one")
    assert list(tmp_path.iterdir()) == []
