"""Whether ledger and queue agree about what is where, whatever has happened to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histq.client import Answer
from histq.config import load
from histq.errors import Misshapen, Stopped
from histq.findings import Finding
from histq.model import HOUR_MS, Candle, Interval, Market, Reason, Span, State, Window
from histq.page import Fault
from histq.pipeline import letters
from histq.pipeline.audit import audit
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.fetch import FetchJob
from histq.pipeline.planning import Piece, SeriesPlan
from histq.pipeline.record import Recorder
from histq.pipeline.runs import RunLog
from histq.pipeline.settle import settle
from histq.pipeline.targets import Selection, Target
from histq.plan import Wish
from histq.providers import providers
from histq.stop import Stop
from tests.queues import BTC, PLENTY, draft

START = 1_704_067_200_000  # 2024-01-01
NOW = START + 1_000 * HOUR_MS


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    flags = {"database": {"path": str(tmp_path / "histq.db")}}
    return Opener(load(flags, plain=True).settings, "h:b:1:0:x")


@pytest.fixture
def apart(tmp_path: Path) -> Opener:
    """Queue and store are files of their own."""
    flags = {
        "database": {"path": str(tmp_path / "histq.db")},
        "queue": {"url": "sqlite:///queue.db"},
        "store": {"url": "sqlite:///prices.db"},
    }
    return Opener(load(flags, plain=True).settings, "h:b:1:0:x")


@pytest.fixture
def backends(opener: Opener) -> Iterator[Backends]:
    with opener.open(create=True) as opened:
        yield opened


def found(opener: Opener, *, quick: bool = True) -> list[Finding]:
    return audit(opener, Stop(), lambda what, done, all_: None, quick=quick).findings


def test_a_new_database_adds_up(opener: Opener, backends: Backends) -> None:
    report = audit(opener, Stop(), lambda what, done, all_: None, quick=False)

    assert (report.findings, report.complete, report.exit_code) == ([], True, 0)


def test_a_queued_stretch_without_a_message_is_found(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft(0), draft(2)])
    backends.store.record(BTC, [Span(0, 4 * HOUR_MS, State.QUEUED)])

    (finding,) = found(opener)

    assert finding.where == "binance/BTCUSDT/1h"
    assert finding.what.startswith("1970-01-01T01:00Z..1970-01-01T02:00Z and 1 other stretches are")
    assert finding.advice.startswith(
        "histq fetch BTCUSDT -s binance -i 1h --refetch --from 1970-01-01T01:00Z"
        " --to 1970-01-01T04:00Z"
    )


def test_a_dead_stretch_without_a_letter_is_found(opener: Opener, backends: Backends) -> None:
    backends.store.record(BTC, [Span(0, HOUR_MS, State.DEAD)])

    (finding,) = found(opener)

    assert finding.what.endswith("is dead, and no dead letter holds it")
    assert finding.advice.startswith("histq repair BTCUSDT")


def test_a_letter_backs_a_queued_stretch(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft(0)])
    (message,) = backends.queue.lease(1, PLENTY, 60)
    backends.queue.bury(message, Reason.POISON, "a death between two files")
    backends.store.record(BTC, [Span(0, HOUR_MS, State.QUEUED)])

    assert found(opener) == []


def test_files_of_their_own_are_audited_together(apart: Opener, tmp_path: Path) -> None:
    with apart.open(create=True) as backends:
        backends.queue.put([draft(0)])
        backends.store.record(BTC, [Span(0, 2 * HOUR_MS, State.QUEUED)])

    report = audit(apart, Stop(), lambda what, done, all_: None, quick=True)

    assert [Path(file).name for file in report.files] == ["histq.db", "queue.db", "prices.db"]
    assert [finding.what[:36] for finding in report.findings] == [
        "1970-01-01T01:00Z..1970-01-01T02:00Z"
    ]


def test_a_stop_ends_an_audit(opener: Opener, backends: Backends) -> None:
    stop = Stop()
    stop.set()

    with pytest.raises(Stopped, match="nothing was changed"):
        audit(opener, stop, lambda what, done, all_: None, quick=True)


class Silent:
    """Watches nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class Life:
    """What happens to a database: answers, consumers, operators. Every step as the program does."""

    def __init__(self, folder: Path) -> None:
        flags = {"database": {"path": str(folder / "histq.db")}}
        loaded = load(flags, plain=True).settings
        self.opener = Opener(loaded, "h:b:1:0:x")
        provider = providers()["binance"]
        market = Market("BTCUSDT", "BTC", "USDT", "BTCUSDT")
        self._target = Target(provider, loaded.sources["binance"], market, Interval("1h"))
        self._runs = RunLog("test", self.opener.owner)
        job = FetchJob(
            self.opener,
            Selection([], []),
            Wish(),
            self._runs,
            Stop(),
            Silent(),
            folder,
            clock=lambda: NOW,
        )
        self._recorder = Recorder(job)
        self.backends = self.opener.open(create=True)

    def close(self) -> None:
        self._recorder.close()
        self.backends.close()

    def _plan(self, window: Window) -> SeriesPlan:
        return SeriesPlan(
            self._target, [Piece(window)], self.backends.store.spans(BTC), wanted=True
        )

    def answer(self, start: int, slots: dict[int, str]) -> None:
        """An answer for ten hours from `start`: at some of them a candle of a kind."""
        window = Window(START + start * HOUR_MS, START + (start + 10) * HOUR_MS)
        offsets = {"good": 0, "other": 0, "bad": 0, "off grid": 1000}
        candles = [
            Candle(
                window.start + slot * HOUR_MS + offsets[kind],
                high=1.0 if kind == "bad" else None,
                close=3.0 if kind == "other" else 2.0,
            )
            for slot, kind in sorted(slots.items())
        ]
        self._recorder.keep(self._plan(window), Answer(window, candles), window.end)

    def fail(self, start: int) -> None:
        window = Window(START + start * HOUR_MS, START + (start + 10) * HOUR_MS)
        self._recorder.fail(self._plan(window), window, Misshapen("no candles", b"<html>"))

    def consume(self, messages: int) -> None:
        if leased := self.backends.queue.lease(messages, PLENTY, 60):
            settle(self.backends, self._runs, leased, NOW)

    def bury(self) -> None:
        for message in self.backends.queue.lease(1, PLENTY, 60):
            with self.backends.transaction():
                self.backends.queue.bury(message, Reason.PERMANENT, "no")
                self.backends.store.record(message.series, [Span(*message.window, State.DEAD)])

    def drop(self, number: int) -> None:
        letters.drop(self.backends, self.backends.queue.letters()[:number])

    def retry(self, number: int) -> None:
        letters.redrive(self.backends, self.backends.queue.letters()[:number], NOW)


STARTS = st.integers(0, 30)
NUMBERS = st.integers(1, 3)
KINDS = st.sampled_from(["good", "other", "bad", "off grid"])
STEPS = st.one_of(
    st.tuples(st.just("answer"), STARTS, st.dictionaries(st.integers(0, 9), KINDS)),
    st.tuples(st.just("fail"), STARTS),
    st.tuples(st.just("consume"), NUMBERS),
    st.tuples(st.just("bury")),
    st.tuples(st.just("drop"), NUMBERS),
    st.tuples(st.just("retry"), NUMBERS),
)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=14))
def test_whatever_happens_a_database_adds_up(
    steps: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    life = Life(tmp_path_factory.mktemp("life"))
    try:
        for step, *arguments in steps:
            getattr(life, step)(*arguments)

        assert found(life.opener) == []
    finally:
        life.close()


def test_dropping_the_letter_of_a_nonsense_time_does_not_move_the_end_of_the_ledger(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path)
    try:
        far = Candle(START * 1000, close=2.0)  # microseconds
        window = Window(START, START + HOUR_MS)
        life.backends.queue.put([draft(0)._replace(window=window)])
        (message,) = life.backends.queue.lease(1, PLENTY, 60)
        fault = Fault(far, "open time is in the future")
        slot = Window(far.timestamp, far.timestamp + 1)
        life.backends.queue.keep([letters.candle_letter(message, fault, slot, NOW)])
        life.backends.store.record(BTC, [Span(*window, State.STORED)])

        life.drop(1)

        assert life.backends.store.spans(BTC) == [Span(*window, State.STORED)]
        assert life.backends.queue.letters() == []
    finally:
        life.close()


def test_dropping_a_letter_takes_nothing_back_that_is_stored(tmp_path: Path) -> None:
    life = Life(tmp_path)
    try:
        life.answer(0, {0: "good", 1: "bad", 2: "good"})
        life.consume(1)
        life.answer(1, {0: "good"})
        life.consume(1)

        life.drop(1)

        first = life.backends.store.spans(BTC)[0]
        assert first[:3] == (START, START + 3 * HOUR_MS, State.STORED)
    finally:
        life.close()


def test_what_was_between_the_candles_of_a_page_that_is_retried_is_asked_for_again(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path)
    try:
        life.answer(0, {0: "good", 9: "good"})
        life.bury()

        life.retry(1)
        life.consume(1)

        assert [
            ((span.start - START) // HOUR_MS, (span.end - START) // HOUR_MS, span.state)
            for span in life.backends.store.spans(BTC)
        ] == [(0, 1, State.STORED), (1, 9, State.WANTED), (9, 10, State.STORED)]
    finally:
        life.close()
