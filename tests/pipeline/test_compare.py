"""A comparison of stored series: over which time, of what, and what its exit code says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.db import Database
from histq.errors import Stopped
from histq.model import DAY_MS, HOUR_MS, Candle, Interval, Series, Span, State, Window
from histq.page import MOST, flatten
from histq.pipeline.compare import (
    VOLUME_WHY,
    CompareReport,
    Measure,
    NotCompared,
    PairReport,
    compare_pairs,
)
from histq.pipeline.pairs import Pair, Pairs
from histq.pipeline.reading import EVERY
from histq.stores.sqlite import SqliteStore

EVER = Window(0, MOST)
LEFT = Series("binance", "BTCUSDT", "1h")
RIGHT = Series("kraken", "BTCUSDT", "1h")
DAYS = Series("coingecko", "BTCUSDT", "1d")
HOUR, DAY = Interval("1h"), Interval("1d")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with Database.open(tmp_path / "histq.db") as database:
        yield SqliteStore(database, clock=lambda: 0)


def hold(store: SqliteStore, series: Series, *slots: int, close: float = 100.0) -> None:
    """Closes only, in slots of the series since 1970."""
    step = Interval(series.interval).step_ms
    store.write(series, flatten(Candle(slot * step, close=close) for slot in slots))


def report_of(
    store: SqliteStore,
    *pairs: Pair,
    window: Window = EVER,
    tolerance: float = 0.01,
    volume: bool = False,
) -> CompareReport:
    measure = Measure(window, tolerance, volume, limit=5)
    return compare_pairs(store, Pairs(list(pairs), []), measure)


def compared(
    store: SqliteStore,
    left: Series = LEFT,
    right: Series = RIGHT,
    interval: Interval = HOUR,
    window: Window = EVER,
) -> PairReport:
    (found,) = report_of(store, Pair(left, right, interval, ()), window=window).pairs
    return found


def held(found: PairReport) -> tuple[int, int, int]:
    """By both, by the left alone, by the right alone."""
    return found.both, found.left.only, found.right.only


def test_only_the_time_that_both_reach_over_is_compared(store: SqliteStore) -> None:
    hold(store, LEFT, *range(100))
    hold(store, RIGHT, 40, 41, 43, 120)

    found = compared(store)

    assert (found.start, found.end) == (40 * HOUR_MS, 100 * HOUR_MS)
    assert held(found) == (3, 57, 0)


def test_from_is_inclusive_and_to_is_not(store: SqliteStore) -> None:
    hold(store, LEFT, *range(10))
    hold(store, RIGHT, *range(10))

    found = compared(store, window=Window(3 * HOUR_MS, 7 * HOUR_MS))

    assert (found.start, found.end) == (3 * HOUR_MS, 7 * HOUR_MS)
    assert held(found) == (4, 0, 0)


def test_a_candle_off_the_grid_does_not_take_its_neighbours_slot_away(store: SqliteStore) -> None:
    store.write(LEFT, flatten([Candle(28 * 60_000, close=1.0), Candle(HOUR_MS, close=1.0)]))
    hold(store, RIGHT, 0, 1)

    assert held(compared(store)) == (1, 1, 1)


def test_without_time_in_common_nothing_is_compared_and_the_exit_code_says_so(
    store: SqliteStore,
) -> None:
    hold(store, LEFT, 1, 2)
    hold(store, RIGHT, 8, 9)

    report = report_of(store, Pair(LEFT, RIGHT, HOUR, ()))

    (found,) = report.pairs
    assert (found.start, found.end, held(found)) == (None, None, (0, 0, 0))
    assert report.exit_code == 3


def test_a_series_without_a_candle_has_no_time_in_common(store: SqliteStore) -> None:
    hold(store, LEFT, 1, 2)
    store.record(RIGHT, [Span(HOUR_MS, 3 * HOUR_MS, State.FAILED)])

    found = compared(store)

    assert (found.start, found.end, held(found)) == (None, None, (0, 0, 0))
    assert found.not_compared == [NotCompared(["volume"], VOLUME_WHY)]


@pytest.mark.parametrize(
    ("close", "beyond", "exit_code"),
    [
        pytest.param(100.0, 0, 0, id="equal"),
        pytest.param(99.5, 0, 0, id="within"),
        pytest.param(98.0, 1, 3, id="beyond"),
    ],
)
def test_the_exit_code_says_whether_something_lies_beyond_the_tolerance(
    store: SqliteStore, close: float, beyond: int, exit_code: int
) -> None:
    hold(store, LEFT, 1)
    hold(store, RIGHT, 1, close=close)

    report = report_of(store, Pair(LEFT, RIGHT, HOUR, ()))

    assert (report.beyond, report.exit_code) == (beyond, exit_code)


def test_one_pair_without_time_in_common_beside_others_is_no_finding(store: SqliteStore) -> None:
    hold(store, LEFT, 1, 2)
    hold(store, RIGHT, 1, 2)
    hold(store, LEFT._replace(source="old"), 8)
    other = Pair(LEFT, LEFT._replace(source="old"), HOUR, ())

    report = report_of(store, Pair(LEFT, RIGHT, HOUR, ()), other)

    assert [pair.both for pair in report.pairs] == [2, 0]
    assert report.exit_code == 0


def test_finer_candles_are_merged_and_incomplete_ones_are_as_good_as_not_there(
    store: SqliteStore,
) -> None:
    hold(store, LEFT, *range(12, 72))
    hold(store, LEFT, *range(72, 96), close=50.0)
    hold(store, DAYS, 0, 1, 2, 3)

    found = compared(store, LEFT, DAYS, DAY)

    assert (found.start, found.end) == (0, 4 * DAY_MS)
    assert held(found) == (3, 0, 1)
    assert (found.left.interval, found.right.interval, found.interval) == ("1h", "1d", "1d")
    assert (found.left.incomplete, found.right.incomplete) == (1, 0)
    assert [(one.timestamp, one.left, one.right) for one in found.differences] == [
        (3 * DAY_MS, 50.0, 100.0)
    ]


def test_a_merged_candle_belongs_to_the_time_in_which_it_opens(store: SqliteStore) -> None:
    hold(store, LEFT, *range(5 * 24))
    hold(store, DAYS, *range(5))

    found = compared(store, LEFT, DAYS, DAY, Window(12 * HOUR_MS, 3 * DAY_MS + 1))

    assert (found.start, found.end) == (DAY_MS, 4 * DAY_MS)
    assert held(found) == (3, 0, 0)
    assert found.left.incomplete == 0


def test_what_a_source_does_not_tell_is_named(store: SqliteStore) -> None:
    store.write(LEFT, flatten([Candle(0, 3.0, 4.0, 2.0, 3.5, 10.0)]))
    hold(store, RIGHT, 0, close=3.5)

    (found,) = report_of(store, Pair(LEFT, RIGHT, HOUR, ()), volume=True).pairs

    assert [(one.field, one.compared) for one in found.fields] == [
        *(("open", 0), ("high", 0), ("low", 0), ("close", 1), ("volume", 0)),
    ]
    assert found.not_compared == [
        NotCompared(["open", "high", "low", "volume"], "not told by kraken/BTCUSDT/1h")
    ]


def test_volumes_are_compared_only_when_asked_for(store: SqliteStore) -> None:
    for series, volume in ((LEFT, 10.0), (RIGHT, 5.0)):
        store.write(series, flatten([Candle(0, 3.0, 4.0, 2.0, 3.5, volume)]))

    without = report_of(store, Pair(LEFT, RIGHT, HOUR, ()))
    with_volume = report_of(store, Pair(LEFT, RIGHT, HOUR, ()), volume=True)

    assert [one.field for one in without.pairs[0].fields] == ["open", "high", "low", "close"]
    assert [one.fields for one in without.pairs[0].not_compared] == [["volume"]]
    assert (without.beyond, without.exit_code) == (0, 0)
    assert with_volume.pairs[0].not_compared == []
    assert (with_volume.beyond, with_volume.exit_code) == (1, 3)


def test_how_far_it_is_is_told_over_all_pairs(store: SqliteStore) -> None:
    hold(store, LEFT, *range(EVERY))
    hold(store, RIGHT, *range(EVERY))
    told: list[tuple[str, int, int | None]] = []
    pair = Pair(LEFT, RIGHT, HOUR, ())

    compare_pairs(
        store,
        Pairs([pair, pair], []),
        Measure(EVER, 0.01, False, limit=5),
        lambda doing, done, of: told.append((doing, done, of)),
    )

    assert {doing for doing, _, _ in told} == {"comparing binance/BTCUSDT/1h"}
    assert [done for _, done, _ in told] == [EVERY, 2 * EVERY, 3 * EVERY, 4 * EVERY]
    assert {of for _, _, of in told} == {4 * EVERY}


def test_of_a_window_as_many_are_expected_as_it_has_slots(store: SqliteStore) -> None:
    hold(store, LEFT, *range(2 * EVERY))
    hold(store, RIGHT, *range(2 * EVERY))
    told: list[int | None] = []

    compare_pairs(
        store,
        Pairs([Pair(LEFT, RIGHT, HOUR, ())], []),
        Measure(Window(0, EVERY * HOUR_MS), 0.01, False, limit=5),
        lambda doing, done, of: told.append(of),
    )

    assert told == [2 * EVERY, 2 * EVERY]


def test_what_the_watcher_raises_ends_it(store: SqliteStore) -> None:
    hold(store, LEFT, *range(EVERY))
    hold(store, RIGHT, *range(EVERY))

    def enough(doing: str, done: int, of: int | None) -> None:
        raise Stopped(f"stopped while {doing}")

    with pytest.raises(Stopped, match="stopped while comparing"):
        compare_pairs(
            store, Pairs([Pair(LEFT, RIGHT, HOUR, ())], []), Measure(EVER, 0.01, False, 5), enough
        )
