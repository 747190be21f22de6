"""Told at least once, in order, whatever the receiver and the process do."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.alerts.alerts import Alerts
from histq.alerts.channels import open_channels
from histq.alerts.facts import Facts
from histq.alerts.notice import Notice, Undelivered
from histq.host import wall_clock
from histq.model import DAY_MS
from histq.pipeline.backends import Backends, Opener
from histq.place import beside
from tests.alerts.receivers import Inbox, Posted, WebReceiver
from tests.alerts.samples import NOON, disk, health, settings_at

ROOT = Path(__file__).parent.parent.parent
TOLD_S = 20.0
LOW = health(failure_rate=0.5)
LOWER = health(failure_rate=0.5, disk=disk(1.0))


class Hand:
    """A channel that answers as the test says; every try is seen."""

    place = "by hand"

    def __init__(self, name: str = "hand") -> None:
        self.name = name
        self.tries: Inbox[Notice] = Inbox()
        self.fail_with = ""
        self.held = threading.Event()
        self.held.set()

    def send(self, notice: Notice) -> None:
        self.tries.add(notice)
        self.held.wait(TOLD_S)
        if self.fail_with:
            raise Undelivered(self.fail_with)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    return Opener(settings_at(tmp_path), "test:0:0:0:0")


@pytest.fixture
def backends(opener: Opener) -> Iterator[Backends]:
    with opener.open(create=True) as opened:
        yield opened


def waiting(backends: Backends) -> dict[int, list[str]]:
    return backends.store.alerts.waiting()


def test_a_receiver_that_fails_is_tried_until_it_takes_it(
    opener: Opener, backends: Backends
) -> None:
    hand = Hand()
    hand.fail_with = "HTTP 503"
    with Alerts(opener, [hand], wait_s=0.001) as alerts:
        alerts.look(backends.store, LOW, Facts())
        hand.tries.wait_for(4)
        assert waiting(backends) == {1: ["hand"]}

        hand.fail_with = ""
        assert alerts.wait_told(TOLD_S)

    assert len({notice.id for notice in hand.tries.all}) == 1
    assert waiting(backends) == {}


def test_a_receiver_that_is_away_is_said_once_in_the_log(
    opener: Opener, backends: Backends, caplog: pytest.LogCaptureFixture
) -> None:
    hand = Hand()
    hand.fail_with = "HTTP 503"
    with Alerts(opener, [hand], wait_s=0.001) as alerts:
        alerts.look(backends.store, LOW, Facts())
        hand.tries.wait_for(4)

    said = [one.getMessage() for one in caplog.records if one.name == "histq.alerts.courier"]
    assert said == ["channel=hand retry_s=0 error='HTTP 503'"]


def test_what_a_receiver_has_not_taken_is_told_first_and_in_order(
    opener: Opener, backends: Backends
) -> None:
    away = Hand()
    away.fail_with = "away"
    with Alerts(opener, [away], wait_s=0.001) as alerts:
        alerts.look(backends.store, LOW, Facts())
        alerts.look(backends.store, LOWER, Facts())
        alerts.look(backends.store, health(), Facts())
        away.tries.wait_for(3)
    assert {notice.name for notice in away.tries.all} == {"failures"}

    back = Hand()
    with Alerts(opener, [back], wait_s=0.001) as alerts:
        assert alerts.wait_told(TOLD_S)

    assert [(notice.name, notice.state) for notice in back.tries.all] == [
        ("failures", "start"),
        ("disk_low", "start"),
        ("failures", "end"),
        ("disk_low", "end"),
    ]


def test_a_receiver_that_hangs_holds_up_neither_the_others_nor_the_look_nor_the_end(
    opener: Opener, backends: Backends
) -> None:
    hanging, well = Hand("hanging"), Hand("well")
    hanging.held.clear()
    alerts = Alerts(opener, [hanging, well], wait_s=0.001)
    alerts.look(backends.store, LOW, Facts())
    hanging.tries.wait_for(1)

    alerts.look(backends.store, LOWER, Facts())
    well.tries.wait_for(2)
    assert not alerts.wait_told(0)
    alerts.close(timeout_s=0.5)

    assert waiting(backends) == {1: ["hanging"], 2: ["hanging"]}
    hanging.held.set()
    alerts.close()


def test_a_receiver_that_is_away_for_three_days_is_not_told_of_it_any_more(
    opener: Opener, backends: Backends, caplog: pytest.LogCaptureFixture
) -> None:
    hand, clock = Hand(), Clock()
    hand.fail_with = "away"
    clock.now = wall_clock()  # that of the store, which dates what is asked
    with Alerts(opener, [hand], wait_s=0.001, clock=clock) as alerts:
        alerts.look(backends.store, LOW, Facts())
        hand.tries.wait_for(2)

        clock.now += 3 * DAY_MS + 60_000
        assert alerts.wait_told(TOLD_S)

    assert "given_up=1-" in caplog.text
    assert waiting(backends) == {1: ["hand"]}


def test_a_channel_that_breaks_is_tried_again_with_what_comes_next(
    opener: Opener, backends: Backends, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Hand):
        def send(self, notice: Notice) -> None:
            super().send(notice)
            if len(self.tries.all) == 1:
                raise KeyError("nobody thought of this")

    odd = Odd()
    with Alerts(opener, [odd], wait_s=0.001) as alerts:
        alerts.look(backends.store, LOW, Facts())
        odd.tries.wait_for(1)
        alerts.look(backends.store, LOWER, Facts())
        assert alerts.wait_told(TOLD_S)

    assert [notice.name for notice in odd.tries.all] == ["failures", "failures", "disk_low"]
    assert "unexpected=KeyError" in caplog.text


def test_what_was_taken_is_not_told_again_while_that_cannot_be_written_down(
    opener: Opener, backends: Backends
) -> None:
    hand = Hand()
    hand.held.clear()
    impatient = opener._replace(lock_timeout_s=0.05)
    with Alerts(impatient, [hand], wait_s=0.001) as alerts:
        alerts.look(backends.store, LOW, Facts())
        hand.tries.wait_for(1)
        with backends.database.transaction():
            hand.held.set()
            assert not alerts.wait_told(0.3)

        alerts.look(backends.store, LOWER, Facts())
        assert alerts.wait_told(TOLD_S)

    assert [notice.name for notice in hand.tries.all] == ["failures", "disk_low"]
    assert waiting(backends) == {}


def test_one_process_at_a_time_tells_a_channel(opener: Opener, backends: Backends) -> None:
    hand = Hand()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(beside(opener.path, "alerts"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with Alerts(opener, [hand], wait_s=0.001) as alerts:
            alerts.look(backends.store, LOW, Facts())
            assert not alerts.wait_told(0.3)
            assert hand.tries.all == []

            holder.communicate()
            alerts.look(backends.store, LOWER, Facts())
            assert alerts.wait_told(TOLD_S)

    assert len(hand.tries.all) == 2


HOLD = """
import sys
from pathlib import Path
from histq.locks import NamedLocks
locks = NamedLocks(Path(sys.argv[1]))
assert locks.try_acquire("hand")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_kill_between_telling_and_recording_tells_it_again(tmp_path: Path) -> None:
    victims: Inbox[int] = Inbox()

    def kill_first(posted: Posted) -> int:
        if not hook.inbox.all:
            os.kill(victims.wait_for(1)[0], signal.SIGKILL)  # it has sent, and waits for our answer
        return 204

    with WebReceiver(kill_first) as hook:
        opener = Opener(settings_at(tmp_path, webhook_url=hook.url), "test:0:0:0:0")
        with opener.open(create=True) as backends:
            process = subprocess.Popen(
                [sys.executable, "-c", TELL, str(tmp_path), hook.url], cwd=ROOT
            )
            victims.add(process.pid)
            assert process.wait(60) == -signal.SIGKILL
            assert waiting(backends) == {1: ["webhook"]}

            with Alerts(opener, open_channels(opener.settings.alerts)) as alerts:
                alerts.look(backends.store, LOW, Facts())
                assert alerts.wait_told(TOLD_S)

            first, second = hook.inbox.all
            assert json.loads(first.body) == json.loads(second.body)
            assert waiting(backends) == {}
            assert len(backends.store.alerts.latest(10)) == 1


TELL = """
import sys
from pathlib import Path
from histq.alerts.alerts import Alerts
from histq.alerts.channels import open_channels
from histq.alerts.facts import Facts
from histq.pipeline.backends import Opener
from tests.alerts.samples import health, settings_at
opener = Opener(settings_at(Path(sys.argv[1]), webhook_url=sys.argv[2]), "test:0:0:0:1")
with opener.open(create=True) as backends:
    alerts = Alerts(opener, open_channels(opener.settings.alerts))
    alerts.look(backends.store, health(failure_rate=0.5), Facts())
    alerts.wait_told(30)
"""


def test_many_alerts_leave_no_descriptor_open(opener: Opener, backends: Backends) -> None:
    def opened() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    hand = Hand()
    with Alerts(opener, [hand], wait_s=0.001) as alerts:
        alerts.look(backends.store, LOW, Facts())
        assert alerts.wait_told(TOLD_S)
        before = opened()
        for _ in range(20):
            alerts.look(backends.store, health(), Facts())
            alerts.look(backends.store, LOW, Facts())
            assert alerts.wait_told(TOLD_S)
        assert opened() == before

    assert len(hand.tries.all) == 41


def test_a_port_where_nobody_listens_is_waited_out(opener: Opener, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        opener = Opener(settings_at(tmp_path, webhook_url=url), "test:0:0:0:0")
        with (
            opener.open(create=True) as backends,
            Alerts(opener, open_channels(opener.settings.alerts), wait_s=0.01) as alerts,
        ):
            alerts.look(backends.store, LOW, Facts())

            assert not alerts.wait_told(0.2)
            assert waiting(backends) == {1: ["webhook"]}
