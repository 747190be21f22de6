"""Bars: what the candles of a stretch amount to, computed in the store."""

from histq.model import HOUR_MS, Candle, Window
from histq.page import flatten
from histq.stores import Bar, Store
from tests.stores import BTC, ETH, page


def hours(start: int, end: int) -> Window:
    return Window(start * HOUR_MS, end * HOUR_MS)


def test_a_bar_is_first_highest_lowest_last_of_its_window(store: Store) -> None:
    told = [
        Candle(0, 3.0, 4.0, 2.0, 3.5),
        Candle(HOUR_MS, 3.25, 9.0, 3.0, 8.0),
        Candle(2 * HOUR_MS, 8.0, 8.5, 1.0, 1.5),
        Candle(3 * HOUR_MS, 1.5, 99.0, 0.5, 7.0),
    ]
    store.write(BTC, flatten(told))

    found = store.bars(BTC, [hours(0, 3)])

    assert found == [Bar(0, 3 * HOUR_MS, 3, 0, 2 * HOUR_MS, 3.0, 9.0, 1.0, 1.5)]


def test_a_close_stands_for_what_was_not_told(store: Store) -> None:
    told = [Candle(0, close=2.0), Candle(HOUR_MS, close=5.0), Candle(2 * HOUR_MS, close=3.0)]
    store.write(BTC, flatten(told))

    (bar,) = store.bars(BTC, [hours(0, 3)])

    assert (bar.open, bar.high, bar.low, bar.close) == (2.0, 5.0, 2.0, 3.0)


def test_a_close_stands_for_each_field_that_was_not_told(store: Store) -> None:
    told = [Candle(0, open=3.0, close=2.0), Candle(HOUR_MS, high=9.0, close=2.5)]
    store.write(BTC, flatten(told))

    (bar,) = store.bars(BTC, [hours(0, 2)])

    assert (bar.open, bar.high, bar.low, bar.close) == (3.0, 9.0, 2.0, 2.5)


def test_bars_come_in_the_order_of_their_windows_which_may_overlap(store: Store) -> None:
    store.write(BTC, page(0, 1, 2))

    found = store.bars(BTC, [hours(1, 3), hours(0, 2), hours(1, 3)])

    assert [(bar.start // HOUR_MS, bar.candles) for bar in found] == [(1, 2), (0, 2), (1, 2)]


def test_a_window_without_candles_has_no_bar(store: Store) -> None:
    store.write(BTC, page(0, 5))
    store.write(ETH, page(3))

    found = store.bars(BTC, [hours(0, 2), hours(2, 5), hours(5, 6)])

    assert [(bar.start, bar.end, bar.candles) for bar in found] == [
        (0, 2 * HOUR_MS, 1),
        (5 * HOUR_MS, 6 * HOUR_MS, 1),
    ]


def test_an_unknown_series_has_no_bars(store: Store) -> None:
    assert store.bars(BTC, [hours(0, 5)]) == []
