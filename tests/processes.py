"""Processes of the program beside a test, and waiting for what they do."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

PATIENCE_S: Final = 60.0
POLL_S: Final = 0.01


def start(
    environ: dict[str, str], place: Path, *arguments: str, **extra: str
) -> "subprocess.Popen[str]":
    """histq in that folder; `extra` is more of its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "histq", *arguments],
        cwd=place,
        env={**environ, **extra},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(holds: Callable[[], bool]) -> None:
    """Returns once it holds; fails where it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(POLL_S)
