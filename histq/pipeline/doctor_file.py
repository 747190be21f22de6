"""What doctor looks at in the database file, on its disk, and in what it holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from histq.errors import DatabaseMissing, DiskFull
from histq.health import Wal, damage, fsync_ms, schema_version, wal
from histq.model import Depth
from histq.mounts import MOUNTINFO, mount
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.doctor import Check, Health, Probe
from histq.place import MIB, beside, free_bytes, refuse_full, size
from histq.queues import Holder

LARGE_WAL_BYTES: Final = 64 * MIB
SLOW_SYNC_MS: Final = 50.0
OLD_MESSAGE_S: Final = 86_400


def disk_probes(opener: Opener, mountinfo: Path = MOUNTINFO) -> list[Probe]:
    """What can be said whether there is a database or not."""
    path, settings = opener.path, opener.settings.database
    return [
        ("file system", lambda: file_system(path, mountinfo, allowed=settings.allow_network)),
        ("free space", lambda: free_space(path, settings.min_free_bytes)),
        ("commit", lambda: commit(path.absolute().parent)),
    ]


def file_system(path: Path, mountinfo: Path, *, allowed: bool) -> Iterator[Check]:
    found = mount(path, mountinfo)
    if found is None:
        yield Check("file system", Health.OK, "this system does not say what it is")
    elif found.network:
        yield Check(
            "file system",
            Health.WARNING if allowed else Health.FAILED,
            f"{found.kind} at {found.point} is another host's, where databases break",
            "move the database to a local disk, with --db or database.path",
        )
    elif found.uncertain:
        yield Check(
            "file system",
            Health.WARNING,
            f"{found.kind} at {found.point} may be another host's, where databases break",
            "use it only if it is a disk of this machine",
        )
    else:
        yield Check("file system", Health.OK, f"{found.kind} at {found.point}")


def free_space(path: Path, least_bytes: int) -> Iterator[Check]:
    free = free_bytes(path.absolute())
    held = size(path) + size(beside(path, "wal"))
    found = f"{free / MIB:,.0f} MiB are free, the database takes {held / MIB:,.1f} MiB"
    try:
        refuse_full(path.absolute(), least_bytes)
    except DiskFull:
        yield Check("free space", Health.FAILED, found, "free some room: histq fetch would stop")
        return
    if free < held:
        yield Check("free space", Health.WARNING, found, "a backup beside it would not fit")
    else:
        yield Check("free space", Health.OK, found)


def commit(folder: Path) -> Iterator[Check]:
    took_ms = fsync_ms(folder)
    found = f"a write reaches the disk in {took_ms:.1f} ms"
    if took_ms > SLOW_SYNC_MS:
        advice = "every page waits for one: use a faster disk, with --db"
        yield Check("commit", Health.WARNING, found, advice)
    else:
        yield Check("commit", Health.OK, found)


def database_probe(opener: Opener) -> Probe:
    """The file and what it holds."""

    def look() -> Iterator[Check]:
        try:
            backends = opener.open(create=False)
        except DatabaseMissing as error:
            yield Check("database", Health.WARNING, str(error))
            return
        with backends:
            yield from _files(backends)
            yield from queue(backends.queue.depth(), opener.settings.queue.alert_depth)
            yield from leases(backends.queue.holders())

    return "database", look


def _files(backends: Backends) -> Iterator[Check]:
    for database in backends.databases():
        told = f"{database.path}, {database.size_bytes() / MIB:,.1f} MiB"
        yield Check("database", Health.OK, f"{told}, schema {schema_version(database)}")
        yield from log(wal(database))
        if lines := damage(database, quick=True):
            advice = "restore a backup: histq db backup --help"
            yield Check("damage", Health.FAILED, f"{lines[0]} ({len(lines)} such lines)", advice)
        else:
            yield Check("damage", Health.OK, "SQLite's quick check finds none")


def log(found: Wal) -> Iterator[Check]:
    told = f"{found.bytes / MIB:,.1f} MiB"
    if found.pinned and found.bytes >= LARGE_WAL_BYTES:
        yield Check(
            "write-ahead log",
            Health.WARNING,
            f"{told}, and a reader keeps {found.pinned:,} pages in it",
            "end the program that has had the database open for long",
        )
    elif found.pinned:
        yield Check("write-ahead log", Health.OK, f"{told}; a reader is at work")
    else:
        yield Check("write-ahead log", Health.OK, told)


def queue(depth: Depth, alert_depth: int) -> Iterator[Check]:
    age_s = depth.oldest_age_s or 0.0
    found = f"{depth.points:,} points in {depth.messages:,} messages"
    if depth.messages:
        found += f", the oldest {age_s / 3600:,.1f} h old"
    if age_s > OLD_MESSAGE_S or depth.points > alert_depth:
        yield Check("queue", Health.WARNING, found, "run histq consume")
    else:
        yield Check("queue", Health.OK, found)


def leases(holders: list[Holder]) -> Iterator[Check]:
    living = sum(not holder.dead for holder in holders)
    dead = sum(holder.messages for holder in holders if holder.dead)
    if dead:
        found = f"{dead:,} messages are leased by processes that are dead"
        yield Check("leases", Health.WARNING, found, "run histq consume: it takes them at once")
    else:
        yield Check("leases", Health.OK, f"held by {living} processes" if living else "none held")
