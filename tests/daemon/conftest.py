"""What is watched: a database, and a source on loopback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.receivers import MailReceiver, WebReceiver
from tests.daemon.watched import Provider, Watch, Watched
from tests.loopback import Loopback


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Begins to watch a new database, with what settings it takes."""
    opened: list[Watched] = []
    with WebReceiver() as hook, MailReceiver() as post:

        def begin(*arguments: Any) -> Watched:
            opened.append(Watched(tmp_path, hook, post, *arguments))
            return opened[-1]

        yield begin
        for watched in opened:
            watched.close()


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def asking(watch: Watch, provider: Provider) -> Iterator[Watched]:
    """Watches a series whose source is on loopback."""
    with Loopback(provider) as server:
        watched = watch(lambda tree: tree["sources"]["binance"].update(base_url=server.url))
        provider.clock = watched.clock
        yield watched
