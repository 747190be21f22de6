"""What becomes of a message: stored, a duplicate, a revision, a dead letter, or tried again."""

import json
import threading
from pathlib import Path

import pytest

from histq.config import load
from histq.db import Database
from histq.errors import Config, Misshapen, Poison, Transient
from histq.model import Candle, Draft, Series, Window
from histq.page import Flat
from histq.pipeline import letters
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.consume import WORKERS_A_FILE, ConsumeJob, consume
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop
from histq.stores import Written
from histq.stores.sqlite import SqliteStore
from tests.pipeline import BTC, ETH, HOUR, START, Quiet, candle, closes, draft, run, spans


def test_a_page_ends_in_the_table_and_in_the_ledger(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0), candle(1), candle(2)], slots=3)])

    report = run(opener)

    assert closes(backends) == {0: 2.0, 1: 2.0, 2: 2.0}
    assert spans(backends) == [(0, 3, "stored")]
    assert (report.messages, report.points, report.unique, report.inserted) == (1, 3, 3, 3)
    assert report.exit_code == 0
    assert backends.queue.depth().messages == 0


def test_a_bad_candle_is_buried_alone_and_its_neighbours_are_stored(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0), candle(1, high=1.5), candle(2)], slots=3)])

    report = run(opener)

    assert closes(backends) == {0: 2.0, 2: 2.0}
    assert spans(backends) == [(0, 1, "stored"), (1, 2, "dead"), (2, 3, "stored")]
    assert (report.inserted, report.dead, report.exit_code) == (2, 1, 3)
    (letter,) = backends.queue.letters()
    assert (letter.kind, letter.reason, letter.error) == ("candle", "poison", "open is above high")
    assert letter.window == Window(START + HOUR, START + 2 * HOUR)
    assert json.loads(letter.raw_data)["candles"][0]["high"] == 1.5


def test_a_bad_candle_takes_no_good_one_back(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0), candle(1)], slots=2)])
    run(opener)
    backends.queue.put([draft([candle(0), candle(1, high=1.5)], slots=2)])

    report = run(opener)

    assert (report.dead, report.duplicates) == (1, 1)
    assert spans(backends) == [(0, 2, "stored")]


def test_repeats_in_a_batch_and_in_the_table_are_counted_apart(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0), candle(1)], slots=2)])
    run(opener)
    backends.queue.put([draft([candle(1), candle(2)], slots=3), draft([candle(2)], slots=4)])

    report = run(opener)

    assert report.points == 3
    assert report.inserted == 1
    assert (report.duplicates, report.duplicates_in_batch, report.duplicates_stored) == (2, 1, 1)
    assert report.unique == 2
    assert report.revised == 0


def test_another_value_for_a_stored_candle_is_recorded_and_the_first_stays(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0, close=2.0)], slots=1)])
    run(opener)
    backends.queue.put([draft([candle(0, close=3.0)], slots=1)])

    report = run(opener)

    assert closes(backends) == {0: 2.0}
    assert (report.inserted, report.duplicates, report.revised) == (0, 1, 1)
    assert backends.database.rows("select timestamp, old, new from revisions") == [
        (START, '{"close": 2.0}', '{"close": 3.0}')
    ]


def test_of_two_values_in_one_batch_the_first_to_come_stays(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0, close=3.0)], slots=2)])
    backends.queue.put([draft([candle(0, close=2.0)], slots=1)])

    report = run(opener)

    assert closes(backends) == {0: 3.0}
    assert (report.duplicates_in_batch, report.revised) == (1, 1)
    assert backends.database.value("select new from revisions") == '{"close": 2.0}'


def test_a_message_that_does_not_unpack_is_buried_whole_and_harms_no_neighbour(
    opener: Opener, backends: Backends
) -> None:
    broken = Draft(ETH, Window(START, START + HOUR), 1, b"\xc1 no page")
    backends.queue.put([broken, draft([candle(0)], slots=1)])

    report = run(opener)

    assert closes(backends) == {0: 2.0}
    assert (report.inserted, report.dead) == (1, 1)
    assert spans(backends, ETH) == [(0, 1, "dead")]
    (letter,) = backends.queue.letters()
    assert (letter.kind, letter.reason) == ("page", "poison")
    assert json.loads(letter.raw_data) == {"packed": "wSBubyBwYWdl"}


class Counting(Quiet):
    """Counts the workers that are there when a batch is done."""

    def __init__(self) -> None:
        self.workers: list[int] = []

    def stored(self, report: ConsumeReport) -> None:
        self.workers.append(sum(thread.name == "histq-consume" for thread in threading.enumerate()))


def test_a_file_is_given_no_more_workers_than_it_can_use(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0)], slots=1), draft([candle(0)], ETH, slots=1)])
    watcher = Counting()

    report = consume(
        ConsumeJob(opener, 5, RunLog("consume", opener.owner), stop=Stop(), watcher=watcher)
    )

    assert report.inserted == 2
    assert watcher.workers
    assert max(watcher.workers) <= WORKERS_A_FILE


class PickyStore(SqliteStore):
    """A store that cannot take one series."""

    def write(self, series: Series, page: Flat) -> Written:
        if series == ETH:
            raise Poison("not in this table")
        return super().write(series, page)


class PickyOpener(Opener):
    """Opens a healthy queue and that store."""

    def open(self, *, create: bool) -> Backends:
        opened = Opener(self.settings, self.owner).open(create=create)
        return opened._replace(store=PickyStore(opened.database))


def test_a_page_that_the_store_cannot_take_is_buried_and_its_neighbours_are_stored(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0)], slots=1), draft([candle(0)], ETH, slots=1)])
    backends.queue.put([draft([candle(1)], slots=2)])

    report = run(PickyOpener(*opener))

    assert closes(backends) == {0: 2.0, 1: 2.0}
    assert (report.inserted, report.dead) == (2, 1)
    (letter,) = backends.queue.letters()
    assert (letter.series, letter.reason) == (ETH, "permanent")
    assert spans(backends, ETH) == [(0, 1, "dead")]


def test_a_number_that_no_table_can_hold_is_a_bad_candle(
    opener: Opener, backends: Backends
) -> None:
    huge = Candle(START, open=2.0, high=9.0, low=1.0, close=2.0, trades=2**63)
    backends.queue.put([draft([huge, candle(1)], slots=2)])

    report = run(opener)

    assert closes(backends) == {1: 2.0}
    assert (report.inserted, report.dead) == (1, 1)


def test_a_message_whose_consumers_keep_dying_is_buried(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0)], slots=1), draft([candle(0)], ETH, slots=1)])
    backends.database.change("update messages set deliveries = ? where symbol = 'BTCUSDT'", (20,))

    report = run(opener)

    assert closes(backends, ETH) == {0: 2.0}
    assert (report.inserted, report.dead) == (1, 1)
    (letter,) = backends.queue.letters()
    assert (letter.series, letter.reason) == (BTC, "exhausted")
    assert spans(backends) == [(0, 1, "dead")]


def test_one_kill_less_is_healthy_work(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0)], slots=1)])
    backends.database.change("update messages set deliveries = ?", (19,))

    report = run(opener)

    assert (report.inserted, report.dead) == (1, 0)


def test_no_wait_leaves_what_is_delayed_and_says_so(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0)], slots=1)])
    (message,) = backends.queue.lease(1, 1, 60)
    backends.queue.retry(message, "try later")

    report = run(opener, wait=False)

    assert (report.messages, report.left, report.exit_code) == (0, 1, 3)


class AwayStore(SqliteStore):
    """A store that cannot be reached."""

    def write(self, series: Series, page: Flat) -> Written:
        raise Transient("the store is away")


class AwayOpener(Opener):
    """Opens a healthy queue and a store that is away."""

    def open(self, *, create: bool) -> Backends:
        opened = Opener(self.settings, self.owner).open(create=create)
        return opened._replace(store=AwayStore(opened.database))


def test_a_store_that_is_away_is_tried_again_later(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0), candle(1)], slots=2)])

    report = run(AwayOpener(*opener), wait=False)

    assert (report.points, report.retried, report.dead, report.left) == (2, 2, 0, 1)
    assert backends.database.rows("select failures, error, token from messages") == [
        (1, "the store is away", None)
    ]


def test_a_store_that_stays_away_leaves_a_dead_letter_that_can_be_retried(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0)], slots=1)])
    for _ in range(4):
        backends.database.change("update messages set available_at = 0")
        run(AwayOpener(*opener), wait=False)
    (letter,) = backends.queue.letters()
    assert (letter.reason, letter.failures, letter.error) == ("exhausted", 4, "the store is away")
    assert spans(backends) == [(0, 1, "dead")]

    redriven = letters.redrive(backends, [letter], START)
    report = run(opener)

    assert redriven.queued == 1
    assert report.inserted == 1
    assert spans(backends) == [(0, 1, "stored")]
    assert backends.queue.letters() == []


def test_a_letter_corrected_by_hand_is_stored(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0), candle(1, high=1.5)], slots=2)])
    run(opener)
    backends.database.change("update dead_letters set raw_data = replace(raw_data, '1.5', '2.5')")

    letters.redrive(backends, backends.queue.letters(), START)
    report = run(opener)

    assert report.inserted == 1
    assert closes(backends) == {0: 2.0, 1: 2.0}
    assert spans(backends) == [(0, 2, "stored")]


def test_a_letter_that_is_still_bad_is_a_letter_again(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0), candle(1, high=1.5)], slots=2)])
    run(opener)

    letters.redrive(backends, backends.queue.letters(), START)
    assert backends.queue.letters() == []
    report = run(opener)

    assert report.dead == 1
    assert [letter.error for letter in backends.queue.letters()] == ["open is above high"]
    assert spans(backends) == [(0, 1, "stored"), (1, 2, "dead")]


def test_a_dropped_letter_leaves_a_hole_that_the_ledger_knows(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0), candle(1, high=1.5)], slots=2)])
    run(opener)

    dropped = letters.drop(backends, backends.queue.letters())

    assert dropped == 1
    assert backends.queue.letters() == []
    assert spans(backends) == [(0, 1, "stored"), (1, 2, "failed")]


def test_a_letter_whose_window_waits_already_stays(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0, high=1.5)], slots=1)])
    run(opener)
    backends.queue.put([draft([candle(0)], slots=1)])

    redriven = letters.redrive(backends, backends.queue.letters(), START)

    assert redriven.queued == 0
    assert [why for _, why in redriven.kept] == [
        "its window waits in the queue already; consume that first"
    ]
    assert len(backends.queue.letters()) == 1


def test_a_kept_body_is_parsed_anew(opener: Opener, backends: Backends) -> None:
    row = [START, "2", "9", "1", "3.5", "10", START + HOUR - 1, "20", 4, "5", "10", "0"]
    window = Window(START, START + HOUR)
    body = json.dumps([row]).encode()
    backends.queue.keep(
        [letters.body_letter(BTC, window, Misshapen("an older histq", body), START + HOUR)]
    )

    redriven = letters.redrive(backends, backends.queue.letters(), START)
    run(opener)

    assert redriven.queued == 1
    assert closes(backends) == {0: 3.5}


def test_a_kept_body_that_is_no_page_stays(opener: Opener, backends: Backends) -> None:
    window = Window(START, START + HOUR)
    backends.queue.keep(
        [letters.body_letter(BTC, window, Misshapen("no candles", b"<html>"), START)]
    )

    redriven = letters.redrive(backends, backends.queue.letters(), START)

    assert redriven.queued == 0
    assert "still holds no candles" in redriven.kept[0][1]
    assert len(backends.queue.letters()) == 1


def test_a_body_past_the_cap_is_kept_in_part(opener: Opener, backends: Backends) -> None:
    body = b"x" * (letters.BODY_CAP + 1)

    letter = letters.body_letter(
        BTC, Window(START, START + HOUR), Misshapen("no candles", body), START
    )

    shown = json.loads(letter.raw_data)
    assert (len(shown["body"]), shown["bytes"], shown["cut"]) == (65_536, 65_537, True)


def test_every_batch_leaves_a_row_a_source(opener: Opener, backends: Backends) -> None:
    gecko = Series("coingecko", "BTCUSD", "1d")
    day = Candle(START, close=5.0)
    backends.queue.put([draft([candle(0)], slots=1), draft([day], gecko, slots=24)])

    run(opener)

    assert backends.database.rows(
        "select source, messages, points, inserted from ingestion_stats order by source"
    ) == [("binance", 1, 1, 1), ("coingecko", 1, 1, 1)]
    assert [row.source for row in backends.store.throughput(10)] == ["binance", "coingecko"]


def test_queue_and_prices_may_be_files_of_their_own(tmp_path: Path) -> None:
    path = str(tmp_path / "histq.db")
    flags = {
        "database": {"path": path},
        "queue": {"url": "sqlite:///queue.db"},
        "store": {"url": "sqlite:///prices.db"},
    }
    apart = Opener(load(flags, plain=True).settings, "host:boot:1:0:test")
    with apart.open(create=True) as opened:
        opened.queue.put([draft([candle(0), candle(1, high=1.5)], slots=2)])

        report = run(apart)

        assert (report.inserted, report.dead) == (1, 1)
        assert opened.queue.depth().messages == 0
        assert spans(opened) == [(0, 1, "stored"), (1, 2, "dead")]
    with Database.open(tmp_path / "prices.db", create=False) as prices:
        assert prices.value("select count(*) from prices") == 1
    with Database.open(tmp_path / "queue.db", create=False) as queue:
        assert queue.value("select count(*) from prices") == 0
        assert queue.value("select count(*) from dead_letters") == 1


def test_an_open_candle_in_a_kept_body_is_not_stored(opener: Opener, backends: Backends) -> None:
    row = [START, "2", "9", "1", "3.5", "10", START + HOUR - 1, "20", 4, "5", "10", "0"]
    error = Misshapen("an older histq", json.dumps([row]).encode())
    error.answered_at = START + HOUR - 1
    letter = letters.body_letter(BTC, Window(START, START + HOUR), error, START + 9 * HOUR)
    backends.queue.keep([letter])

    letters.redrive(backends, backends.queue.letters(), START + 9 * HOUR)
    run(opener)

    assert closes(backends) == {}


class LosingStore(SqliteStore):
    """A store during whose work the lease of one message runs out and is taken by another."""

    def write(self, series: Series, page: Flat) -> Written:
        if series == ETH:
            self.database.change("update messages set token = 'another' where symbol = 'ETHUSDT'")
        return super().write(series, page)


class LosingOpener(Opener):
    """Opens a healthy queue and that store."""

    def open(self, *, create: bool) -> Backends:
        opened = Opener(self.settings, self.owner).open(create=create)
        return opened._replace(store=LosingStore(opened.database))


def test_a_lost_lease_stores_nothing_and_harms_no_neighbour(
    opener: Opener, backends: Backends
) -> None:
    backends.queue.put([draft([candle(0)], slots=1), draft([candle(0)], ETH, slots=1)])

    report = run(LosingOpener(*opener), wait=False)

    assert closes(backends) == {0: 2.0}
    assert closes(backends, ETH) == {}
    assert (report.inserted, report.dead) == (1, 0)
    assert backends.queue.depth().messages == 1


def test_a_back_end_that_is_none_is_told_with_the_known_ones(tmp_path: Path) -> None:
    flags = {"database": {"path": str(tmp_path / "histq.db")}, "queue": {"url": "kafka://x"}}

    with pytest.raises(Config, match=r"queue.url: 'kafka' is no back end"):
        load(flags, plain=True)
