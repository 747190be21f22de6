"""What every store back end promises of its audit: it does not cry wolf, and says how far it is."""

from histq.findings import Finding
from histq.model import DAY_MS, HOUR_MS, Candle, Series, Span, State
from histq.page import flatten
from histq.stores import Batch, Store
from tests.stores import BTC, candle, page


def hours(start: float, end: float, state: State) -> Span:
    return Span(round(start * HOUR_MS), round(end * HOUR_MS), state)


def found(store: Store) -> list[Finding]:
    return list(store.audit(lambda done, all_: None))


def test_an_empty_store_adds_up(store: Store) -> None:
    assert found(store) == []


def test_a_store_that_was_written_by_its_verbs_adds_up(store: Store) -> None:
    month = Series("binance", "BTCUSDT", "1M")
    week = Series("binance", "BTCUSDT", "1w")
    spot = Series("coingecko", "BTCUSD", "spot")
    store.write(BTC, page(0, 1.5, 1.75, 3))  # two off the grid, in one slot
    store.record(BTC, [hours(0, 2, State.STORED), hours(3, 4, State.STORED)])
    store.write(month, flatten([Candle(0, close=1.0), Candle(31 * DAY_MS, close=1.0)]))
    store.record(month, [Span(0, 59 * DAY_MS, State.STORED)])
    store.write(week, flatten([Candle(4 * DAY_MS, close=1.0)]))
    store.record(week, [Span(4 * DAY_MS, 11 * DAY_MS, State.STORED)])
    store.write(spot, flatten([Candle(12_345, close=1.0)]))
    store.record(spot, [Span(0, DAY_MS, State.STORED)])
    store.write(BTC, flatten([candle(0, close=7.0)]))  # a revision
    run = store.start_run("consume", "h:b:1:0:x")
    store.log_batch(run, Batch("binance", 1, 4, 4, 0, 0, 0, 1.0))

    assert found(store) == []


def test_an_audit_tells_how_far_it_is(store: Store) -> None:
    store.write(BTC, page(0, 1, 3))
    store.record(BTC, [hours(0, 2, State.STORED), hours(3, 4, State.STORED)])
    told: list[tuple[int, int]] = []

    list(store.audit(lambda done, all_: told.append((done, all_))))

    assert told[-1] == (3, 3)
    assert told == sorted(told)
