"""`db backup`: a copy of one moment, while everything runs, that is whole or not there."""

import contextlib
import errno
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from histq.db import APPLICATION_ID, Database, foreign_rows
from histq.errors import Config, DiskFull, Usage
from histq.host import is_dead
from histq.pipeline.audit import Tell
from histq.pipeline.backends import Opener
from histq.pipeline.interruptible import interruptible
from histq.place import MIB, beside, free_bytes, part_of, to_disk
from histq.stop import Stop

_STAMP: Final = r"-\d{8}T\d{6}Z"


class Place(NamedTuple):
    """Where a copy goes: into a file, or under a name of ours into a folder.

    With `keep` only so many of the copies named by us stay there, this one included.
    """

    target: Path | None = None
    keep: int | None = None
    force: bool = False


class Copied(msgspec.Struct, frozen=True):
    database: str
    file: str
    bytes: int


class BackupReport(msgspec.Struct):
    copies: list[Copied]
    removed: list[str]
    elapsed_ms: int = 0


class _Copy(NamedTuple):
    database: Database
    file: Path
    temporary: Path


def backup(opener: Opener, place: Place, now: int, stop: Stop, tell: Tell) -> BackupReport:
    """Copies every SQLite file of the settings, all as of one moment.

    Raises Usage for a target that must not be written, Config for one that cannot be and for a
    copy that is damaged, DiskFull, Stopped, DatabaseMissing.
    """
    began = time.monotonic()
    with opener.open(create=False) as backends:
        databases = backends.databases()
        copies = [
            _Copy(database, file, file.with_name(f".{file.name}.{opener.owner}.tmp"))
            for database, file in zip(databases, _files(databases, place, now), strict=True)
        ]
        _clear_up(copies)
        try:
            with backends.snapshot():
                for copy in copies:
                    _write(copy, stop, tell)
            report = BackupReport([_finish(copy, stop, tell) for copy in copies], [])
        finally:
            for copy in copies:
                _discard(copy.temporary)
        if place.keep is not None:
            for copy in copies:
                report.removed += _remove_older(copy, place.keep)
    report.elapsed_ms = round((time.monotonic() - began) * 1000)
    return report


def _files(databases: Sequence[Database], place: Place, now: int) -> list[Path]:
    """Where each goes. Raises Usage and DiskFull before anything is written."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now / 1000))
    target = place.target
    named = target is not None and not target.is_dir()
    if named and place.keep is not None:
        raise Usage("--keep counts the backups that histq names itself; name a folder, or nothing")
    if named and len(databases) > 1:
        raise Usage(f"queue and store are {len(databases)} files; name a folder for their copies")
    if target is not None and named:
        files = [target.resolve()]  # through a link its target is replaced, not the link
    else:
        names = [(db, f"{db.path.stem}-{stamp}{db.path.suffix}") for db in databases]
        files = [(target or db.path.parent) / name for db, name in names]
    for database, file in zip(databases, files, strict=True):
        _refuse(file, databases, place.force)
        needed, free = database.size_bytes(), free_bytes(file)
        if free < needed:
            raise DiskFull(
                f"{file}: the copy may take {needed / MIB:,.1f} MiB, and {free / MIB:,.1f} MiB of"
                " the disk are free; name a place with room"
            )
    return files


def _refuse(file: Path, databases: Sequence[Database], force: bool) -> None:
    if not file.parent.is_dir():
        raise Usage(f"there is no folder {file.parent}; make it first, or name another")
    if any(part_of(file, database.path) for database in databases):
        raise Usage(f"{file} is the database itself, or a part of it; name another file")
    if file.exists() and not file.is_file():
        raise Usage(f"{file} is no regular file; name another")
    if file.exists() and not force:
        raise Usage(f"{file} exists already; --force replaces it")


def _clear_up(copies: Sequence[_Copy]) -> None:
    """Removes what earlier backups left that were killed."""
    for copy in copies:
        stem, suffix = (re.escape(part) for part in (copy.database.path.stem, copy.file.suffix))
        ours = re.compile(rf"\.(?:{stem}{_STAMP}{suffix}|{re.escape(copy.file.name)})\.(.+)\.tmp")
        for path in copy.file.parent.iterdir():
            found = ours.fullmatch(path.name)
            if found and found[1].count(":") == 4 and is_dead(found[1]):
                _discard(path)


def _discard(temporary: Path) -> None:
    for path in (temporary, *(beside(temporary, end) for end in ("journal", "wal", "shm"))):
        path.unlink(missing_ok=True)


def _write(copy: _Copy, stop: Stop, tell: Tell) -> None:
    def copied(pages: int, all_: int) -> None:
        tell(f"copying {copy.database.path.name}", pages, all_)
        if stop:
            raise stop.stopped("stopped while copying; no backup was made")

    with _translated(copy.file):
        copy.temporary.touch(copy.database.path.stat().st_mode & 0o777, exist_ok=False)
        copy.database.copy_to(copy.temporary, copied)


def _finish(copy: _Copy, stop: Stop, tell: Tell) -> Copied:
    """Puts the copy in its place once it is known to be whole and on disk."""
    tell(f"checking {copy.file.name}", 0, None)
    found = interruptible(lambda: list(foreign_rows(copy.temporary, "pragma quick_check")), stop)
    if found != [("ok",)]:
        raise Config(
            f"the copy of {copy.database.path} is damaged ({found[0][0]}), so none was made; histq"
            " db check says whether the database is"
        )
    if stop:
        raise stop.stopped("stopped while checking the copy; no backup was made")
    with _translated(copy.file):
        to_disk(copy.temporary)
        copy.temporary.replace(copy.file)
        to_disk(copy.file.parent)
    return Copied(str(copy.database.path), str(copy.file), copy.file.stat().st_size)


def _remove_older(copy: _Copy, keep: int) -> list[str]:
    """The oldest copies past the newest `keep`, by the time in the names that we gave them."""
    stem, suffix = (re.escape(part) for part in (copy.database.path.stem, copy.file.suffix))
    ours = re.compile(f"{stem}{_STAMP}{suffix}")
    found = [path for path in copy.file.parent.iterdir() if ours.fullmatch(path.name)]
    older = sorted(path for path in found if path.is_file() and _is_ours(path))[:-keep]
    with _translated(copy.file):
        for path in older:
            path.unlink()
    return [str(path) for path in older]


def _is_ours(path: Path) -> bool:
    """Whether its header says that histq made the database in it."""
    with path.open("rb") as file:
        header = file.read(72)
    return header[:15] == b"SQLite format 3" and header[68:] == APPLICATION_ID.to_bytes(4, "big")


@contextlib.contextmanager
def _translated(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(f"writing {file}: {error.strerror}; name a place with room") from error
        raise Config(f"writing {file}: {error.strerror}; name one that you may write") from error
