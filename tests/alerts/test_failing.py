"""A database that cannot keep what is told of it, and a receiver that is away for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from histq.alerts.alerts import Alerts
from histq.alerts.channels import open_channels
from histq.alerts.facts import Facts
from histq.alerts.notice import Notice
from histq.db import Database
from histq.errors import DiskFull, Stopped
from histq.pipeline.backends import Opener
from histq.pipeline.health import DiskHealth
from tests.alerts.receivers import Inbox, MailReceiver, Posted, WebReceiver
from tests.alerts.samples import GIB, NOON, health, settings_at

TOLD_S = 20.0
FULL = DiskFull("using histq.db: the disk is full")


class Hand:
    """A channel that takes everything."""

    name = place = "hand"

    def __init__(self) -> None:
        self.inbox: Inbox[Notice] = Inbox()

    def send(self, notice: Notice) -> None:
        self.inbox.add(notice)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(notice.state, notice.name) for notice in self.inbox.all]


class Room:
    """A database, a folder that outlives it, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.opener = Opener(settings_at(folder), "test:0:0:0:0", lock_timeout_s=0.05)
        self.hand = Hand()
        self.now = NOON
        self._state_folder = folder / "state"
        self.opener.open(create=True).close()

    @contextmanager
    def process(self) -> Iterator[Alerts]:
        with Alerts(
            self.opener, [self.hand], state_folder=self._state_folder, clock=lambda: self.now
        ) as alerts:
            yield alerts

    def look(self, alerts: Alerts, **changes: Any) -> None:
        with self.opener.open(create=True) as backends:
            alerts.look(backends.store, health(self.now, **changes), Facts())


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


START, END = ("start", "database_failing"), ("end", "database_failing")


def test_a_database_that_another_program_locks_for_less_than_a_minute_does_not_fail(
    room: Room,
) -> None:
    with room.process() as alerts:
        room.look(alerts)
        with Database.open(room.opener.path) as other, other.transaction():
            for _ in range(3):
                room.look(alerts, failure_rate=0.5)
                room.now += 29_000
        room.look(alerts, failure_rate=0.5)
        assert alerts.wait_told(TOLD_S)

    assert room.hand.told == [("start", "failures")]


def test_a_database_that_is_locked_for_a_minute_fails(room: Room) -> None:
    with room.process() as alerts:
        room.look(alerts)
        with Database.open(room.opener.path) as other, other.transaction():
            for _ in range(3):
                room.look(alerts, failure_rate=0.5)
                room.now += 30_000
            (told,) = room.hand.inbox.wait_for(1)
        room.look(alerts, failure_rate=0.5)
        assert alerts.wait_told(TOLD_S)

    assert "another histq has held the write lock" in told.text
    assert sorted(room.hand.told) == sorted([START, END, ("start", "failures")])


def test_an_end_while_another_program_writes_is_no_failure(room: Room) -> None:
    with room.process() as alerts:
        room.look(alerts)
        alerts.unable(Stopped("histq.db: stopped while another histq held the write lock"))
        room.look(alerts)
        assert alerts.wait_told(TOLD_S)

    assert room.hand.told == []


def test_a_database_that_fails_across_restarts_is_told_once_and_ends_once(room: Room) -> None:
    for _ in range(3):
        with room.process() as alerts:
            alerts.unable(FULL)
            room.hand.inbox.wait_for(1)
            assert alerts.failing
    for _ in range(2):
        with room.process() as alerts:
            room.look(alerts)
            assert alerts.wait_told(TOLD_S)
            assert not alerts.failing

    assert room.hand.told == [START, END]
    started, ended = room.hand.inbox.all
    assert (started.since, ended.since, ended.ended_at) == (NOON, NOON, NOON)
    with room.opener.open(create=False) as backends:
        (alert,) = backends.store.alerts.latest(10)
    assert "the disk is full" in alert.text


def test_what_was_written_down_is_not_told_again_when_nothing_can_be(room: Room) -> None:
    forbidden = DiskHealth(500 * GIB, 1000 * GIB, "may not write to /srv")
    with room.process() as alerts:
        room.look(alerts, disk=forbidden)
        alerts.unable(FULL)
        room.look(alerts, disk=forbidden)
        room.look(alerts)
        assert alerts.wait_told(TOLD_S)
        alerts.unable(FULL)
        room.look(alerts)
        assert alerts.wait_told(TOLD_S)

    assert room.hand.told == [START, END, START, END]


def test_what_could_not_be_written_down_and_still_fails_otherwise_is_not_told_again(
    room: Room,
) -> None:
    forbidden = DiskHealth(500 * GIB, 1000 * GIB, "may not write to /srv")
    with room.process() as alerts:
        alerts.unable(FULL)
        room.look(alerts, disk=forbidden)
        room.look(alerts)
        assert alerts.wait_told(TOLD_S)

    assert room.hand.told == [START, END]


class Away:
    """Takes nothing for so many tries."""

    def __init__(self, tries: int) -> None:
        self._left = tries

    def __call__(self, _: object) -> bool:
        self._left -= 1
        return self._left < 0


def telling(folder: Path, hook: WebReceiver, post: MailReceiver) -> Opener:
    settings = settings_at(
        folder,
        webhook_url=f"{hook.url}/hook",
        smtp_url=f"smtp://{post.place}",
        smtp_starttls=False,
        mail_from="histq@example.com",
        mail_to=["ops@example.com"],
    )
    return Opener(settings, "test:0:0:0:0")


@pytest.mark.parametrize(
    ("web_tries", "mail_tries"), [pytest.param(3, 0, id="web"), pytest.param(0, 3, id="mail")]
)
def test_a_receiver_that_is_away_is_told_once_when_it_is_back_and_the_other_at_once(
    tmp_path: Path, web_tries: int, mail_tries: int
) -> None:
    web_takes, mail_takes = Away(web_tries), Away(mail_tries)
    posts: list[bool] = []

    def answer(posted: Posted) -> int:
        posts.append(web_takes(posted))
        return 204 if posts[-1] else 503

    with WebReceiver(answer) as hook, MailReceiver(takes=mail_takes) as post:
        opener = telling(tmp_path, hook, post)
        channels = open_channels(opener.settings.alerts)
        with (
            opener.open(create=True) as backends,
            Alerts(opener, channels, wait_s=0.01) as alerts,
        ):
            alerts.look(backends.store, health(failure_rate=0.5), Facts())
            alerts.look(backends.store, health(failure_rate=0.6), Facts())
            assert alerts.wait_told(TOLD_S)
            assert backends.store.alerts.waiting() == {}

        assert posts == [False] * web_tries + [True]
        assert len(post.inbox.all) == 1
        assert post.refused == mail_tries
