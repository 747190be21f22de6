"""A process that ends before or after any statement costs nothing: every point once, no harm done.

The points are named by job, number, statement and side.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from histq.errors import Misshapen
from histq.model import HOUR_MS, Candle, Draft, Series, Window
from histq.page import flatten, pack
from histq.pipeline.backends import Backends
from histq.pipeline.letters import body_letter
from tests.audit import state
from tests.conftest import isolated
from tests.crashing import CRASHED, START, Point, candles
from tests.killable import Killable
from tests.pipeline import configured

BTC = Series("binance", "BTCUSDT", "1h")
ETH = Series("binance", "ETHUSDT", "1h")


def page(series: Series, first: int, rows: list[Candle]) -> Draft:
    window = Window(START + first * HOUR_MS, START + (first + len(rows)) * HOUR_MS)
    return Draft(series, window, len(rows), pack(flatten(rows)))


def refused_body(backends: Backends) -> None:
    """A body that was no candles, for the window that is answered now."""
    window = Window(START, START + 3 * HOUR_MS)
    backends.queue.keep([body_letter(BTC, window, Misshapen("cut off", b"<html>"), START)])


def mixed_batch(backends: Backends) -> None:
    """All kinds of candles and pages: good, bad, repeated, revised, and no page at all."""
    (later,) = candles(2, 1)
    bad = Candle(START + 4 * HOUR_MS, high=1.0, low=2.0, close=1.5)
    broken = page(ETH, 0, candles(0, 1))._replace(body=b"no page")
    first = page(BTC, 0, candles(0, 3))
    second = page(BTC, 2, [Candle(later.timestamp, close=7.0), *candles(3, 1), bad])
    backends.queue.put([first, second, broken])


def one_page(backends: Backends) -> None:
    backends.queue.put([page(ETH, 0, candles(0, 2))])


def last_try(backends: Backends) -> None:
    one_page(backends)
    backends.database.change("update messages set failures = 3, deliveries = 3")


def dead_page(backends: Backends) -> None:
    last_try(backends)
    (message,) = backends.queue.lease(1, 10, 60)
    backends.queue.retry(message, "storage")


def lease_of_the_dead(backends: Backends) -> None:
    """Three pages wait; one is leased by somebody who lives no more."""
    mixed_batch(backends)
    backends.queue.lease(1, 10, 600)


class Case(NamedTuple):
    """What is prepared, which job is done, and which of its transactions is not looked at.

    `fault` is that of the store when the job is done, `lasting` when it is done again.
    """

    prepare: Any
    job: str
    fault: str = ""
    lasting: str = ""
    skipped: int = 0
    statements: tuple[str, ...] = ()


CASES: Final = {
    "put": Case(
        refused_body,
        "put",
        statements=(
            *("insert into runs", "insert into messages", "insert into bodies"),
            *("delete from dead_letters", "insert into series", "insert into spans"),
        ),
    ),
    "lease": Case(lease_of_the_dead, "lease", statements=("update messages set token",)),
    "settle": Case(
        mixed_batch,
        "settle",
        skipped=2,
        statements=(
            *("insert or ignore into prices", "insert into revisions", "update series set points"),
            *("insert into spans", "insert into ingestion_stats", "insert into dead_letters"),
            *("delete from messages", "delete from bodies"),
        ),
    ),
    "retry": Case(
        one_page, "settle", fault="storage", skipped=3, statements=("update messages set token",)
    ),
    "exhaust": Case(
        last_try,
        "settle",
        fault="storage",
        lasting="storage",
        skipped=3,
        statements=("delete from messages", "insert into dead_letters", "insert into spans"),
    ),
    "bury": Case(
        one_page,
        "settle",
        fault="poison",
        lasting="poison",
        skipped=3,
        statements=("delete from messages", "insert into dead_letters", "insert into spans"),
    ),
    "redrive": Case(
        dead_page,
        "redrive",
        statements=("insert into messages", "insert into bodies", "delete from dead_letters"),
    ),
}


@pytest.fixture(scope="module")
def crashing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    root = Path(__file__).parent.parent
    with Killable(isolated(tmp_path_factory.mktemp("home")), root, "tests.crashing") as killable:
        yield killable


NOWHERE: Final = Point()


class Trial:
    """One case in a folder of its own, begun anew for each point."""

    def __init__(self, case: Case, crashing: Killable, folder: Path) -> None:
        self._case = case
        self._crashing = crashing
        self._folder = folder
        self._fresh = folder / "fresh"
        self._fresh.mkdir()
        with configured(self._fresh, "gone:boot:1:0:x").open(create=True) as backends:
            case.prepare(backends)

    def at(self, point: Point) -> tuple[int, list[str], dict[str, list[Any]]]:
        """How the process ended, the statements it came to, and the state after another try."""
        place = self._folder / f"{point.number}-{point.after}"
        shutil.copytree(self._fresh, place)
        case = self._case
        status, statements = self._do(place, case.job, fault=case.fault, hours=0, point=point)
        if case.job in ("put", "redrive"):
            self._do(place, case.job, hours=1)
        again, _ = self._do(place, "settle", fault=case.lasting, hours=1)
        assert again == 0
        return status, statements, state(place / "histq.db")

    def _do(
        self, place: Path, job: str, *, hours: int, fault: str = "", point: Point = NOWHERE
    ) -> tuple[int, list[str]]:
        status, told = self._crashing.order(
            cwd=str(place), job=job, fault=fault, hours=hours, point=point
        )
        return status, told or []


@pytest.mark.parametrize("name", CASES)
def test_a_process_that_ends_at_any_point_costs_nothing(
    name: str, crashing: Killable, in_memory: Path
) -> None:
    case = CASES[name]
    trial = Trial(case, crashing, in_memory)
    status, statements, expected = trial.at(Point(0, skipped=case.skipped))
    assert status == 0
    missed = {want for want in case.statements if not any(s.startswith(want) for s in statements)}
    assert missed == set()
    assert statements[0].startswith("begin")
    assert statements[-1].startswith("commit")

    for number, statement in enumerate(statements, 1):
        for after in (False, True):
            status, _, found = trial.at(Point(number, after, case.skipped))
            side = "after" if after else "before"
            assert status == CRASHED, f"{name} {number}: {side} {statement}"
            assert found == expected, f"{name} {number}: {side} {statement}"
