"""A cron monitor learns how a block goes, and changes nothing about it."""

import logging
import time
import uuid

import pytest

from histq.alerts.ping import Ping
from tests.alerts.receivers import WebReceiver
from tests.loopback import Loopback, Says


class Broken(Exception):
    exit_code = 3


def code_of(error: BaseException | None) -> int:
    return 0 if error is None else int(getattr(error, "exit_code", 1))


def test_success_is_told_at_the_address_itself() -> None:
    with WebReceiver() as monitor:
        with Ping(f"{monitor.url}/ping/abc", "fetch", code_of):
            assert [one.path for one in monitor.inbox.all] == ["/ping/abc/start"]

        started, ended = monitor.inbox.all

    assert ended.path == "/ping/abc"
    assert (started.body, ended.body) == (b"histq fetch", b"histq fetch ended with exit code 0")
    assert started.query == ended.query
    assert str(uuid.UUID(started.query["rid"])) == started.query["rid"]


def test_failure_is_told_with_its_exit_code_and_why() -> None:
    with (
        WebReceiver() as monitor,
        pytest.raises(Broken, match="it broke"),
        Ping(f"{monitor.url}/ping/abc/?create=1", "sync", code_of),
    ):
        raise Broken("it broke")

    started, ended = monitor.inbox.all
    assert (started.path, ended.path) == ("/ping/abc/start", "/ping/abc/3")
    assert (started.query["create"], ended.query["create"]) == ("1", "1")
    assert ended.body == b"histq sync ended with exit code 3: it broke"


def test_two_runs_are_told_apart() -> None:
    with WebReceiver() as monitor:
        for _ in range(2):
            with Ping(monitor.url, "fetch", code_of):
                pass

    assert len({one.query["rid"] for one in monitor.inbox.all}) == 2


def test_a_monitor_that_fails_is_one_warning_without_its_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with WebReceiver(lambda _: 500) as monitor, Ping(f"{monitor.url}/k3y", "fetch", code_of):
        pass

    (line,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert line.getMessage() == "the cron monitor at 127.0.0.1 was not told: HTTP 500"
    assert "k3y" not in caplog.text


def test_a_monitor_that_is_not_there_changes_neither_result_nor_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with WebReceiver() as monitor:
        gone = monitor.url

    with pytest.raises(Broken), Ping(gone, "fetch", code_of):
        raise Broken

    assert "was not told: ConnectError, Connection refused" in caplog.text


def test_a_monitor_that_answers_a_byte_at_a_time_is_left_in_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    began = time.monotonic()
    with (
        Loopback(lambda _: Says(b"x" * 1000, drip_s=0.05)) as slow,
        Ping(slow.url, "fetch", code_of, timeout_s=0.2),
    ):
        pass

    assert time.monotonic() - began < 5
    assert "was not told" in caplog.text
