"""Each back end in a world of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.stores import Store
from tests.stores import BACK_ENDS, Bench


@pytest.fixture(params=BACK_ENDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench()
    with BACK_ENDS[request.param](bench, tmp_path):
        yield bench


@pytest.fixture
def store(bench: Bench) -> Store:
    return bench.store
