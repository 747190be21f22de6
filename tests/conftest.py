"""What every test stands on: an isolated place, the program as a process, the recorded data."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.forking import Forking

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


@pytest.fixture(scope="session")
def forking() -> Iterator[Forking]:
    """Starts histq without the time that its imports take."""
    with Forking() as server:
        yield server


@pytest.fixture
def histq(environ: dict[str, str], place: Path, tmp_path: Path, forking: Forking) -> Histq:
    """Runs the program as a process: histq("fetch", "BTCUSDT", HISTQ_DB="x.db")."""

    def run(
        *arguments: str,
        cwd: Path = place,
        timeout: float = 120,
        forked: bool = True,
        **extra: str,
    ) -> Ended:
        whole = {**environ, **extra}
        # What Python reads when it starts, and what a child of this process takes over.
        if not forked or any(name.startswith("PYTHON") for name in extra):
            return _started(arguments, cwd, whole, timeout)
        code = forking.run(arguments, cwd=cwd, environ=whole, output=tmp_path, timeout_s=timeout)
        out, err = ((tmp_path / name).read_text() for name in ("out", "err"))
        assert code is not None, f"histq {arguments} took longer than {timeout} s: {out} {err}"
        return Ended(code, out, err)

    return run


def _started(
    arguments: Sequence[str], cwd: Path, environ: Mapping[str, str], timeout: float
) -> Ended:
    ended = subprocess.run(
        [sys.executable, "-m", "histq", *arguments],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def source_at(name: str, url: str, **settings: object) -> Mapping[str, str]:
    """Environment that points a source at `url`, without patience for retries."""
    values = {"base_url": url, "max_wait_s": 0, "requests_per_minute": 100_000, **settings}
    prefix = f"HISTQ_SOURCES__{name.upper()}__"
    return {f"{prefix}{key.upper()}": str(value) for key, value in values.items()}
