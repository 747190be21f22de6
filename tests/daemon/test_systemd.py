"""What systemd hears, on a socket of its kind."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.daemon.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_ready_says_what_runs(manager: socket.socket, tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).ready("consume, fetch")

    assert heard(manager) == ["READY=1", "STATUS=consume, fetch"]


def test_reloading_carries_the_monotonic_clock(manager: socket.socket, tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).reloading()

    first, second = heard(manager)
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_the_watchdog_is_fed_twice_as_often_as_it_wants(
    manager: socket.socket, tmp_path: Path
) -> None:
    environ = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "60000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    notifier = Notifier(environ)

    notifier.alive()
    notifier.alive()  # too soon for another
    notifier.stopping()

    assert [heard(manager), heard(manager)] == [["WATCHDOG=1"], ["STOPPING=1"]]


@pytest.mark.parametrize("pid", ["1", "nobody"])
def test_a_watchdog_of_another_process_is_not_fed(
    manager: socket.socket, tmp_path: Path, pid: str
) -> None:
    notifier = Notifier(
        {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "1000",
            "WATCHDOG_PID": pid,
        }
    )

    notifier.alive()
    notifier.stopping()

    assert heard(manager) == ["STOPPING=1"]


def test_a_socket_in_the_abstract_namespace_is_reached() -> None:
    name = f"histq-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(5)

        Notifier({"NOTIFY_SOCKET": f"@{name}"}).stopping()

        assert heard(listening) == ["STOPPING=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_nobody_who_listens_is_no_trouble(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address}).ready("consume")
