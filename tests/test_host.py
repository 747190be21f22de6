"""Who a process is, and when it counts as dead."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from histq.host import is_dead, owner_id

SAY_WHO = """
import sys
from histq.host import owner_id
print(owner_id(), flush=True)
sys.stdin.readline()
"""

only_with_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="without /proc such a process looks alive"
)


@contextmanager
def child() -> Iterator["tuple[subprocess.Popen[str], str]"]:
    """A living process, and who it says it is."""
    process = subprocess.Popen(
        [sys.executable, "-c", SAY_WHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def with_field(owner: str, number: int, value: str) -> str:
    """The owner with one of host, boot, pid, start, random replaced."""
    fields = owner.split(":")
    fields[number] = value
    return ":".join(fields)


def test_no_two_owners_are_the_same() -> None:
    assert owner_id() != owner_id()


def test_an_owner_names_its_process() -> None:
    assert owner_id().split(":")[2] == str(os.getpid())


def test_we_are_alive() -> None:
    assert not is_dead(owner_id())


def test_a_living_process_is_not_dead() -> None:
    with child() as (_, owner):
        assert not is_dead(owner)


def test_a_killed_process_is_dead() -> None:
    with child() as (process, owner):
        process.kill()
        process.wait()

        assert is_dead(owner)


@only_with_proc
def test_a_killed_process_that_its_parent_has_not_reaped_is_dead() -> None:
    with child() as (process, owner):
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert is_dead(owner)


@only_with_proc
def test_who_had_our_process_number_before_us_is_dead() -> None:
    assert is_dead(with_field(owner_id(), 3, "1"))


def test_a_process_from_before_the_last_boot_is_dead() -> None:
    assert is_dead(with_field(owner_id(), 1, "00000000"))


def test_nothing_is_known_of_a_process_of_another_host() -> None:
    with child() as (process, owner):
        process.kill()
        process.wait()

        assert not is_dead(with_field(owner, 0, "0123456789ab"))
