"""What every test stands on: an isolated place, the program as a process, the recorded data."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

REALDATA = Path(__file__).parent.parent.parent / "shared" / "realdata"


class Ended(NamedTuple):
    """A process that ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


Histq = Callable[..., Ended]


@pytest.fixture
def realdata() -> Path:
    """The folder of recorded provider data; skips where it is absent."""
    if not REALDATA.is_dir():
        pytest.skip(f"recorded data is not here: {REALDATA}")
    return REALDATA


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder where a write to the disk costs nothing, on machines that have such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has no settings of their own."""
    home = tmp_path / "home"
    home.mkdir()
    return isolated(home)


def isolated(home: Path) -> dict[str, str]:
    """That of a user who has this home and nothing in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HISTQ_")}
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "HISTQ_STATE_DIR": str(home / "histq-state"),
        "COLUMNS": "160",
        "NO_PROXY": "*",
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder to run in."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def histq(environ: dict[str, str], place: Path) -> Histq:
    """Runs the program as a process: histq("fetch", "BTCUSDT", HISTQ_DB="x.db")."""

    def run(*arguments: str, cwd: Path = place, timeout: float = 120, **extra: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "histq", *arguments],
            cwd=cwd,
            env={**environ, **extra},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


def source_at(name: str, url: str, **settings: object) -> Mapping[str, str]:
    """Environment that points a source at `url`, without patience for retries."""
    values = {"base_url": url, "max_wait_s": 0, "requests_per_minute": 100_000, **settings}
    prefix = f"HISTQ_SOURCES__{name.upper()}__"
    return {f"{prefix}{key.upper()}": str(value) for key, value in values.items()}
