"""What a store forgets, what stays however old it is, and who gets it before it is gone."""

from collections.abc import Sequence

import pytest

from histq.model import Candle
from histq.page import flatten
from histq.stores import Batch, History, Remembered, Store
from tests.stores import BTC, T0, Bench, candle

LATER = T0 + 1_000_000
BATCH = Batch("binance", 1, 20, 17, 2, 1, 1, 10.0)


def forgotten(
    store: Store, kind: History, before: int = LATER, limit: int = 100
) -> list[Remembered]:
    """What is handed out; it is as many rows as are told to be gone."""
    got: list[Remembered] = []
    gone = store.forget(kind, before, limit, got.extend)
    assert gone == len(got)
    return got


def run(bench: Bench, start: int, end: int | None, owner: str = "me") -> int:
    bench.now = start
    run_id = bench.store.start_run("consume", owner)
    if end is not None:
        bench.now = end
        bench.store.end_run(run_id, 3, '{"points": 9}')
    return run_id


def tell(bench: Bench, *closes: float) -> None:
    for close in closes:
        bench.store.write(BTC, flatten([candle(0, close=close)]))


def commands(store: Store) -> int:
    return len(store.runs(100))


def test_nothing_is_forgotten_of_nothing(store: Store) -> None:
    called: list[Sequence[Remembered]] = []

    assert [store.forget(kind, LATER, 9, called.append) for kind in History] == [0, 0, 0]
    assert called == []


def test_statistics_go_by_when_they_were_logged_the_oldest_first(bench: Bench) -> None:
    run_id = run(bench, T0, None)
    for at in (T0 + 3, T0 + 1, T0 + 2, T0 + 4):
        bench.now = at
        bench.store.log_batch(run_id, BATCH._replace(messages=at - T0))

    first = forgotten(bench.store, History.STATS, T0 + 4, limit=2)
    second = forgotten(bench.store, History.STATS, T0 + 4)

    assert [row["messages"] for row in first] == [1, 2]
    assert [row["messages"] for row in second] == [3]
    assert [batch.messages for batch in bench.store.batches(9)] == [4]


def test_runs_go_by_their_end(bench: Bench) -> None:
    run(bench, T0, T0 + 10)
    run(bench, T0 + 1, T0 + 9)

    rows = forgotten(bench.store, History.RUNS, T0 + 10)

    assert [row["started_at"] for row in rows] == [T0 + 1]
    assert commands(bench.store) == 1


def test_a_run_that_may_still_run_stays_and_one_that_was_killed_goes_by_its_start(
    bench: Bench,
) -> None:
    for owner in ("alive", "killed"):
        run(bench, T0, None, owner)
    bench.dead.add("killed")

    early = forgotten(bench.store, History.RUNS, T0)
    rows = forgotten(bench.store, History.RUNS, T0 + 1)

    assert early == []
    assert [row["owner"] for row in rows] == ["killed"]
    assert commands(bench.store) == 1


def test_a_run_stays_while_its_statistics_do(bench: Bench) -> None:
    bench.store.log_batch(run(bench, T0, T0 + 1), BATCH)

    kept = forgotten(bench.store, History.RUNS)
    forgotten(bench.store, History.STATS)
    gone = forgotten(bench.store, History.RUNS)

    assert (len(kept), len(gone)) == (0, 1)


def test_a_revision_that_waits_stays(bench: Bench) -> None:
    tell(bench, 1.0, 2.0, 3.0)
    bench.store.apply_revisions([1])

    rows = forgotten(bench.store, History.REVISIONS)

    assert [row["id"] for row in rows] == [1]
    assert bench.store.apply_revisions([2]).applied == [2]
    assert bench.prices(BTC) == [candle(0, close=3.0)]


def test_revisions_go_by_when_they_were_applied_and_the_overtaken_with_them(bench: Bench) -> None:
    bench.store.write(BTC, flatten([Candle(0, open=2.0, high=9.0, low=1.0, close=2.0)]))
    tell(bench, 9.5, 3.0)
    bench.now = T0 + 10
    bench.store.apply_revisions([2])  # the first is above the high: overtaken

    early = forgotten(bench.store, History.REVISIONS, T0 + 10)
    rows = forgotten(bench.store, History.REVISIONS, T0 + 11)

    assert early == []
    assert sorted(str(row["id"]) for row in rows) == ["1", "2"]
    assert bench.revisions(BTC) == []


def test_a_row_has_the_columns_of_its_table(bench: Bench) -> None:
    run_id = run(bench, T0, None)
    bench.store.log_batch(run_id, BATCH)
    bench.now = T0 + 5
    bench.store.end_run(run_id, 3, '{"points": 9}')
    tell(bench, 1.0, 2.0)
    bench.store.apply_revisions([1])

    (stats,), (command,), (revision,) = (forgotten(bench.store, kind) for kind in History)

    assert stats == {
        **{"id": stats["id"], "run_id": run_id, "source": "binance", "at": T0, "messages": 1},
        **{"points": 20, "inserted": 17, "duplicates": 2, "revised": 1, "dead": 1},
        **{"elapsed_ms": 10.0, "points_per_s": 2000.0},
    }
    assert command == {
        **{"id": run_id, "command": "consume", "owner": "me", "started_at": T0},
        **{"ended_at": T0 + 5, "exit_code": 3, "summary": '{"points": 9}'},
    }
    assert revision == {
        **{"id": 1, "source": "binance", "symbol": "BTCUSDT", "interval": "1h", "timestamp": 0},
        **{"seen_at": T0 + 5, "applied_at": T0 + 5},
        **{"old": '{"close": 1.0}', "new": '{"close": 2.0}'},
    }


def test_what_nobody_took_is_not_gone(bench: Bench) -> None:
    bench.store.log_batch(run(bench, T0, None), BATCH)

    def refuse(rows: Sequence[Remembered]) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        bench.store.forget(History.STATS, LATER, 9, refuse)

    assert bench.store.batches(9) == [BATCH]


def test_what_is_forgotten_in_a_transaction_that_fails_is_not(bench: Bench) -> None:
    bench.store.log_batch(run(bench, T0, None), BATCH)

    def work() -> None:
        with bench.store.transaction():
            assert len(forgotten(bench.store, History.STATS)) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()

    assert bench.store.batches(9) == [BATCH]


def test_a_count_beforehand_is_of_what_goes_if_all_of_it_goes(bench: Bench) -> None:
    bench.store.log_batch(run(bench, T0, T0 + 1), BATCH)
    run(bench, T0, T0 + 2)
    tell(bench, 1.0, 2.0, 3.0)
    bench.store.apply_revisions([1])

    everything = dict.fromkeys(History, LATER)

    assert bench.store.count_before(everything) == {
        History.STATS: 1,
        History.RUNS: 2,
        History.REVISIONS: 1,
    }
    assert bench.store.count_before({History.RUNS: LATER}) == {History.RUNS: 1}
    assert bench.store.count_before(everything | {History.STATS: T0}) == {
        History.STATS: 0,
        History.RUNS: 1,
        History.REVISIONS: 1,
    }
    assert bench.store.count_before({}) == {}


def test_a_candle_is_told_anew_once_its_revisions_are_forgotten(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.store.apply_revisions([1])
    forgotten(bench.store, History.REVISIONS)

    tell(bench, 2.0, 1.0, 1.0)

    assert bench.revisions(BTC) == [(0, {"close": 2.0}, {"close": 1.0})]
    assert bench.prices(BTC) == [Candle(0, close=2.0)]
