from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from histq.settings import Settings
from tests.web import lay, serving, settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a database that is laid."""
    made = settings_in(tmp_path)
    lay(made)
    return made


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with serving(settings) as connected:
        yield connected
