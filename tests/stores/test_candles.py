"""Reading candles: what every store back end promises."""

from histq.model import HOUR_MS, Candle, Window
from histq.page import flatten
from histq.stores import Store
from tests.stores import BTC, ETH, EVER, candle, page

FULL = Candle(3_600_000, 3.0, 4.5, 2.0, 3.5, 10.0, 35.0, 7, 5.0, 17.25, 7_199_998)


def test_candles_come_in_order_those_of_the_window_and_the_series_only(store: Store) -> None:
    store.write(BTC, flatten([FULL]))
    store.write(BTC, page(4, 3, 2, 0))
    store.write(ETH, page(1, 2))

    found = list(store.candles(BTC, Window(HOUR_MS, 4 * HOUR_MS)))

    assert found == [FULL, candle(2), candle(3)]


def test_a_series_that_nobody_knows_has_no_candles(store: Store) -> None:
    assert list(store.candles(BTC, EVER)) == []


def test_a_history_of_many_reads_is_whole(store: Store) -> None:
    store.write(BTC, page(*range(12_001)))

    found = [one.timestamp // HOUR_MS for one in store.candles(BTC, EVER)]

    assert found == list(range(12_001))


def test_a_slow_reader_gets_all_that_was_there_whatever_is_written_meanwhile(store: Store) -> None:
    store.write(BTC, page(*range(1, 12_000)))
    reading = store.candles(BTC, EVER)
    found = [next(reading)]

    store.write(BTC, page(0, 1.5, 12_000))
    found += reading

    times = [one.timestamp // HOUR_MS for one in found if one.timestamp % HOUR_MS == 0]
    assert times[:11_999] == list(range(1, 12_000))
    assert times[11_999:] in ([], [12_000])
