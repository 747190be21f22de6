"""A database in a folder of its own, and how the workers open it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.config import load
from histq.pipeline.backends import Backends, Opener


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    settings = load({"database": {"path": str(tmp_path / "histq.db")}}, plain=True).settings
    return Opener(settings, "host:boot:1:0:test")


@pytest.fixture
def backends(opener: Opener) -> Iterator[Backends]:
    with opener.open(create=True) as opened:
        yield opened
