"""Revisions: what a provider told last is what counts, and applying takes it over."""

import pytest

from histq.model import HOUR_MS, Candle
from histq.page import flatten
from histq.stores import Applied, History, Store, Written
from tests.stores import BTC, ETH, T0, Bench, candle, page

LATER = T0 + 60_000


def tell(bench: Bench, *closes: float, hour: int = 0) -> None:
    """The provider says these closes of one candle, one after the other."""
    for close in closes:
        bench.store.write(BTC, flatten([candle(hour, close=close)]))


def full(close: float = 2.0, high: float = 9.0, volume: float | None = 5.0) -> Candle:
    return Candle(0, open=2.0, high=high, low=1.0, close=close, volume=volume)


def states(store: Store) -> dict[int, str]:
    return {one.id: one.state.value for one in store.revisions([BTC], 100)}


def test_applying_takes_the_newer_value_and_keeps_the_old_on_record(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.now = LATER

    done = bench.store.apply_revisions([1])

    assert done == Applied(applied=[1], already=[], left_out=[])
    assert bench.prices(BTC) == [candle(0, close=2.0)]
    assert bench.revisions(BTC) == [(0, {"close": 1.0}, {"close": 2.0})]
    assert bench.applied_at(BTC) == [LATER]


def test_applying_changes_the_fields_that_differ_and_no_neighbour(bench: Bench) -> None:
    before = Candle(0, 2.0, 9.0, 1.0, 2.5, 5.0, 6.0, 7, 8.0, 9.0, 3_599_998)
    bench.store.write(BTC, flatten([before, candle(1)]))
    bench.store.write(ETH, flatten([before]))
    bench.store.write(BTC, flatten([Candle(0, close=3.5, trades=11)]))

    bench.store.apply_revisions([1])

    after = Candle(0, 2.0, 9.0, 1.0, 3.5, 5.0, 6.0, 11, 8.0, 9.0, 3_599_998)
    assert bench.prices(BTC) == [after, candle(1)]
    assert bench.prices(ETH) == [before]


def test_applying_leaves_the_counters_as_they_were(bench: Bench) -> None:
    bench.store.write(BTC, page(0, 1))
    tell(bench, 9.5)
    before = bench.store.coverage()

    bench.store.apply_revisions([1])

    assert bench.store.coverage() == before


def test_a_revision_leads_from_what_was_told_last(bench: Bench) -> None:
    tell(bench, 1.0, 2.0, 3.0)

    assert bench.revisions(BTC) == [
        (0, {"close": 1.0}, {"close": 2.0}),
        (0, {"close": 2.0}, {"close": 3.0}),
    ]


def test_of_several_revisions_of_one_candle_the_last_wins(bench: Bench) -> None:
    tell(bench, 1.0, 2.0, 4.0, 3.0)

    done = bench.store.apply_revisions([3, 1, 2])

    assert done.applied == [1, 2, 3]
    assert bench.prices(BTC) == [candle(0, close=3.0)]


def test_a_revision_brings_the_earlier_ones_that_it_builds_on(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full(close=2.0, volume=5.0)]))
    bench.store.write(BTC, flatten([full(close=3.0, volume=5.0)]))
    bench.store.write(BTC, flatten([full(close=3.0, volume=6.0)]))

    done = bench.store.apply_revisions([2])

    assert done.applied == [1, 2]
    assert bench.prices(BTC) == [full(close=3.0, volume=6.0)]


def test_a_revision_brings_no_later_one(bench: Bench) -> None:
    tell(bench, 1.0, 2.0, 3.0)

    done = bench.store.apply_revisions([1])

    assert done.applied == [1]
    assert bench.prices(BTC) == [candle(0, close=2.0)]
    assert states(bench.store) == {1: "applied", 2: "waiting"}


def test_a_candle_nobody_told_is_never_made_up(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full(close=2.0, volume=5.0)]))
    bench.store.write(BTC, flatten([full(close=3.0, volume=5.0)]))
    bench.store.write(BTC, flatten([full(close=2.0, volume=6.0)]))

    bench.store.apply_revisions([1, 2])

    assert bench.prices(BTC) == [full(close=2.0, volume=6.0)]


def test_a_word_taken_back_is_news_and_applying_both_changes_nothing(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)

    back = bench.store.write(BTC, flatten([candle(0, close=1.0)]))
    bench.store.apply_revisions([1, 2])

    assert back == Written(inserted=0, duplicates=1, revised=0)
    assert bench.revisions(BTC)[1] == (0, {"close": 2.0}, {"close": 1.0})
    assert bench.prices(BTC) == [candle(0, close=1.0)]
    assert bench.applied_at(BTC) == [T0, T0]


def test_silence_after_a_revision_takes_nothing_back(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full(volume=5.0)]))
    bench.store.write(BTC, flatten([full(close=3.0, volume=6.0)]))

    bench.store.write(BTC, flatten([full(close=3.0, volume=None)]))

    assert len(bench.revisions(BTC)) == 1


@pytest.mark.parametrize("ids", [[1], [1, 2], [2]], ids=["the first", "both", "the second"])
def test_the_same_answer_after_applying_is_no_revision(bench: Bench, ids: list[int]) -> None:
    bench.store.write(BTC, flatten([full(close=2.0, volume=5.0)]))
    bench.store.write(BTC, flatten([full(close=3.0, volume=5.0)]))
    bench.store.write(BTC, flatten([full(close=3.0, volume=6.0)]))
    bench.store.apply_revisions(ids)

    bench.store.write(BTC, flatten([full(close=3.0, volume=6.0)]))

    assert len(bench.revisions(BTC)) == 2


@pytest.mark.parametrize("close", [1.0, 3.0], ids=["the first value again", "a third value"])
def test_another_answer_after_applying_is_a_revision(bench: Bench, close: float) -> None:
    tell(bench, 1.0, 2.0)
    bench.store.apply_revisions([1])

    later = bench.store.write(BTC, flatten([candle(0, close=close)]))

    assert later.revised == 1
    assert bench.revisions(BTC)[1:] == [(0, {"close": 2.0}, {"close": close})]


def test_the_value_applied_last_but_one_is_news_again(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.store.apply_revisions([1])
    tell(bench, 1.0)
    bench.store.apply_revisions([2])

    tell(bench, 2.0, 2.0)

    assert bench.revisions(BTC)[2:] == [(0, {"close": 1.0}, {"close": 2.0})]


def test_an_unsound_candle_is_left_out_with_its_reason(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full(), candle(1, close=1.0)]))
    bench.store.write(BTC, flatten([Candle(0, close=9.5), candle(1, close=2.0)]))

    done = bench.store.apply_revisions([1, 2])

    assert done == Applied(applied=[2], already=[], left_out=[(1, "close is above high")])
    assert bench.prices(BTC) == [full(), candle(1, close=2.0)]
    assert states(bench.store) == {1: "waiting", 2: "applied"}


def test_a_later_revision_heals_an_unsound_one(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full()]))
    bench.store.write(BTC, flatten([Candle(0, close=9.5)]))
    bench.store.write(BTC, flatten([Candle(0, high=10.0, close=9.5)]))

    done = bench.store.apply_revisions([1, 2])

    assert (done.applied, done.left_out) == ([2], [(1, "close is above high")])
    assert bench.prices(BTC) == [full(close=9.5, high=10.0)]
    assert states(bench.store) == {1: "overtaken", 2: "applied"}


def test_an_unsound_revision_that_others_build_on_is_taken_over_with_them(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full()]))
    bench.store.write(BTC, flatten([full(volume=6.0)]))
    bench.store.write(BTC, flatten([full(volume=6.0, close=9.5)]))
    bench.store.write(BTC, flatten([full(volume=6.0, close=9.5, high=10.0)]))

    done = bench.store.apply_revisions([3])

    assert done == Applied(applied=[1, 3], already=[], left_out=[])
    assert bench.prices(BTC) == [full(volume=6.0, close=9.5, high=10.0)]
    assert states(bench.store) == {1: "applied", 2: "overtaken", 3: "applied"}


def test_an_id_of_no_revision_is_left_out_without_a_word(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)

    assert bench.store.apply_revisions([1, 99]) == Applied([1], [], [])


def test_what_an_unsound_revision_builds_on_is_not_applied_unasked(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full(close=2.0)]))
    bench.store.write(BTC, flatten([full(close=3.0)]))
    bench.store.write(BTC, flatten([full(close=9.5)]))

    done = bench.store.apply_revisions([2])

    assert (done.applied, done.left_out) == ([], [(2, "close is above high")])
    assert bench.prices(BTC) == [full(close=2.0)]


def test_an_unsound_answer_is_recorded_once(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full()]))
    for _ in range(2):
        bench.store.write(BTC, flatten([Candle(0, close=9.5)]))
        bench.store.apply_revisions([1])

    assert len(bench.revisions(BTC)) == 1


def test_a_value_that_is_on_no_record_is_not_overwritten(bench: Bench) -> None:
    tell(bench, 1.0, 2.0, 3.0)
    bench.change(BTC, 0, 7.0)

    done = bench.store.apply_revisions([1, 2])

    assert done.applied == []
    assert done.left_out == [
        (1, "close was 1.0 when it came, and is 7.0 now"),
        (2, "close was 2.0 when it came, and is 7.0 now"),
    ]
    assert bench.prices(BTC) == [candle(0, close=7.0)]


def test_the_next_answer_puts_a_changed_table_on_record(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.change(BTC, 0, 7.0)

    tell(bench, 2.0, 2.0)
    done = bench.store.apply_revisions([2])

    assert bench.revisions(BTC)[1:] == [(0, {"close": 7.0}, {"close": 2.0})]
    assert done.applied == [2]
    assert bench.prices(BTC) == [candle(0, close=2.0)]
    assert states(bench.store) == {1: "overtaken", 2: "applied"}


def test_a_whole_number_past_what_a_double_counts_is_no_change_of_the_table(bench: Bench) -> None:
    for volume in (1, 2**53 + 1, 3):
        bench.store.write(BTC, flatten([Candle(0, close=1.0, volume=volume)]))
    bench.store.apply_revisions([1])

    done = bench.store.apply_revisions([2])

    assert (done.applied, done.left_out) == ([2], [])


def test_an_overtaken_revision_does_not_come_back(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full()]))
    bench.store.write(BTC, flatten([Candle(0, close=9.5)]))
    bench.store.write(BTC, flatten([Candle(0, close=3.0)]))
    bench.store.apply_revisions([2])

    done = bench.store.apply_revisions([1])

    assert done.left_out == [(1, "a newer revision of its candle is applied already")]
    assert bench.prices(BTC) == [full(close=3.0)]


def test_a_second_time_applies_nothing(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.store.apply_revisions([1])
    bench.now = LATER

    done = bench.store.apply_revisions([1])

    assert done == Applied(applied=[], already=[1], left_out=[])
    assert bench.applied_at(BTC) == [T0]


def test_a_candle_that_is_gone_is_left_out(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.change(BTC, 0, None)

    done = bench.store.apply_revisions([1])

    assert done.left_out == [(1, "its candle is not stored any more")]


def test_a_dry_run_says_the_same_and_changes_nothing(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full(), candle(1, close=1.0)]))
    bench.store.write(BTC, flatten([Candle(0, close=9.5), candle(1, close=2.0)]))
    before = bench.prices(BTC)

    said = bench.store.apply_revisions([1, 2], dry_run=True)

    assert bench.prices(BTC) == before
    assert bench.applied_at(BTC) == [None, None]
    assert said == bench.store.apply_revisions([1, 2])


def test_a_transaction_that_fails_applies_nothing(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)

    def work() -> None:
        with bench.store.transaction():
            bench.store.apply_revisions([1])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()

    assert bench.prices(BTC) == [candle(0, close=1.0)]
    assert bench.applied_at(BTC) == [None]


def test_a_contradiction_of_what_is_known_already_is_no_revision(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)

    bench.store.revise(BTC, [(candle(0, close=1.0), candle(0, close=2.0))])

    assert len(bench.revisions(BTC)) == 1


def test_two_contradictions_of_one_candle_in_a_batch_are_both_on_record(bench: Bench) -> None:
    kept = candle(0, close=1.0)
    bench.store.write(BTC, flatten([kept]))

    bench.store.revise(BTC, [(kept, candle(0, close=2.0)), (kept, candle(0, close=3.0))])
    bench.store.apply_revisions([1, 2])

    assert bench.prices(BTC) == [candle(0, close=3.0)]


def test_revisions_are_listed_newest_first(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.now = LATER
    tell(bench, 3.0, 4.0, hour=1)

    newest, first = bench.store.revisions([BTC], 10)

    assert (newest.id, newest.symbol, newest.timestamp) == (2, "BTCUSDT", HOUR_MS)
    assert (newest.old, newest.new) == ({"close": 3.0}, {"close": 4.0})
    assert (newest.seen_at, newest.applied_at, newest.state) == (LATER, None, "waiting")
    assert first.id == 1
    assert bench.store.revisions([BTC], 1) == [newest]
    assert bench.store.revisions([BTC], 10, [1]) == [first]
    assert bench.store.revisions([ETH], 10) == []


def test_the_revision_seen_last_is_the_newest_whatever_the_clock_said(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.now = T0 - 5
    tell(bench, 3.0)

    assert [one.id for one in bench.store.revisions([BTC], 10)] == [2, 1]


def test_a_revision_that_is_overtaken_waits_no_more(bench: Bench) -> None:
    bench.store.write(BTC, flatten([full()]))
    for later in (Candle(0, close=9.5), Candle(0, close=3.0), Candle(0, close=4.0)):
        bench.store.write(BTC, flatten([later]))

    bench.store.apply_revisions([2])

    assert states(bench.store) == {1: "overtaken", 2: "applied", 3: "waiting"}
    assert bench.store.waiting_revisions([BTC], 0, 9) == [3]


def test_an_id_of_a_revision_that_was_forgotten_is_not_used_again(bench: Bench) -> None:
    tell(bench, 1.0, 2.0)
    bench.store.apply_revisions([1])
    bench.store.forget(History.REVISIONS, LATER, 9, lambda rows: None)

    tell(bench, 3.0)

    (found,) = bench.store.revisions([BTC], 9)
    assert found.id > 1


def test_what_waits_is_looked_up_in_pages(bench: Bench) -> None:
    bench.store.write(ETH, page(0))
    for hour in range(4):
        tell(bench, 1.0, 2.0, hour=hour)
    bench.store.write(ETH, flatten([candle(0, close=9.5)]))
    bench.store.apply_revisions([2])

    assert bench.store.waiting_revisions([BTC], 0, 2) == [1, 3]
    assert bench.store.waiting_revisions([BTC], 3, 2) == [4]
    assert bench.store.waiting_revisions([BTC, ETH], 3, 9) == [4, 5]
    assert bench.store.waiting_revisions([BTC], 4, 2) == []
