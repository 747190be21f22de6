"""What doctor looks at on the machine: programs, limits, folders."""

import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from histq.db import SQLITE_VERSION
from histq.health import has_reset_race
from histq.pipeline.doctor import Check, Health, Probe

OLDEST_SQLITE: Final = (3, 37, 0)  # strict tables
FEW_FILES: Final = 256
"""Five workers with their connections, five requests a source, and room to spare."""


def machine_probes(state_folder: Path) -> list[Probe]:
    return [
        ("python", python),
        ("sqlite", lambda: sqlite(SQLITE_VERSION)),
        ("open files", lambda: open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])),
        ("state folder", lambda: state(state_folder)),
    ]


def python() -> Iterator[Check]:
    yield Check("python", Health.OK, f"{platform.python_version()} on {platform.system()}")


def sqlite(version: str) -> Iterator[Check]:
    """The library that this Python links."""
    if tuple(int(part) for part in version.split(".")[:3]) < OLDEST_SQLITE:
        found = f"{version} has no strict tables"
        yield Check("sqlite", Health.FAILED, found, "use a Python with SQLite 3.37 or newer")
    elif has_reset_race(version):
        yield Check(
            "sqlite",
            Health.WARNING,
            f"{version} can corrupt a database that two connections checkpoint at once; histq has"
            " one checkpointer, under its write lock, so that histq alone does not",
            "let no other program write to the file, or use SQLite 3.51.3, 3.50.7 or 3.44.6",
        )
    else:
        yield Check("sqlite", Health.OK, version)


def open_files(limit: int) -> Iterator[Check]:
    """`limit` as the system says it: negative is none."""
    if 0 <= limit < FEW_FILES:
        found = f"this shell allows {limit} at once"
        yield Check("open files", Health.WARNING, found, "run ulimit -n 1024 first")
    else:
        yield Check("open files", Health.OK, f"{limit:,} at once" if limit >= 0 else "no limit")


def state(folder: Path) -> Iterator[Check]:
    """Whether the request budgets can be kept where all histq of this user look for them."""
    present = folder
    while not present.exists() and present != present.parent:
        present = present.parent
    if present.is_dir() and os.access(present, os.W_OK | os.X_OK):
        yield Check("state folder", Health.OK, f"request budgets are kept in {folder}")
    else:
        yield Check(
            "state folder",
            Health.WARNING,
            f"{folder} cannot be written, so request budgets go to the temporary folder",
            "make it writable, or set HISTQ_STATE_DIR to a folder that is",
        )
