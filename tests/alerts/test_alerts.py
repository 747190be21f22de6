"""Every condition driven to its start and its end, told to real receivers, once each."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from histq.alerts.alerts import Alerts
from histq.alerts.channels import open_channels
from histq.alerts.facts import Facts
from histq.model import Draft, Series, Window
from histq.page import pack
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.health import Health
from histq.pipeline.health import health as measure
from histq.settings import QueueSettings
from histq.stores.alerts import Severity
from tests.alerts.receivers import MailReceiver, Posted, WebReceiver
from tests.alerts.samples import HOUR, NOON, depth, disk, health, host, series, settings_at

TOLD_S: Final = 20.0
WELL: Final = Facts({"consume": ""}, {"fetch binance": ""}, {"binance": ""})

Seen = Callable[[int], Health]


class Case(NamedTuple):
    """`wrong` and `right` by the instant; `holds_s` and `over_s` are how long each has to last."""

    name: str
    subject: str
    severity: Severity
    wrong: Seen
    right: Seen = health
    facts: Facts = WELL
    holds_s: int = 0
    over_s: int = 0


def at(**changes: Any) -> Seen:
    return lambda now: health(now, **changes)


WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
CASES = [
    Case("queue_deep", "queue", WARNING, at(queue=depth(10_001)), holds_s=60, over_s=60),
    Case("queue_slow", "queue", WARNING, at(queue=depth(oldest_age_s=901)), holds_s=60, over_s=60),
    Case("failures", "batches", CRITICAL, at(failure_rate=0.11)),
    Case("dead_letters", "queue", WARNING, at(queue=depth(dead=1), buried_at=NOON)),
    Case("series_stale", "binance/BTCUSDT/1h", WARNING, at(series=[series(7201)]), holds_s=900),
    Case("budget_low", "binance/minute", WARNING, at(hosts=[host(0.05)]), holds_s=300, over_s=60),
    Case("budget_low", "binance/month", WARNING, at(hosts=[host(credits_left=999)])),
    Case("source_refuses", "binance", CRITICAL, at(hosts=[host(silent_s=300)])),
    Case("source_refuses", "binance", CRITICAL, health, facts=Facts(sources={"binance": "451"})),
    Case(
        "worker_crashed", "consume", CRITICAL, health, facts=Facts({"consume": "boom"}), over_s=300
    ),
    Case(
        "job_overran", "fetch binance", WARNING, health, facts=Facts({}, {"fetch binance": "1 s"})
    ),
    Case("disk_low", "disk", CRITICAL, at(disk=disk(1.9))),
]
each_condition = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.name} {case.subject}"
)


class Room:
    """A database, a webhook and a mail server; alerts open on them like a daemon's."""

    def __init__(self, opener: Opener, hook: WebReceiver, post: MailReceiver) -> None:
        self.opener = opener
        self.hook = hook
        self.post = post

    @contextmanager
    def daemon(self) -> Iterator["Looking"]:
        channels = open_channels(self.opener.settings.alerts, timeout_s=5)
        with (
            self.opener.open(create=True) as backends,
            Alerts(self.opener, channels, wait_s=0.01) as alerts,
        ):
            yield Looking(alerts, backends)


class Looking:
    def __init__(self, alerts: Alerts, backends: Backends) -> None:
        self.alerts = alerts
        self.backends = backends

    def look(self, seen: Seen, facts: Facts, seconds: int) -> None:
        """As it is so many seconds past noon."""
        self.alerts.look(self.backends.store, seen(NOON + seconds * 1000), facts)

    def all_told(self) -> None:
        assert self.alerts.wait_told(TOLD_S)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with WebReceiver() as hook, MailReceiver() as post:
        settings = settings_at(
            tmp_path,
            webhook_url=f"{hook.url}/hook",
            smtp_url=f"smtp://{post.place}",
            smtp_starttls=False,
            mail_from="histq@example.com",
            mail_to=["ops@example.com"],
        )
        yield Room(Opener(settings, "test:0:0:0:0"), hook, post)


def told(posted: list[Posted]) -> list[tuple[str, str, str, str]]:
    found = [json.loads(one.body) for one in posted]
    return [(one["state"], one["name"], one["subject"], one["severity"]) for one in found]


def expected(case: Case) -> list[tuple[str, str, str, str]]:
    return [(state, case.name, case.subject, str(case.severity)) for state in ("start", "end")]


def titles(room: Room) -> list[str]:
    return [str(mailed.message["subject"]).partition(" (")[0] for mailed in room.post.inbox.all]


@each_condition
def test_each_condition_is_told_once_when_it_starts_and_once_when_it_ends(
    room: Room, case: Case
) -> None:
    with room.daemon() as daemon:
        daemon.look(health, WELL, -600)
        for second in (0, case.holds_s // 2, case.holds_s, case.holds_s + 1, case.holds_s + 60):
            daemon.look(case.wrong, case.facts, second)
        daemon.all_told()
        assert told(room.hook.inbox.all) == expected(case)[:1]

        began = case.holds_s + 100
        for second in (0, case.over_s, case.over_s + 1, case.over_s + 60):
            daemon.look(case.right, WELL, began + second)
        daemon.all_told()

    assert told(room.hook.inbox.all) == expected(case)
    assert titles(room) == [
        f"[histq] {case.severity}: {case.name} {case.subject}",
        f"[histq] over: {case.name} {case.subject}",
    ]


@each_condition
def test_a_restart_between_any_two_looks_changes_nothing_that_is_told(
    room: Room, case: Case
) -> None:
    seen = [
        (case.wrong, case.facts, 0),
        (case.wrong, case.facts, case.holds_s),
        (case.wrong, case.facts, case.holds_s + 10),
        (case.right, WELL, case.holds_s + 20),
        (case.right, WELL, case.holds_s + 20 + case.over_s),
        (case.right, WELL, case.holds_s + 30 + case.over_s),
    ]

    for look in seen:
        with room.daemon() as daemon:
            daemon.look(*look)
            daemon.all_told()

    assert told(room.hook.inbox.all) == expected(case)
    assert len(titles(room)) == 2


def test_a_restart_before_anything_was_heard_ends_nothing(room: Room) -> None:
    crashed = Facts({"consume": "boom"}, {"fetch": "late"}, {"binance": "451"})
    with room.daemon() as daemon:
        daemon.look(health, crashed, 0)
        daemon.all_told()

    with room.daemon() as daemon:
        for second in (10, 400, 800):
            daemon.look(health, Facts({"consume": None}, {"fetch": None}), second)
        daemon.all_told()

        assert {state for state, *_ in told(room.hook.inbox.all)} == {"start"}
        assert len(daemon.backends.store.alerts.open()) == 3


def test_what_a_receiver_is_told_holds_all_there_is_to_know(room: Room) -> None:
    with room.daemon() as daemon:
        daemon.look(at(disk=disk(1.9)), WELL, 0)
        daemon.look(at(disk=disk(3.0)), WELL, 5)
        daemon.all_told()

    first, second = (json.loads(posted.body) for posted in room.hook.inbox.all)
    assert first == {
        "schema": 1,
        "id": f"1-{NOON}-start",
        "environment": "development",
        "host": first["host"],
        "name": "disk_low",
        "subject": "disk",
        "state": "start",
        "severity": "critical",
        "since": NOON,
        "ended_at": None,
        "text": "1.9 GiB are free where the database lies, less than 2.0 GiB; make room, or histq"
        " stops when it is full",
    }
    assert first["host"]
    assert (second["id"], second["since"], second["ended_at"]) == (
        f"1-{NOON}-end",
        NOON,
        NOON + 5000,
    )
    assert second["text"] == "3.0 GiB are free where the database lies"


def test_a_mail_reads_like_one(room: Room) -> None:
    with room.daemon() as daemon:
        daemon.look(at(disk=disk(1.9)), WELL, 0)
        daemon.all_told()

    (mailed,) = room.post.inbox.all
    message = mailed.message
    assert mailed.to == ["ops@example.com"]
    assert (message["from"], message["to"]) == ("histq@example.com", "ops@example.com")
    assert message["auto-submitted"] == "auto-generated"
    assert message.get_content().splitlines() == [
        "1.9 GiB are free where the database lies, less than 2.0 GiB; make room, or histq stops"
        " when it is full",
        "",
        "since 2023-11-15T12:00Z",
        "name disk_low",
        "subject disk",
    ]


def test_a_channel_that_is_new_is_told_of_what_began_before(tmp_path: Path, room: Room) -> None:
    silent = Opener(settings_at(tmp_path), "test:0:0:0:0")
    with silent.open(create=True) as backends, Alerts(silent, []) as alerts:
        alerts.look(backends.store, health(disk=disk(1.9)), WELL)

    with room.daemon() as daemon:
        daemon.look(at(disk=disk(1.9)), WELL, 10)
        daemon.all_told()

    assert [state for state, *_ in told(room.hook.inbox.all)] == ["start"]


def test_each_turn_is_a_line_of_the_log(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    with room.daemon() as daemon:
        daemon.look(at(failure_rate=0.5), WELL, 0)
        daemon.look(health, WELL, 5)
        daemon.all_told()

    lines = [record for record in caplog.records if record.name == "histq.alerts.alerts"]
    assert [record.levelname for record in lines] == ["ERROR", "WARNING"]
    assert lines[0].getMessage() == (
        "alert=start name=failures subject=batches severity=critical text='50.0% of the points of"
        " the last batches could not be stored; histq dlq list shows why'"
    )
    assert lines[1].getMessage().startswith("alert=end name=failures ")


def test_what_is_open_can_be_counted(room: Room) -> None:
    with room.daemon() as daemon:
        daemon.look(at(failure_rate=0.5, disk=disk(1.9)), WELL, 0)

        found = daemon.backends.store.alerts.open()

    assert [(alert.name, alert.started_at) for alert in found] == [
        ("failures", NOON),
        ("disk_low", NOON),
    ]


def test_what_cannot_be_written_down_is_told_all_the_same(room: Room) -> None:
    with room.daemon() as daemon:
        daemon.look(health, WELL, 0)
        daemon.all_told()
        daemon.backends.database.rows("pragma query_only = on")

        for second in (5, 10):
            daemon.look(at(failure_rate=0.5), WELL, second)
        daemon.all_told()
        assert told(room.hook.inbox.all) == [("start", "database_failing", "database", "critical")]

        daemon.backends.database.rows("pragma query_only = off")
        daemon.look(at(failure_rate=0.5), WELL, 15)
        daemon.all_told()

    assert sorted(told(room.hook.inbox.all)[1:]) == [
        ("end", "database_failing", "database", "critical"),
        ("start", "failures", "batches", "critical"),
    ]
    assert len(room.post.inbox.all) == 3


def test_what_is_measured_of_a_real_queue_is_told(room: Room, tmp_path: Path) -> None:
    opener, hourly = room.opener, Series("binance", "BTCUSDT", "1h")
    settings = opener.settings.model_copy(update={"queue": QueueSettings(alert_depth=1)})
    room.opener = opener._replace(settings=settings)
    body = pack([NOON, 1.0, 2.0, 0.5, 1.5, *[None] * 6])

    with room.daemon() as daemon:

        def measured(now: int) -> Health:
            return measure(daemon.backends, [], settings, tmp_path / "state", now)

        queue = daemon.backends.queue
        queue.put([Draft(hourly, Window(NOON, NOON + HOUR), 2, body)])
        for second in (0, 61):
            daemon.look(measured, WELL, second)
        queue.ack(queue.lease(1, 1, 60))
        for second in (70, 131):
            daemon.look(measured, WELL, second)
        daemon.all_told()

    # The disk is measured too, and may be low.
    assert [one for one in told(room.hook.inbox.all) if one[2] == "queue"] == [
        ("start", "queue_deep", "queue", "warning"),
        ("end", "queue_deep", "queue", "warning"),
    ]


def test_looking_costs_no_write_while_nothing_changes(room: Room) -> None:
    with room.daemon() as daemon:
        daemon.look(at(failure_rate=0.5), WELL, 0)
        changes = daemon.backends.database.value("select total_changes()")

        for second in range(1, 50):
            daemon.look(at(failure_rate=0.5), WELL, second)

        assert daemon.backends.database.value("select total_changes()") == changes
