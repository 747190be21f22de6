"""A job's runs: never two at once, none skipped, none endless."""

import threading
from collections.abc import Callable

import pytest

from histq.daemon.facts import Facts
from histq.daemon.turns import Job, Outcome, Turns
from histq.errors import (
    Config,
    DiskFull,
    HistqError,
    Locked,
    Stopped,
    StorageFailed,
    Transient,
)
from histq.stop import Stop

PATIENCE_S = 20.0


def turns(run: Callable[[Stop], Outcome], facts: Facts, deadline_s: float = 60) -> Turns:
    return Turns(Job("job", run, deadline_s), facts, Stop())


def test_calls_while_it_runs_make_one_more_run() -> None:
    began, may_end = threading.Semaphore(0), threading.Event()
    runs = []

    def run(stop: Stop) -> Outcome:
        runs.append(threading.get_ident())
        began.release()
        may_end.wait(PATIENCE_S)
        return Outcome(0, "done")

    job = turns(run, Facts())
    first = threading.Thread(target=job)
    first.start()
    assert began.acquire(timeout=PATIENCE_S)

    for _ in range(3):
        job()  # comes back at once
    may_end.set()
    first.join(PATIENCE_S)

    assert runs == [first.ident, first.ident]
    assert not job.running


def test_a_call_after_it_ended_is_a_run_of_its_own() -> None:
    runs: list[Stop] = []

    def run(stop: Stop) -> Outcome:
        runs.append(stop)
        return Outcome(0, "done")

    job = turns(run, Facts())
    job()
    job()

    assert len(runs) == 2


def test_a_run_past_its_deadline_is_stopped_and_told() -> None:
    facts = Facts()

    def run(stop: Stop) -> Outcome:
        assert stop.wait(PATIENCE_S)
        return Outcome(0, "half of it")

    outcome = turns(run, facts, deadline_s=0.05).run_once()

    assert outcome.exit_code == 3
    assert "past its deadline of 0.05 s; half of it" in outcome.said
    _, overdue, _ = facts.now()
    assert "past its deadline" in overdue["job"]


def test_a_run_in_time_ends_the_report_of_a_late_one() -> None:
    facts = Facts()
    facts.overdue("job", "it was late")

    turns(lambda stop: Outcome(0, "done"), facts).run_once()

    assert facts.now() == ({"job": ""}, {"job": ""}, {})


def test_no_run_begins_after_the_stop() -> None:
    stop, runs = Stop(), []
    job = Turns(Job("job", lambda stop: runs.append(1) or Outcome(0, ""), 60), Facts(), stop)  # type: ignore[func-returns-value]
    stop.set()

    job()

    assert runs == []


def test_the_stop_reaches_the_run_that_is_under_way() -> None:
    stop, began = Stop(), threading.Event()

    def run(own: Stop) -> Outcome:
        began.set()
        assert own.wait(PATIENCE_S)
        return Outcome(0, "stopped")

    job = Turns(Job("job", run, 60), Facts(), stop)
    thread = threading.Thread(target=job)
    thread.start()
    assert began.wait(PATIENCE_S)

    stop.set()
    thread.join(PATIENCE_S)

    assert not thread.is_alive()


def test_joining_waits_for_the_run_under_way() -> None:
    began, may_end = threading.Event(), threading.Event()

    def run(stop: Stop) -> Outcome:
        began.set()
        may_end.wait(PATIENCE_S)
        return Outcome(0, "done")

    job = turns(run, Facts())
    idle = job.join(0)
    thread = threading.Thread(target=job)
    thread.start()
    assert began.wait(PATIENCE_S)
    busy = job.join(0.01)
    threading.Timer(0.05, may_end.set).start()
    ended = job.join(PATIENCE_S)
    thread.join(PATIENCE_S)

    assert (idle, busy, ended) == (True, False, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [(Locked("no luck"), 11), (Transient("no luck"), 3), (Stopped("no luck", 15), 143)],
    ids=["locked", "transient", "stopped"],
)
def test_an_error_that_passes_is_an_outcome_and_no_crash(error: HistqError, code: int) -> None:
    facts = Facts()

    def run(stop: Stop) -> Outcome:
        raise error

    outcome = turns(run, facts).run_once()

    assert outcome == Outcome(code, "no luck")
    assert facts.now() == ({}, {"job": ""}, {})


@pytest.mark.parametrize(
    ("error", "code"),
    [(Config("no folder"), 5), (DiskFull("no folder"), 1), (StorageFailed("no folder"), 1)],
    ids=["config", "full", "storage"],
)
def test_an_error_that_stays_is_told_until_a_run_goes_well(error: HistqError, code: int) -> None:
    facts = Facts()
    fails = [error]

    def run(stop: Stop) -> Outcome:
        if fails:
            raise fails.pop()
        return Outcome(0, "done")

    job = turns(run, facts)

    assert job.run_once() == Outcome(code, "no folder")
    assert facts.now() == ({"job": "no folder"}, {"job": ""}, {})
    job.run_once()
    assert facts.now() == ({"job": ""}, {"job": ""}, {})


def test_a_crash_is_told_until_a_run_goes_well() -> None:
    facts = Facts()
    fails = [True]

    def run(stop: Stop) -> Outcome:
        if fails:
            raise ZeroDivisionError("nobody foresaw it")
        return Outcome(0, "done")

    job = turns(run, facts)

    assert job.run_once().exit_code == 1
    crashed, _, _ = facts.now()
    assert crashed == {"job": "ZeroDivisionError: nobody foresaw it"}
    fails.clear()
    job.run_once()
    assert facts.now() == ({"job": ""}, {"job": ""}, {})
