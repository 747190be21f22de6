"""One back end in one world, and two processes that use it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from histq.queues import Queue
from tests.queues import BACK_ENDS, Bench, World


@pytest.fixture(params=BACK_ENDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(BACK_ENDS[request.param], tmp_path, stack)


@pytest.fixture
def world(bench: Bench) -> World:
    return bench.world


@pytest.fixture
def queue(bench: Bench) -> Queue:
    return bench.open("one")


@pytest.fixture
def other(bench: Bench) -> Queue:
    return bench.open("other")
