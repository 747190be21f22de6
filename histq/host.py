"""Who we are on this machine, what time it is, and whether another process of it lives."""

import functools
import hashlib
import os
import platform
import secrets
import time
from collections.abc import Callable
from pathlib import Path

Clock = Callable[[], int]
"""Gives the instant: Unix milliseconds, UTC."""


def wall_clock() -> int:
    return time.time_ns() // 1_000_000


def owner_id() -> str:
    """Names this process as no other is named, earlier or later, here or elsewhere."""
    pid = os.getpid()
    return f"{_host_id()}:{_boot_id()}:{pid}:{_start_ticks(pid)}:{secrets.token_hex(4)}"


def is_dead(owner: str) -> bool:
    """Whether `owner` was a process of this machine and lives no more. False if unknown."""
    host, boot, pid, start_ticks, _ = owner.split(":")
    if host != _host_id():
        return False
    return boot != _boot_id() or not _runs(int(pid), start_ticks)


def _runs(pid: int, start_ticks: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _start_ticks(pid) == start_ticks


@functools.cache
def _host_id() -> str:
    # Containers may share a host name and see each other's files, but not each other's processes:
    # the process namespace is part of what "this machine" means.
    namespace = Path("/proc/self/ns/pid")
    parts = [
        platform.node(),
        _text(Path("/etc/machine-id")),
        str(namespace.stat().st_ino) if namespace.exists() else "",
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@functools.cache
def _boot_id() -> str:
    return _text(Path("/proc/sys/kernel/random/boot_id"))[:8] or "0"


def _start_ticks(pid: int) -> str:
    """When the process started, in clock ticks since boot; tells two holders of one pid apart.

    Field 22 of /proc/PID/stat (proc(5)), counted after the name, which may hold spaces. "0" where
    there is no /proc, and then a reused pid looks alive until the lease runs out. A zombie, dead
    but not yet reaped by its parent, counts as gone.
    """
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    if fields and fields[0] in ("Z", "X"):
        return "gone"
    return fields[19] if len(fields) > 19 else "0"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
