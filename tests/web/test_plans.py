"""Where answers come from: counters and ranges of keys, never a walk through the prices."""

from collections.abc import Iterator

import pytest

from histq.db import Database, Parameters, Row
from histq.pipeline.backends import Backends
from histq.queues.sqlite import SqliteQueue
from histq.settings import Settings
from histq.stores.sqlite import SqliteStore
from histq.web.api import ENDPOINTS, Endpoint, ready
from histq.web.figures import Totals, figures
from histq.web.query import Query
from histq.web.view import View
from tests.web import NOON, opener

RANGE = "SEARCH prices USING PRIMARY KEY (series_id=? AND timestamp>? AND timestamp<?)"


class Overheard(Database):
    """Writes down how SQLite goes about each statement."""

    steps: set[str]

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        if sql.lstrip().startswith(("select", "with")):
            plan = super().rows(f"explain query plan {sql}", parameters)
            self.steps.update(detail for *_, detail in plan)
        return super().rows(sql, parameters)


@pytest.fixture
def view(settings: Settings) -> View:
    folder = settings.database.path.parent
    return View(opener(settings), settings, [], folder, "0.1.0", "", lambda: NOON)


@pytest.fixture
def backends(settings: Settings) -> Iterator[Backends]:
    Overheard.steps = set()
    with Overheard.open(settings.database.path) as database:
        Overheard.steps.clear()
        yield Backends(database, SqliteQueue(database, owner="me"), SqliteStore(database))


def of_prices(steps: set[str]) -> set[str]:
    return {step for step in steps if "prices" in step.split() or "SCAN p" in step}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_an_answer_reads_no_prices_but_the_range_that_is_asked_for(
    endpoint: Endpoint, view: View, backends: Backends
) -> None:
    text = "source=binance&symbol=BTCUSDT&interval=1h" if endpoint.path == "/api/prices" else ""

    endpoint.answer(view, backends, Query(text, endpoint.names))

    assert Overheard.steps
    assert of_prices(Overheard.steps) == ({RANGE} if text else set())


def test_readiness_reads_neither_prices_nor_the_ledger(view: View, backends: Backends) -> None:
    ready(view, backends)

    assert Overheard.steps
    assert [step for step in Overheard.steps if {"prices", "spans"} & set(step.split())] == []


def test_metrics_read_no_prices(view: View, backends: Backends) -> None:
    assert len(list(figures(view, backends, Totals()))) > 20

    assert of_prices(Overheard.steps) == set()


def test_open_alerts_are_read_from_their_index(backends: Backends) -> None:
    backends.store.alerts.open()

    assert "SCAN a USING INDEX alerts_open" in Overheard.steps
