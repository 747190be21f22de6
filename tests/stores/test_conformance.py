"""What every store back end promises; how a new one joins is told in `tests/stores/__init__.py`.

With the modules beside this one, those of SQLite left out, this is the whole of it.
"""

import datetime
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histq.errors import Poison
from histq.model import DAY_MS, HOUR_MS, Candle, Series, Span, State
from histq.page import flatten
from histq.stores import Batch, Run, SeriesStats, Store, Throughput, Written
from histq.stores.alerts import Alert, Severity, Turn
from tests.stores import BTC, ETH, T0, Bench, candle, page

SYMBOLS = count()

# Each example writes a series of its own, so they can share the store of one test.
one_store = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def fresh(interval: str = "1h") -> Series:
    return Series("binance", f"S{next(SYMBOLS)}", interval)


def stats(store: Store, series: Series) -> SeriesStats:
    (found,) = [row for row in store.coverage() if (row.source, row.symbol, row.interval) == series]
    return found


def hours(start: float, end: float, state: State, seen: int = 0) -> Span:
    return Span(round(start * HOUR_MS), round(end * HOUR_MS), state, seen)


def month(year: int, number: int) -> int:
    return round(datetime.datetime(year, number, 1, tzinfo=datetime.UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([Candle(0, close=1.5), Candle(HOUR_MS, close=2.5)], id="closes alone"),
        pytest.param([Candle(0, close=1.5), Candle(HOUR_MS, 2.0, close=2.5)], id="one open"),
        pytest.param([Candle(0, 2.0, close=1.5), Candle(HOUR_MS, close=2.5)], id="the other open"),
        pytest.param(
            [Candle(0, close=1.5, trades=3, close_time=9), Candle(HOUR_MS, close=2.5, trades=0)],
            id="fields in between",
        ),
        pytest.param([Candle(hour * HOUR_MS, 1.5, close=1.5) for hour in range(250)], id="many"),
    ],
)
def test_what_a_candle_does_not_say_stays_null(bench: Bench, told: list[Candle]) -> None:
    written = bench.store.write(BTC, flatten(told))

    assert written == Written(len(told), 0, 0)
    assert bench.prices(BTC) == told


def test_a_candle_is_stored_as_it_was_told(bench: Bench) -> None:
    told = Candle(0, 1.5, 3.5, 0.5, 2.5, 10.25, 20.5, 7, 4.25, 8.5, 3_599_998)

    written = bench.store.write(BTC, flatten([told]))

    assert written == Written(inserted=1, duplicates=0, revised=0)
    assert bench.prices(BTC) == [told]


def test_what_was_not_told_is_null(bench: Bench) -> None:
    bench.store.write(BTC, flatten([Candle(0, close=2.5)]))

    assert bench.prices(BTC) == [Candle(0, close=2.5)]


def test_an_empty_page_leaves_no_trace(store: Store) -> None:
    assert store.write(BTC, []) == Written(0, 0, 0)
    assert store.coverage() == []


def test_a_candle_written_twice_is_stored_once(bench: Bench) -> None:
    bench.store.write(BTC, page(0, 1))

    again = bench.store.write(BTC, page(0, 1))

    assert again == Written(inserted=0, duplicates=2, revised=0)
    assert bench.prices(BTC) == [candle(0), candle(1)]
    assert bench.revisions(BTC) == []


def test_the_first_value_wins(bench: Bench) -> None:
    bench.store.write(BTC, flatten([candle(0, close=1.5)]))

    later = bench.store.write(BTC, flatten([candle(0, close=9.5)]))

    assert later == Written(inserted=0, duplicates=1, revised=1)
    assert bench.prices(BTC) == [candle(0, close=1.5)]


def test_a_page_of_old_and_new_says_how_many_of_each(bench: Bench) -> None:
    bench.store.write(BTC, flatten([candle(1), candle(2)]))

    written = bench.store.write(BTC, flatten([candle(0), candle(1, close=7.5), candle(2)]))

    assert written == Written(inserted=1, duplicates=2, revised=1)


def test_the_same_open_time_of_two_series_is_two_candles(bench: Bench) -> None:
    bench.store.write(BTC, flatten([candle(0, close=1.5)]))

    written = bench.store.write(ETH, flatten([candle(0, close=2.5)]))

    assert written == Written(1, 0, 0)
    assert bench.prices(ETH) == [candle(0, close=2.5)]


@pytest.mark.parametrize("length", [99, 100, 101, 25_000])
def test_a_page_of_any_length_is_stored_whole(bench: Bench, length: int) -> None:
    told = [Candle(i * HOUR_MS, open=i + 0.5, close=i + 0.25, trades=i) for i in range(length)]

    written = bench.store.write(BTC, flatten(told))

    assert written == Written(length, 0, 0)
    assert bench.prices(BTC) == told


def test_a_number_too_big_for_the_table_is_poison_and_nothing_is_stored(bench: Bench) -> None:
    told = [candle(0), Candle(HOUR_MS, close=1.0, trades=2**63)]

    with pytest.raises(Poison):
        bench.store.write(BTC, flatten(told))

    assert bench.store.coverage() == []


def test_a_revision_holds_what_differs_and_nothing_else(bench: Bench) -> None:
    bench.store.write(BTC, flatten([Candle(0, open=1.0, close=2.0, volume=3.0, trades=4)]))

    bench.store.write(BTC, flatten([Candle(0, open=1.0, close=2.5, volume=3.0, trades=5)]))

    assert bench.revisions(BTC) == [
        (0, {"close": 2.0, "trades": 4}, {"close": 2.5, "trades": 5}),
    ]


def test_a_revision_is_dated(bench: Bench) -> None:
    bench.store.write(BTC, flatten([candle(0)]))
    bench.now = T0 + 5

    bench.store.write(BTC, flatten([candle(0, close=9.5)]))

    assert [one.seen_at for one in bench.store.revisions([BTC], 10)] == [T0 + 5]


def test_the_same_news_told_again_is_recorded_once(bench: Bench) -> None:
    bench.store.write(BTC, flatten([candle(0, close=1.0)]))
    bench.store.write(BTC, flatten([candle(0, close=2.0)]))

    again = bench.store.write(BTC, flatten([candle(0, close=2.0)]))

    assert again.revised == 1
    assert bench.revisions(BTC) == [(0, {"close": 1.0}, {"close": 2.0})]


def test_each_change_of_mind_is_news(bench: Bench) -> None:
    for close in (1.0, 2.0, 3.0, 2.0):
        bench.store.write(BTC, flatten([candle(0, close=close)]))

    assert [new["close"] for _, _, new in bench.revisions(BTC)] == [2.0, 3.0, 2.0]


def test_silence_contradicts_nothing(bench: Bench) -> None:
    bench.store.write(BTC, flatten([Candle(0, open=1.0, close=2.0, trades=3)]))

    later = bench.store.write(BTC, flatten([Candle(0, close=2.0)]))

    assert later == Written(0, 1, 0)
    assert bench.revisions(BTC) == []


def test_a_value_where_there_was_none_is_news(bench: Bench) -> None:
    bench.store.write(BTC, flatten([Candle(0, close=2.0)]))

    later = bench.store.write(BTC, flatten([Candle(0, close=2.0, volume=5.0)]))

    assert later.revised == 1
    assert bench.revisions(BTC) == [(0, {"volume": None}, {"volume": 5.0})]


@pytest.mark.parametrize(
    "value",
    [pytest.param(5, id="small"), pytest.param(2**53 + 1, id="past what a double counts")],
)
def test_a_whole_number_equals_its_double(bench: Bench, value: int) -> None:
    bench.store.write(BTC, flatten([Candle(0, close=1.0, volume=value)]))

    later = bench.store.write(BTC, flatten([Candle(0, close=1.0, volume=value)]))

    assert later == Written(0, 1, 0)


def test_pairs_that_differ_are_recorded_as_revisions(bench: Bench) -> None:
    kept, later = candle(0, close=1.0), candle(0, close=2.0)
    bench.store.write(BTC, flatten([kept, candle(1)]))

    bench.store.revise(BTC, [(kept, later), (candle(1), candle(1)), (kept, later)])

    assert bench.revisions(BTC) == [(0, {"close": 1.0}, {"close": 2.0})]


def test_a_transaction_that_fails_leaves_prices_counters_and_ledger_alone(bench: Bench) -> None:
    store = bench.store
    store.write(BTC, page(0))
    before = store.coverage()

    def work() -> None:
        with store.transaction():
            store.write(BTC, page(1, 2))
            store.record(BTC, [hours(0, 3, State.STORED)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()

    assert bench.prices(BTC) == [candle(0)]
    assert store.coverage() == before
    assert store.spans(BTC) == []


times = st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True)


@one_store
@given(pages=st.lists(times, min_size=1, max_size=5))
def test_counters_equal_a_recount(bench: Bench, pages: list[list[int]]) -> None:
    series = fresh()
    known: set[int] = set()

    for hours_told in pages:
        written = bench.store.write(series, page(*hours_told))
        assert written.inserted == len(set(hours_told) - known)
        assert written.duplicates == len(set(hours_told) & known)
        known |= set(hours_told)

    found = stats(bench.store, series)
    assert (found.points, found.first, found.last) == (
        len(known),
        min(known) * HOUR_MS,
        max(known) * HOUR_MS,
    )
    assert bench.prices(series) == [candle(hour) for hour in sorted(known)]


def test_a_series_nobody_asked_for_has_no_spans(store: Store) -> None:
    assert store.spans(BTC) == []


def test_a_span_reads_as_it_was_recorded(store: Store) -> None:
    span = Span(10, 20, State.FAILED, 3, T0, "HTTP 500")

    store.record(BTC, [span])

    assert store.spans(BTC) == [span]
    assert store.spans(ETH) == []


def test_a_new_span_cuts_the_one_it_falls_into(store: Store) -> None:
    store.record(BTC, [Span(0, 100, State.QUEUED)])

    store.record(BTC, [Span(40, 60, State.STORED)])

    assert store.spans(BTC) == [
        Span(0, 40, State.QUEUED),
        Span(40, 60, State.STORED),
        Span(60, 100, State.QUEUED),
    ]


def test_spans_that_touch_and_say_the_same_become_one(store: Store) -> None:
    store.record(BTC, [Span(0, 10, State.STORED)])
    store.record(BTC, [Span(20, 30, State.STORED)])

    store.record(BTC, [Span(10, 20, State.STORED)])

    assert store.spans(BTC) == [Span(0, 30, State.STORED)]


def test_later_spans_of_one_call_win(store: Store) -> None:
    store.record(BTC, [Span(0, 10, State.WANTED), Span(5, 10, State.QUEUED)])

    assert store.spans(BTC) == [Span(0, 5, State.WANTED), Span(5, 10, State.QUEUED)]


def test_a_span_without_length_is_nothing(store: Store) -> None:
    store.record(BTC, [Span(10, 10, State.STORED)])

    assert store.spans(BTC) == []


def test_one_series_is_recorded_without_touching_another(store: Store) -> None:
    store.record(ETH, [Span(0, 10, State.STORED)])

    store.record(BTC, [Span(0, 10, State.FAILED)])

    assert store.spans(ETH) == [Span(0, 10, State.STORED)]


def test_recording_nothing_leaves_no_trace(store: Store) -> None:
    store.record(BTC, [])
    store.record(BTC, [Span(10, 10, State.STORED)])

    assert store.series() == []
    assert store.coverage() == []


def test_all_that_was_written_or_recorded_is_a_series_in_order(store: Store) -> None:
    kraken, minutes = BTC._replace(source="kraken"), BTC._replace(interval="1m")
    store.write(kraken, page(0))
    store.record(ETH, [hours(0, 1, State.WANTED)])
    store.write(minutes, page(0))
    store.record(BTC, [hours(0, 1, State.FAILED)])

    assert store.series() == [BTC, minutes, ETH, kraken]


any_span = st.builds(
    Span,
    start=st.integers(0, 40),
    end=st.integers(0, 40),
    state=st.sampled_from([State.QUEUED, State.STORED, State.EMPTY]),
    seen=st.integers(0, 1),
    asked_at=st.sampled_from([None, 7]),
    reason=st.sampled_from([None, "why"]),
)


@one_store
@given(calls=st.lists(st.lists(any_span, max_size=4), max_size=8))
def test_the_ledger_agrees_with_a_table_of_every_instant(
    store: Store, calls: list[list[Span]]
) -> None:
    series = fresh()
    every: dict[int, tuple[object, ...]] = {}

    for spans in calls:
        store.record(series, spans)
        for span in spans:
            every.update(dict.fromkeys(range(span.start, span.end), span[2:]))

    found = store.spans(series)
    assert {t: span[2:] for span in found for t in range(span.start, span.end)} == every
    assert all(span.start < span.end for span in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert not any(a.end == b.start and a[2:] == b[2:] for a, b in pairwise(found))


def test_coverage_lists_every_series_in_order(store: Store) -> None:
    names = [("kraken", "A", "1h"), ("binance", "B", "1h"), ("binance", "A", "1m")]
    for name in names:
        store.write(Series(*name), page(0))

    found = [(row.source, row.symbol, row.interval) for row in store.coverage()]

    assert found == [("binance", "A", "1m"), ("binance", "B", "1h"), ("kraken", "A", "1h")]


def test_the_latest_candle_of_every_series_that_holds_one_is_known(store: Store) -> None:
    store.write(BTC, page(7, 5))
    store.write(ETH, page(0))
    store.record(fresh(), [hours(0, 5, State.FAILED)])

    assert store.lasts() == {BTC: 7 * HOUR_MS, ETH: 0}


def test_a_series_that_was_only_asked_for_has_no_points(store: Store) -> None:
    store.record(BTC, [hours(0, 5, State.FAILED), hours(5, 9, State.WANTED)])
    store.record(BTC, [hours(9, 12, State.FAILED), hours(12, 13, State.DEAD)])

    assert stats(store, BTC) == SeriesStats("binance", "BTCUSDT", "1h", 0, None, None, None, 2)


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        pytest.param([5], 0, id="a single candle"),
        pytest.param([0, 1, 2], 0, id="no hole"),
        pytest.param([0, 3], 2, id="a hole of two"),
        pytest.param([0, 2, 5], 3, id="two holes"),
        pytest.param([0.5, 1.5, 3.5], 1, id="all off the grid"),
        pytest.param([0, 1.5, 3], 1, id="one off the grid"),
        pytest.param([0.75, 2.25], 1, id="slots count by their open time"),
        pytest.param([0, 0.5, 2], 1, id="two candles of one slot fill no other"),
    ],
)
def test_missing_counts_slots_between_first_and_last(
    store: Store, told: list[float], missing: int
) -> None:
    store.write(BTC, page(*told))
    runs = {int(hour) for hour in told}
    store.record(BTC, [hours(hour, hour + 1, State.STORED) for hour in runs])

    assert stats(store, BTC).missing == missing


@pytest.mark.parametrize(
    ("spans", "missing"),
    [
        pytest.param([hours(3, 5, State.EMPTY, 2)], 2, id="accepted"),
        pytest.param([hours(3, 5, State.EMPTY, 5)], 2, id="seen more often"),
        pytest.param([hours(3, 5, State.EMPTY, 1)], 4, id="seen once"),
        pytest.param([hours(3, 5, State.FAILED, 2)], 4, id="failed"),
        pytest.param([hours(3, 7, State.EMPTY, 2)], 0, id="all of it"),
        pytest.param(
            [hours(3, 4, State.EMPTY, 2), hours(5, 6, State.EMPTY, 3)], 2, id="two accepted"
        ),
        pytest.param([hours(0, 2, State.EMPTY, 2)], 4, id="before the first"),
        pytest.param([hours(8, 99, State.EMPTY, 2)], 4, id="after the last"),
        pytest.param([hours(3.5, 5.5, State.EMPTY, 2)], 2, id="off the grid"),
    ],
)
def test_accepted_holes_are_not_missing(store: Store, spans: list[Span], missing: int) -> None:
    store.write(BTC, page(2, 7))

    store.record(BTC, spans)

    assert stats(store, BTC).missing == missing


def test_missing_of_a_series_by_month_counts_calendar_months(store: Store) -> None:
    series = fresh("1M")
    told = [month(2023, 12), month(2024, 1), month(2024, 5)]
    store.write(series, flatten([Candle(time, close=1.0) for time in told]))
    before = stats(store, series).missing

    store.record(series, [Span(month(2024, 2), month(2024, 4), State.EMPTY, 2)])

    assert before == 3
    assert stats(store, series).missing == 1


def test_missing_of_a_series_by_week_counts_mondays(store: Store) -> None:
    series = fresh("1w")
    told = [4 * DAY_MS, 11 * DAY_MS, 32 * DAY_MS]

    store.write(series, flatten([Candle(time, close=1.0) for time in told]))

    assert stats(store, series).missing == 2


def test_missing_is_unknown_without_a_grid(store: Store) -> None:
    series = fresh("spot")

    store.write(series, page(0, 1.01, 7.3))

    assert stats(store, series).missing is None


@one_store
@given(
    told=st.sets(st.integers(0, 30), min_size=1),
    silent=st.sets(st.integers(0, 30)),
)
def test_missing_agrees_with_a_count_of_every_slot(
    store: Store, told: set[int], silent: set[int]
) -> None:
    series = fresh()
    store.record(series, [hours(h, h + 1, State.EMPTY, 2) for h in sorted(silent - told)])
    store.write(series, page(*sorted(told)))

    missing = set(range(min(told), max(told) + 1)) - told - silent
    assert stats(store, series).missing == len(missing)


def batch(source: str, points: int, elapsed_ms: float) -> Batch:
    return Batch(source, 1, points, points, 0, 0, 0, elapsed_ms)


def test_throughput_is_told_by_source(store: Store) -> None:
    run_id = store.start_run("consume", "me")
    store.log_batch(run_id, batch("binance", 1000, 500.0))
    store.log_batch(run_id, batch("binance", 3000, 500.0))
    store.log_batch(run_id, batch("coingecko", 10, 0.0))

    assert store.throughput(1000) == [
        Throughput("binance", 4000.0, 6000.0, 2000.0, 2),
        Throughput("coingecko", 0.0, 0.0, 10.0, 1),
    ]


def test_throughput_is_that_of_the_latest_batches(store: Store) -> None:
    run_id = store.start_run("consume", "me")
    for points in (1000, 2000, 3000):
        store.log_batch(run_id, batch("binance", points, 1000.0))

    assert store.throughput(2) == [Throughput("binance", 2500.0, 3000.0, 2500.0, 2)]


def test_each_batch_counts_the_same_for_throughput_however_long_it_took(store: Store) -> None:
    run_id = store.start_run("consume", "me")
    for points, elapsed_ms in ((100, 100.0), (100, 500.0), (7, 0.0)):
        store.log_batch(run_id, batch("binance", points, elapsed_ms))

    (found,) = store.throughput(10)

    assert found == Throughput("binance", 400.0, 1000.0, 69.0, 3)


def test_throughput_of_nothing_is_empty(store: Store) -> None:
    assert store.throughput(1000) == []


def test_runs_come_newest_first(bench: Bench) -> None:
    first = bench.store.start_run("fetch", "me")
    bench.now = T0 + 10
    bench.store.start_run("consume", "me")
    bench.now = T0 + 30
    bench.store.end_run(first, 3, "{}")

    assert bench.store.runs(10) == [
        Run("consume", T0 + 10, None, None),
        Run("fetch", T0, T0 + 30, 3),
    ]


def test_no_more_runs_come_than_asked_for(store: Store) -> None:
    for command in ("init", "fetch", "consume"):
        store.start_run(command, "me")

    assert [run.command for run in store.runs(2)] == ["consume", "fetch"]


def test_the_run_begun_last_comes_first_whatever_the_clock_said(bench: Bench) -> None:
    bench.store.start_run("fetch", "me")
    bench.now = T0 - 5
    bench.store.start_run("consume", "me")

    assert [run.command for run in bench.store.runs(10)] == ["consume", "fetch"]


def test_the_last_run_of_a_command_is_when_it_began(bench: Bench) -> None:
    begun = [(T0, "fetch"), (T0 + 10, "fetch"), (T0 + 7, "fetch"), (T0 + 20, "consume")]
    for at, command in begun:
        bench.now = at
        run_id = bench.store.start_run(command, "me")
        bench.now = at + 5
        bench.store.end_run(run_id, 0, "{}")

    assert bench.store.last_run("fetch") == T0 + 10
    assert bench.store.last_run("repair") is None


def test_a_transaction_that_fails_leaves_no_record_behind(bench: Bench) -> None:
    store = bench.store
    store.write(BTC, page(0))

    def work() -> None:
        with store.transaction():
            with store.transaction():
                run_id = store.start_run("consume", "me")
            store.log_batch(run_id, batch("binance", 1, 1.0))
            store.write(BTC, flatten([candle(0, close=9.5)]))
            alert = store.alerts.keep(Alert(0, "late", "BTC", Severity.WARNING, "late", T0, T0))
            store.alerts.ask(alert, Turn.START, "late", ["mail"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()

    assert (store.runs(10), store.batches(10), bench.revisions(BTC)) == ([], [], [])
    assert (store.alerts.open(), store.alerts.waiting()) == ([], {})
