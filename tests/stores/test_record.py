"""The record of batches: read on from a mark, and summed over time."""

import pytest

from histq.model import Candle, Window
from histq.stores import Batch, History, Tally
from tests.stores import BTC, T0, Bench, candle, page

MINUTE = 60_000
NINE = Batch("binance", 2, 9, 5, 3, 1, 1, 10.0)
ONE = Batch("binance", 1, 1, 1, 0, 0, 0, 2.5)
OTHER = Batch("coingecko", 1, 30, 30, 0, 0, 0, 4.0)


def log(bench: Bench, at: int, *batches: Batch) -> None:
    bench.now = at
    run_id = bench.store.start_run("consume", "me")
    for batch in batches:
        bench.store.log_batch(run_id, batch)


def test_batches_are_summed_by_source(bench: Bench) -> None:
    log(bench, T0, NINE, OTHER, ONE)

    _, found = bench.store.tallies(0)

    assert found == [
        Tally("binance", 2, 3, 10, 6, 3, 1, 1, 12.5),
        Tally("coingecko", 1, 1, 30, 30, 0, 0, 0, 4.0),
    ]


def test_batches_are_told_as_they_were_logged_the_last_first(bench: Bench) -> None:
    log(bench, T0, NINE, OTHER)
    log(bench, T0 - MINUTE, ONE)  # a clock that was set back

    assert bench.store.batches(9) == [ONE, OTHER, NINE]
    assert bench.store.batches(2) == [ONE, OTHER]


def test_from_a_mark_on_only_what_came_since_is_summed(bench: Bench) -> None:
    log(bench, T0, NINE, OTHER)
    mark, _ = bench.store.tallies(0)
    log(bench, T0 - MINUTE, ONE)  # a clock that was set back hides nothing

    later, found = bench.store.tallies(mark)

    assert found == [Tally("binance", 1, 1, 1, 1, 0, 0, 0, 2.5)]
    assert bench.store.tallies(later) == (later, [])


def test_a_mark_holds_when_all_before_it_is_forgotten(bench: Bench) -> None:
    log(bench, T0, NINE, OTHER)
    mark, _ = bench.store.tallies(0)
    bench.store.forget(History.STATS, T0 + 1, 10, lambda rows: None)

    log(bench, T0 + MINUTE, ONE)

    _, found = bench.store.tallies(mark)
    assert found == [Tally("binance", 1, 1, 1, 1, 0, 0, 0, 2.5)]


def test_an_empty_record_has_the_first_mark(bench: Bench) -> None:
    assert bench.store.tallies(0) == (0, [])


def test_the_history_is_summed_by_step_and_source(bench: Bench) -> None:
    begin = T0 // MINUTE * MINUTE
    log(bench, begin, NINE)
    log(bench, begin + MINUTE - 1, ONE, OTHER)
    log(bench, begin + 3 * MINUTE, ONE)

    found = bench.store.history(Window(begin, begin + 4 * MINUTE), MINUTE)

    assert found == [
        (begin, Tally("binance", 2, 3, 10, 6, 3, 1, 1, 12.5)),
        (begin, Tally("coingecko", 1, 1, 30, 30, 0, 0, 0, 4.0)),
        (begin + 3 * MINUTE, Tally("binance", 1, 1, 1, 1, 0, 0, 0, 2.5)),
    ]


def test_the_history_begins_and_ends_with_its_window(bench: Bench) -> None:
    for at in (T0 - 1, T0, T0 + 1, T0 + 2):
        log(bench, at, ONE)

    found = bench.store.history(Window(T0, T0 + 2), 1)

    assert [at for at, _ in found] == [T0, T0 + 1]


def test_a_step_is_a_multiple_of_its_length_wherever_the_window_begins(bench: Bench) -> None:
    begin = T0 // MINUTE * MINUTE
    for at in (begin + 5, begin + MINUTE + 1):
        log(bench, at, ONE)

    found = bench.store.history(Window(begin + 3, begin + MINUTE + 2), MINUTE)

    assert [at for at, _ in found] == [begin, begin + MINUTE]


@pytest.mark.parametrize(("limit", "hours"), [(0, []), (1, [1]), (2, [1, 2]), (9, [1, 2, 4])])
def test_no_more_candles_come_than_asked_for(bench: Bench, limit: int, hours: list[int]) -> None:
    bench.store.write(BTC, page(0, 1, 2, 4))
    window = Window(candle(1).timestamp, candle(9).timestamp)

    found = list(bench.store.candles(BTC, window, limit))

    assert found == [candle(hour) for hour in hours]


def test_a_limit_may_lie_beyond_one_read(bench: Bench) -> None:
    bench.store.write(BTC, page(*range(5_002)))

    found: list[Candle] = list(bench.store.candles(BTC, Window(0, 2**62), 5_001))

    assert len(found) == 5_001
    assert found[-1] == candle(5_000)
