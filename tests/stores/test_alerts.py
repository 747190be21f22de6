"""What every store promises of the record of alerts; see test_conformance.py."""

import pytest
from msgspec.structs import replace

from histq.errors import HistqError
from histq.stores.alerts import Alert, AlertLog, Severity, Turn
from tests.stores import T0, Bench


@pytest.fixture
def log(bench: Bench) -> AlertLog:
    return bench.store.alerts


def deep(since: int = T0, started_at: int | None = T0) -> Alert:
    return Alert(0, "queue_deep", "queue", Severity.WARNING, "it is deep", since, started_at)


def test_an_alert_is_kept_as_it_was_found(log: AlertLog) -> None:
    kept = log.keep(deep())

    assert kept.id > 0
    assert replace(kept, id=0) == deep()
    assert log.open() == log.latest(10) == [kept]


def test_what_becomes_of_an_alert_takes_the_place_of_what_was_known(log: AlertLog) -> None:
    kept = log.keep(deep(started_at=None))

    later = replace(kept, severity=Severity.CRITICAL, text="it is deeper", started_at=T0 + 5)
    assert log.keep(later) == later

    assert log.open() == [later]


def test_an_alert_that_is_over_is_open_no_more(log: AlertLog) -> None:
    over = replace(log.keep(deep()), better_since=T0 + 5, ended_at=T0 + 9)

    log.keep(over)

    assert log.open() == []
    assert log.latest(10) == [over]


def test_no_two_alerts_of_one_name_and_subject_are_open(log: AlertLog) -> None:
    log.keep(deep())

    with pytest.raises(HistqError):
        log.keep(deep(since=T0 + 1))

    assert len(log.open()) == 1


def test_alerts_of_one_name_about_several_subjects_are_open_at_once(log: AlertLog) -> None:
    kept = [log.keep(replace(deep(), subject=subject)) for subject in ("b", "a")]

    assert log.open() == kept


def test_what_is_over_may_begin_again(log: AlertLog) -> None:
    first = log.keep(deep())
    log.keep(replace(first, ended_at=T0 + 9))

    second = log.keep(deep(since=T0 + 20))

    assert log.open() == [second]
    assert [alert.id for alert in log.latest(10)] == [second.id, first.id]


def test_what_has_not_started_is_open_and_on_no_list(log: AlertLog) -> None:
    suspected = log.keep(deep(started_at=None))

    assert log.open() == [suspected]
    assert log.latest(10) == []


def test_alerts_come_in_the_order_in_which_they_were_kept(log: AlertLog) -> None:
    told = [("a", T0 + 9, T0 + 10), ("b", T0, T0 + 30), ("c", T0 + 5, T0 + 20)]
    for subject, since, started_at in told:
        log.keep(replace(deep(since, started_at), subject=subject))

    assert [alert.subject for alert in log.open()] == ["a", "b", "c"]
    assert [alert.subject for alert in log.latest(2)] == ["c", "b"]


def test_what_has_not_started_can_be_dropped_and_nothing_else(log: AlertLog) -> None:
    suspected = log.keep(deep(started_at=None))
    log.drop(suspected)
    assert log.open() == []

    started = log.keep(deep())
    log.drop(started)
    assert log.open() == [started]


def test_what_has_started_meanwhile_is_not_dropped(log: AlertLog) -> None:
    suspected = log.keep(deep(started_at=None))
    started = log.keep(replace(suspected, started_at=T0))

    log.drop(suspected)

    assert log.open() == [started]


def test_the_latest_are_so_many(log: AlertLog) -> None:
    for number in range(3):
        log.keep(replace(log.keep(deep(since=T0 + number)), ended_at=T0 + 9))

    assert [alert.since for alert in log.latest(2)] == [T0 + 2, T0 + 1]


def test_each_channel_is_asked_once_and_told_for_itself(bench: Bench, log: AlertLog) -> None:
    alert = log.keep(deep())
    log.ask(alert, Turn.START, "it is deep", ["webhook", "mail"])
    log.ask(alert, Turn.START, "said again", ["webhook", "mail"])

    (found,) = log.untold("webhook", 0, 10)
    assert (found.alert, found.turn, found.text) == (alert, Turn.START, "it is deep")
    assert found.asked_at == bench.now
    log.told(found)

    assert log.untold("webhook", 0, 10) == []
    assert len(log.untold("mail", 0, 10)) == 1
    assert log.waiting() == {alert.id: ["mail"]}


def test_a_channel_tells_in_the_order_it_was_asked(log: AlertLog) -> None:
    alert = log.keep(deep())
    log.ask(alert, Turn.START, "it is deep", ["mail"])
    over = log.keep(replace(alert, ended_at=T0 + 9))
    log.ask(over, Turn.END, "it is not", ["mail"])

    found = log.untold("mail", 0, 10)

    assert [(one.turn, one.text) for one in found] == [
        (Turn.START, "it is deep"),
        (Turn.END, "it is not"),
    ]
    assert [one.alert for one in log.untold("mail", 0, 1)] == [over]


def test_a_notice_that_was_told_leaves_the_other_turn_to_be_told(log: AlertLog) -> None:
    alert = log.keep(deep())
    for turn in (Turn.START, Turn.END):
        log.ask(alert, turn, turn.value, ["mail"])
    start, end = log.untold("mail", 0, 10)

    log.told(start)

    assert log.untold("mail", 0, 10) == [end]
    assert log.waiting() == {alert.id: ["mail"]}


def test_what_was_told_is_not_asked_for_again(log: AlertLog) -> None:
    alert = log.keep(deep())
    log.ask(alert, Turn.START, "it is deep", ["mail"])
    log.told(*log.untold("mail", 0, 10))

    log.ask(alert, Turn.START, "it is deep", ["mail"])

    assert log.untold("mail", 0, 10) == []
    assert log.waiting() == {}


def test_what_was_asked_too_long_ago_is_not_to_be_told(bench: Bench, log: AlertLog) -> None:
    log.ask(log.keep(deep()), Turn.START, "it is deep", ["mail"])

    assert log.untold("mail", bench.now, 10) == []
    assert len(log.untold("mail", bench.now - 1, 10)) == 1


def test_what_ended_long_ago_is_forgotten_with_its_notices(log: AlertLog) -> None:
    old = log.keep(replace(log.keep(deep()), ended_at=T0 + 9))
    log.ask(old, Turn.START, "it is deep", ["mail"])
    open_ = log.keep(deep(since=T0 + 20))

    assert log.forget(T0 + 9) == 0
    assert log.forget(T0 + 10) == 1

    assert log.latest(10) == [open_]
    assert log.untold("mail", 0, 10) == []


def test_what_is_forgotten_is_not_brought_back_by_keeping_it(log: AlertLog) -> None:
    over = log.keep(replace(log.keep(deep()), ended_at=T0 + 9))
    log.forget(T0 + 10)

    log.keep(replace(over, ended_at=None))

    assert log.open() == []
    assert log.keep(deep()).id != over.id


def test_what_is_not_over_is_never_forgotten(log: AlertLog) -> None:
    log.keep(deep())

    assert log.forget(2**62) == 0
