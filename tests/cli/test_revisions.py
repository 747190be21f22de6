"""revisions list and revisions apply, as a user runs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.db import Database
from histq.model import HOUR_MS, Candle, Series
from histq.page import flatten
from histq.pipeline.revisions import apply, named, waiting
from histq.pipeline.runs import RunLog
from histq.stop import Stop
from histq.stores.sqlite import SqliteStore
from tests.conftest import Histq

START = 1_704_067_200_000  # 2024-01-01
SEEN = 1_704_200_461_500  # 2024-01-02T13:01:01.5Z
BTC = Series("binance", "BTCUSDT", "1h")
GECKO = Series("coingecko", "ETHUSD", "1d")
MANY = 1_201  # more than two batches


def hour(number: int, close: float, high: float | None = 9.0) -> Candle:
    return Candle(START + number * HOUR_MS, open=2.0, high=high, low=1.0, close=close)


@pytest.fixture
def store(place: Path) -> SqliteStore:
    """Three revisions: 1 and 2 of Bitcoin, of which 2 is unsound, and 3 of Ether."""
    opened = SqliteStore(Database.open(place / "histq.db"), clock=lambda: SEEN)
    opened.write(BTC, flatten([hour(0, 2.0), hour(1, 2.0)]))
    opened.write(GECKO, flatten([Candle(START, close=5.0)]))
    opened.write(BTC, flatten([hour(0, 3.5), hour(1, 9.5)]))
    opened.write(GECKO, flatten([Candle(START, close=5.5, volume=1.0)]))
    return opened


def closes(store: SqliteStore) -> list[float]:
    found = store.database.rows("select close from prices order by series_id, timestamp")
    return [close for (close,) in found]


def test_list_shows_what_was_said_before_and_after(histq: Histq, store: SqliteStore) -> None:
    shown = histq("revisions", "list")

    head, *lines = shown.out.splitlines()
    assert shown.code == 0
    assert head.split() == ["id", "series", "open", "time", "change", "seen", "applied"]
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert "close: 5.0 -> 5.5, volume: nothing -> 1.0" in lines[0]
    assert lines[2].split() == [
        *("1", "binance/BTCUSDT/1h", "2024-01-01", "close:", "2.0", "->", "3.5"),
        *("2024-01-02T13:01:01Z", "no"),
    ]


def test_list_as_json_is_whole_and_says_when_there_are_more(
    histq: Histq, store: SqliteStore
) -> None:
    found = histq("revisions", "list", "BTC", "--limit", "1", "--json").document

    assert found == {
        "schema": 1,
        "more": True,
        "revisions": [
            {
                "id": 2,
                "source": "binance",
                "symbol": "BTCUSDT",
                "interval": "1h",
                "timestamp": START + HOUR_MS,
                "seen_at": SEEN,
                "old": {"close": 2.0},
                "new": {"close": 9.5},
                "state": "waiting",
                "applied_at": None,
            }
        ],
    }


def test_apply_all_leaves_out_what_is_unsound_and_says_so(histq: Histq, store: SqliteStore) -> None:
    ended = histq("revisions", "apply", "--all")

    assert ended.code == 3
    assert ended.out.splitlines() == ["applied 2 revisions", "left out 2: close is above high"]
    assert closes(store) == [3.5, 2.0, 5.5]
    assert [(run.command, run.exit_code) for run in store.runs(5)] == [("revisions apply", 3)]


def test_apply_takes_the_series_that_are_named_and_a_second_time_nothing(
    histq: Histq, store: SqliteStore
) -> None:
    first = histq("revisions", "apply", "-s", "coingecko", "-i", "1d", "--json")
    second = histq("revisions", "apply", "3", "--json")

    assert (first.code, second.code) == (0, 0)
    assert first.document == {
        "schema": 1,
        "applied": [3],
        "already_applied": [],
        "left_out": [],
        "dry_run": False,
    }
    assert (second.document["applied"], second.document["already_applied"]) == ([], [3])
    assert closes(store) == [2.0, 2.0, 5.5]


def test_a_dry_run_changes_nothing(histq: Histq, store: SqliteStore) -> None:
    ended = histq("revisions", "apply", "1", "3", "--dry-run")

    assert (ended.code, ended.out) == (0, "would apply 2 revisions\n")
    assert closes(store) == [2.0, 2.0, 5.0]
    assert store.runs(5) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "name revisions by their ids", id="nothing named"),
        pytest.param(["1", "--all"], "name revisions by their ids", id="an id and all"),
        pytest.param(["1", "BTC"], "name revisions by their ids", id="an id and a symbol"),
        pytest.param(["1", "7"], "no revision 7; histq revisions list", id="no such id"),
        pytest.param(["9" * 30], "no revision 9999", id="an id that no table holds"),
        pytest.param(["DOGE"], "no such series", id="no such series"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    histq: Histq, store: SqliteStore, arguments: list[str], said: str
) -> None:
    ended = histq("revisions", "apply", *arguments)

    assert ended.code == 2
    assert said in ended.err
    assert closes(store) == [2.0, 2.0, 5.0]


def test_without_a_database_there_is_nothing_to_list(histq: Histq) -> None:
    assert histq("revisions", "list").code == 10


def test_many_revisions_are_applied_in_batches(store: SqliteStore) -> None:
    for close in (1.0, 2.0):
        days = [Candle(START - day * 86_400_000, close=close) for day in range(MANY, 0, -1)]
        store.write(GECKO, flatten(days))
    sizes: list[int] = []

    def counted() -> Iterator[list[int]]:
        for batch in waiting(store, [GECKO]):
            sizes.append(len(batch))
            yield batch

    report = apply(store, counted(), RunLog("test", "test"), Stop(), dry_run=False)

    assert sizes == [500, 500, 202]  # and the one of Ether
    assert report.applied == list(range(3, MANY + 4))
    assert closes(store)[2:] == [2.0] * MANY + [5.5]


@pytest.mark.parametrize("dry_run", [False, True], ids=["applied", "dry run"])
def test_the_revisions_of_one_candle_may_lie_in_several_batches(
    store: SqliteStore, dry_run: bool
) -> None:
    for close in (9.5, 4.0, 4.5):
        store.write(BTC, flatten([hour(0, close)]))

    report = apply(store, [[1], [4, 5], [6]], RunLog("test", "test"), Stop(), dry_run=dry_run)

    assert report.applied == [1, 5, 6]
    assert [(one.id, one.why) for one in report.left_out] == [(4, "close is above high")]
    assert closes(store)[0] == (2.0 if dry_run else 4.5)


class StopAfterOne(Stop):
    """Comes once the first batch is done."""

    looks = 0

    def __bool__(self) -> bool:
        self.looks += 1
        return self.looks > 1


def test_a_stop_comes_between_two_batches(store: SqliteStore) -> None:
    report = apply(store, [[1], [3]], RunLog("test", "test"), StopAfterOne(), dry_run=False)

    assert report.applied == [1]
    assert closes(store) == [3.5, 2.0, 5.0]


def test_ids_are_sorted_and_each_is_taken_once(store: SqliteStore) -> None:
    assert list(named(store, [3, 1, 3])) == [[1, 3]]
