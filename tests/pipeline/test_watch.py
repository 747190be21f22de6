"""Looks at a database: how far each series is, how fast it goes, and what went wrong."""

from pathlib import Path

import pytest

from histq.config import load
from histq.errors import DatabaseMissing
from histq.ledger import ACCEPTED
from histq.model import Draft, Series, Span, State, Window
from histq.page import pack
from histq.pipeline.backends import Opener
from histq.pipeline.watch import Lookout
from histq.stores import Batch

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01
BTC = Series("binance", "BTCUSDT", "1h")
ETH = Series("binance", "ETHUSDT", "1h")


class Timer:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    path = str(tmp_path / "histq.db")
    return Opener(load({"database": {"path": path}}, plain=True).settings, "test:0:0:0:0")


@pytest.fixture
def lookout(opener: Opener, tmp_path: Path, timer: Timer) -> Lookout:
    return Lookout(opener, tmp_path / "state", clock=lambda: START + 100 * HOUR, timer=timer)


def record(opener: Opener, *spans: tuple[int, int, State], series: Series = BTC) -> None:
    """Spans in hours."""
    with opener.open(create=True) as backends:
        made = [Span(START + a * HOUR, START + b * HOUR, state) for a, b, state in spans]
        backends.store.record(series, made)


def store(opener: Opener, first: int, last: int, series: Series = BTC) -> None:
    """Stores the hours first <= n < last."""
    page = [
        v for n in range(first, last) for v in (START + n * HOUR, 2.0, 3.0, 1.0, 2.5, *[None] * 6)
    ]
    with opener.open(create=True) as backends:
        backends.store.write(series, page)
        backends.store.record(
            series, [Span(START + first * HOUR, START + last * HOUR, State.STORED)]
        )


def test_the_first_look_has_figures_and_no_rates(opener: Opener, lookout: Lookout) -> None:
    store(opener, 0, 24)

    found = lookout.look()

    (series,) = found.series
    assert (series.symbol, series.points, series.missing, series.gaps) == ("BTCUSDT", 24, 0, 0)
    assert (series.last, series.reached) == (START + 23 * HOUR, START + 24 * HOUR)
    assert (series.fetched_per_s, series.stored_per_s) == (None, None)
    assert (found.fetched_per_s, found.stored_per_s) == (None, None)
    assert (found.at, found.environment) == (START + 100 * HOUR, "development")


def test_rates_are_what_came_since_the_look_before(
    opener: Opener, lookout: Lookout, timer: Timer
) -> None:
    store(opener, 0, 24)
    lookout.look()
    store(opener, 24, 34)
    record(opener, (34, 64, State.QUEUED))
    store(opener, 0, 5, ETH)
    timer.now_s = 10

    found = lookout.look()

    rates = {one.symbol: (one.fetched_per_s, one.stored_per_s) for one in found.series}
    assert rates == {"BTCUSDT": (4.0, 1.0), "ETHUSDT": (0.5, 0.5)}
    assert (found.fetched_per_s, found.stored_per_s) == (4.5, 1.5)


def test_rates_are_of_the_last_minute(opener: Opener, lookout: Lookout, timer: Timer) -> None:
    store(opener, 0, 10)
    lookout.look()
    store(opener, 10, 40)
    timer.now_s = 30
    lookout.look()
    timer.now_s = 60
    over_a_minute = lookout.look()
    timer.now_s = 90
    nothing_since = lookout.look()

    assert over_a_minute.stored_per_s == 0.5  # 30 in 60 s
    assert nothing_since.stored_per_s == 0


def test_what_comes_into_being_is_counted_from_nothing(
    opener: Opener, lookout: Lookout, timer: Timer
) -> None:
    with pytest.raises(DatabaseMissing):
        lookout.look()
    store(opener, 0, 24)
    timer.now_s = 4

    assert lookout.look().stored_per_s == 6


def test_a_database_that_was_replaced_by_a_smaller_one_has_no_negative_rate(
    opener: Opener, lookout: Lookout, timer: Timer
) -> None:
    store(opener, 0, 24)
    lookout.look()
    opener.path.unlink()
    store(opener, 0, 3)
    timer.now_s = 1

    assert lookout.look().stored_per_s == 0


@pytest.mark.parametrize(
    ("spans", "reached"),
    [
        pytest.param([(0, 24, State.STORED), (24, 30, State.QUEUED)], 30, id="to its end"),
        pytest.param([(0, 24, State.QUEUED), (24, 90, State.WANTED)], 24, id="under way"),
        pytest.param([(0, 24, State.QUEUED), (24, 25, State.OPEN)], 24, id="not closed"),
        pytest.param([(0, 24, State.QUEUED), (24, 48, State.FAILED)], 48, id="failed"),
        pytest.param([(0, 24, State.WANTED)], 0, id="not yet"),
    ],
)
def test_reached_is_up_to_where_all_has_been_asked_for(
    spans: list[tuple[int, int, State]], reached: int, opener: Opener, lookout: Lookout
) -> None:
    record(opener, *spans)

    (found,) = lookout.look().series

    assert found.reached == START + reached * HOUR


def test_gaps_are_counted_unless_they_are_explained(opener: Opener, lookout: Lookout) -> None:
    store(opener, 0, 10)
    with opener.open(create=False) as backends:
        at = [START + hour * HOUR for hour in (10, 20, 30)]
        backends.store.record(BTC, [Span(at[0], at[1], State.EMPTY, ACCEPTED, at[2])])
        backends.store.record(BTC, [Span(at[1], at[2], State.FAILED, asked_at=at[2], reason="no")])
    store(opener, 30, 40)

    found = lookout.look()

    assert (found.gaps, [one.gaps for one in found.series]) == (1, [1])


def test_the_last_error_of_each_series_is_told_the_latest_first(
    opener: Opener, lookout: Lookout
) -> None:
    with opener.open(create=True) as backends:
        for series, hour, asked_at, why in (
            (BTC, 0, 100, "HTTP 500"),
            (BTC, 5, 300, "HTTP 503"),
            (ETH, 0, 200, "HTTP 404"),
        ):
            start = START + hour * HOUR
            failed = Span(start, start + HOUR, State.FAILED, asked_at=asked_at, reason=why)
            backends.store.record(series, [failed])

    found = lookout.look().errors

    assert [(one.at, one.series, one.error) for one in found] == [
        (300, "binance/BTCUSDT/1h", "HTTP 503"),
        (200, "binance/ETHUSDT/1h", "HTTP 404"),
    ]


def test_the_next_retry_and_the_last_batches_are_told(opener: Opener, tmp_path: Path) -> None:
    body = pack([START, 1.0, 2.0, 0.5, 1.5, *[None] * 6])
    with opener.open(create=True) as backends:
        queue = backends.queue
        queue.put([Draft(BTC, Window(START, START + HOUR), 1, body)])
        (message,) = queue.lease(1, 1, 60)
        queue.retry(message, "the disk was away")
        backends.store.log_batch(1, Batch("binance", 1, 100, 90, 0, 0, 10, 50.0))

    found = Lookout(opener, tmp_path / "state").look()

    assert found.next_due_at is not None
    assert 5_000 < found.next_due_at - found.at <= 11_000  # 10 s and up to a tenth more
    assert [(one.inserted, one.points_per_s) for one in found.batches] == [(90, 2000)]
    assert found.failure_rate == 0.1


def test_the_budgets_of_those_who_can_be_asked_are_told(opener: Opener, lookout: Lookout) -> None:
    store(opener, 0, 1, Series("demo", "BTCUSDT", "1h"))
    store(opener, 0, 1, Series("my-files", "BTCUSDT", "1h"))

    names = [one.source for one in lookout.look().hosts]

    # cryptocompare has no key, and what was imported has no host.
    assert names == ["binance", "binance-archive", "coingecko", "demo"]
