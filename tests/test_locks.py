"""Locks: whom they keep out, how long one waits, and that they die with their holder."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from histq.locks import FairLock, NamedLocks

PATIENCE_S = 20.0
"""For what must come; no test waits for so long unless it fails."""

HOLD_FAIRLY = """
import sys
from pathlib import Path
from histq.locks import FairLock
lock = FairLock(Path(sys.argv[1]))
print(lock.acquire(20), flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""

HOLD_BY_NAME = """
import sys
from pathlib import Path
from histq.locks import NamedLocks
locks = NamedLocks(Path(sys.argv[1]))
both = [locks.try_acquire(name) for name in ("binance/BTCUSDT/1h", "coingecko/BTCUSD/1d")]
print(all(both), flush=True)
sys.stdin.readline()
locks.release("binance/BTCUSDT/1h")
print("released", flush=True)
sys.stdin.readline()
"""


class Holder:
    """A process that holds a lock from the start, until it is told or killed."""

    def __init__(self, script: str, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._said() == "True"

    def release(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._said() == "released"

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Waiter:
    """A thread that waits for a lock of its own from the start."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._lock = FairLock(path)
        self._timeout_s = timeout_s
        self._got = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def got(self) -> bool:
        """Whether it got the lock, once it has stopped waiting."""
        self._thread.join()
        return self._got

    def close(self) -> None:
        self._thread.join()
        self._lock.close()

    def _run(self) -> None:
        self._got = self._lock.acquire(self._timeout_s)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "histq.db-lock"


@pytest.fixture
def lock(path: Path) -> Iterator[FairLock]:
    with closing(FairLock(path)) as made:
        yield made


@pytest.fixture
def other(path: Path) -> Iterator[FairLock]:
    """Another thread's lock on the same file."""
    with closing(FairLock(path)) as made:
        yield made


@pytest.fixture
def holder(path: Path) -> Iterator[Holder]:
    with closing(Holder(HOLD_FAIRLY, path)) as made:
        yield made


@pytest.fixture
def namesake(path: Path) -> Iterator[Holder]:
    """A process that holds binance/BTCUSDT/1h, until told, and coingecko/BTCUSD/1d."""
    with closing(Holder(HOLD_BY_NAME, path)) as made:
        yield made


def test_a_held_lock_keeps_another_instance_out(lock: FairLock, other: FairLock) -> None:
    assert lock.acquire(0)

    assert not other.acquire(0.05)


def test_a_released_lock_is_free(lock: FairLock, other: FairLock) -> None:
    lock.acquire(0)
    lock.release()

    assert other.acquire(0)


def test_a_closed_lock_is_free(lock: FairLock, other: FairLock) -> None:
    lock.acquire(0)
    lock.close()

    assert other.acquire(0)


def test_a_waiting_thread_gets_the_lock_when_it_is_released(lock: FairLock, path: Path) -> None:
    lock.acquire(0)
    with closing(Waiter(path, PATIENCE_S)) as waiter:
        lock.release()

        assert waiter.got


def test_threads_hold_the_lock_one_at_a_time(path: Path) -> None:
    held = []

    def work(name: int) -> None:
        with closing(FairLock(path)) as mine:
            for _ in range(50):
                assert mine.acquire(PATIENCE_S)
                held.extend([name] * 4)
                mine.release()

    threads = [threading.Thread(target=work, args=[name]) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(held) == 4 * 50 * 4
    assert all(len(set(held[i : i + 4])) == 1 for i in range(0, len(held), 4))


def test_a_held_lock_keeps_another_process_out(lock: FairLock, holder: Holder) -> None:
    assert not lock.acquire(0.05)

    holder.release()
    assert lock.acquire(PATIENCE_S)


def test_a_lock_dies_with_its_killed_holder(lock: FairLock, holder: Holder) -> None:
    holder.kill()

    assert lock.acquire(PATIENCE_S)


def test_a_waiter_gets_the_lock_of_a_killed_holder(path: Path, holder: Holder) -> None:
    with closing(Waiter(path, PATIENCE_S)) as waiter:
        holder.kill()

        assert waiter.got


def test_who_is_to_hurry_waits_for_seconds_at_most(lock: FairLock, other: FairLock) -> None:
    lock.acquire(0)
    began = time.monotonic()

    got = other.acquire(PATIENCE_S, hurry=lambda: True)

    assert not got
    assert 1 < time.monotonic() - began < PATIENCE_S / 2


def test_who_is_to_hurry_gets_a_lock_that_is_released_meanwhile(
    lock: FairLock, other: FairLock
) -> None:
    lock.acquire(0)

    def release() -> bool:
        lock.release()
        return True

    assert other.acquire(PATIENCE_S, hurry=release)


def test_who_gave_up_keeps_nobody_out(lock: FairLock, other: FairLock, path: Path) -> None:
    lock.acquire(0)
    gave_up = not other.acquire(0.05)
    lock.release()

    with closing(FairLock(path)) as third:
        assert gave_up
        assert third.acquire(PATIENCE_S)


def test_who_gave_up_gets_the_lock_later(lock: FairLock, other: FairLock) -> None:
    lock.acquire(0)
    assert not other.acquire(0.05)
    lock.release()

    assert other.acquire(PATIENCE_S)
    assert not lock.acquire(0.05)


def test_releasing_what_was_never_got_is_harmless(lock: FairLock, other: FairLock) -> None:
    lock.acquire(0)
    other.acquire(0.05)

    other.release()

    assert not other.acquire(0.05)


def test_a_lock_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    lock = FairLock(tmp_path / "missing" / "lock")

    with pytest.raises(FileNotFoundError):
        lock.acquire(0)


def test_a_held_name_keeps_another_process_out(path: Path, namesake: Holder) -> None:
    with NamedLocks(path) as locks:
        assert not locks.try_acquire("binance/BTCUSDT/1h")

        namesake.release()
        assert locks.try_acquire("binance/BTCUSDT/1h")


def test_another_name_is_free(path: Path, namesake: Holder) -> None:
    with NamedLocks(path) as locks:
        assert locks.try_acquire("binance/ETHUSDT/1h")


def test_releasing_a_name_leaves_the_others_held(path: Path, namesake: Holder) -> None:
    with NamedLocks(path) as locks:
        namesake.release()

        assert not locks.try_acquire("coingecko/BTCUSD/1d")


def test_a_name_is_free_when_its_holder_was_killed(path: Path, namesake: Holder) -> None:
    with NamedLocks(path) as locks:
        namesake.close()

        assert locks.try_acquire("binance/BTCUSDT/1h")


def test_jobs_of_one_process_keep_out_of_each_others_way(path: Path) -> None:
    with NamedLocks(path) as locks:
        one, other = locks.share(), locks.share()

        assert one.try_acquire("binance/BTCUSDT/1h")
        assert not other.try_acquire("binance/BTCUSDT/1h")
        other.release_all()
        assert not other.try_acquire("binance/BTCUSDT/1h")
        one.release_all()
        assert other.try_acquire("binance/BTCUSDT/1h")


def test_a_job_may_hold_a_name_twice_and_gives_all_of_it_back(path: Path) -> None:
    with NamedLocks(path) as locks:
        one, other = locks.share(), locks.share()
        assert one.try_acquire("binance/BTCUSDT/1h")
        assert one.try_acquire("binance/BTCUSDT/1h")

        one.release_all()

        assert other.try_acquire("binance/BTCUSDT/1h")
