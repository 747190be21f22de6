"""Slices: several requests at a time from the file, good for a second, and given back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.budget import NOON, Hands, budget, stored, takes

SECOND = NOON // 1000


def sent(folder: Path) -> dict[int, int]:
    """How many the file counts in each second from noon on."""
    return {int(second) - SECOND: count for second, count in stored(folder)["sent"].items()}


def test_the_file_is_written_once_for_the_requests_of_a_second(tmp_path: Path) -> None:
    allowance = budget(tmp_path, Hands(), per_minute=600)
    allowance.take()
    (file,) = tmp_path.iterdir()
    written_at = file.stat().st_mtime_ns

    for _ in range(9):
        assert allowance.take() == 0

    assert file.stat().st_mtime_ns == written_at
    assert sent(tmp_path) == {0: 10}
    allowance.take()
    assert sent(tmp_path) == {0: 20}


@pytest.mark.parametrize(
    ("per_minute", "granted"),
    [(1, 1), (5, 1), (119, 1), (120, 2), (2400, 40), (1_000_000, 100)],
)
def test_a_slice_is_what_a_second_is_worth_and_never_large(
    per_minute: int, granted: int, tmp_path: Path
) -> None:
    budget(tmp_path, Hands(), per_minute).take()

    assert sent(tmp_path) == {0: granted}


def test_what_is_not_sent_within_its_second_is_given_back(tmp_path: Path) -> None:
    clock = Hands(NOON + 900)
    allowance = budget(tmp_path, clock, per_minute=600)
    for _ in range(3):
        allowance.take()

    clock.now = NOON + 1000
    allowance.take()

    assert sent(tmp_path) == {0: 3, 1: 10}


def test_a_second_in_which_nothing_was_sent_after_all_is_not_waited_for(tmp_path: Path) -> None:
    clock = Hands()
    one, other = (budget(tmp_path, clock, per_minute=120) for _ in range(2))
    one.take()
    one.give_back()
    clock.now = NOON + 10_000

    assert takes(other) == 119
    assert other.take() == 51.0


def test_what_is_given_back_is_there_for_others_at_once(tmp_path: Path) -> None:
    clock = Hands()
    one, other = (budget(tmp_path, clock, per_minute=600) for _ in range(2))
    one.take()

    one.give_back()

    assert takes(other) == 599


def test_giving_back_twice_gives_back_once(tmp_path: Path) -> None:
    allowance = budget(tmp_path, Hands(), per_minute=600)
    allowance.take()
    allowance.give_back()

    allowance.give_back()

    assert sent(tmp_path) == {0: 1}


def test_what_a_dead_process_had_in_hand_counts_as_sent(tmp_path: Path) -> None:
    clock = Hands()
    budget(tmp_path, clock, per_minute=600).take()
    survivor = budget(tmp_path, clock, per_minute=600)

    before = takes(survivor)
    clock.now = NOON + 61_000
    after = takes(survivor)

    assert (before, after) == (590, 600)


def test_two_that_ask_in_turn_get_the_same(tmp_path: Path) -> None:
    clock = Hands()
    one, other = (budget(tmp_path, clock, per_minute=2400) for _ in range(2))

    shares = [0, 0]
    for _ in range(2400):
        shares[0] += one.take() == 0
        shares[1] += other.take() == 0

    assert shares == [1200, 1200]


@pytest.mark.parametrize("pause", ["silence", "hold"])
def test_a_pause_that_another_asks_for_counts_though_a_slice_is_in_hand(
    pause: str, tmp_path: Path
) -> None:
    clock = Hands()
    one, other = (budget(tmp_path, clock, per_minute=600) for _ in range(2))
    one.take()

    getattr(other, pause)(30)

    assert one.take() == 30.0
    clock.now = NOON + 30_000
    assert one.take() == 0


@pytest.mark.parametrize("pause", ["silence", "hold"])
def test_a_pause_that_a_thread_of_our_own_asks_for_counts_as_well(
    pause: str, tmp_path: Path
) -> None:
    allowance = budget(tmp_path, Hands(), per_minute=600)
    allowance.take()

    getattr(allowance, pause)(30)

    assert allowance.take() == 30.0


def test_a_longer_pause_counts_though_there_was_one_before(tmp_path: Path) -> None:
    clock = Hands()
    one, other = (budget(tmp_path, clock, per_minute=600) for _ in range(2))
    other.silence(5)
    clock.now = NOON + 5000
    one.take()

    other.silence(5)

    assert one.take() == 5.0


def test_a_hold_is_no_silence(tmp_path: Path) -> None:
    allowance = budget(tmp_path, Hands())

    allowance.hold(30)

    assert allowance.silence_s() == 0
    assert allowance.take() == 30.0


def test_a_file_that_was_deleted_is_made_again_though_a_slice_is_in_hand(tmp_path: Path) -> None:
    allowance = budget(tmp_path / "state", Hands(), per_minute=600)
    allowance.take()
    (file,) = (tmp_path / "state").iterdir()
    file.unlink()
    file.parent.rmdir()

    assert allowance.take() == 0
    assert sent(tmp_path / "state") == {0: 10}


def test_threads_share_a_slice(tmp_path: Path) -> None:
    allowance = budget(tmp_path, Hands(), per_minute=600)
    together = threading.Barrier(8, timeout=20)

    def taker() -> int:
        together.wait()
        return takes(allowance)

    with ThreadPoolExecutor(8) as pool:
        taken = [future.result() for future in [pool.submit(taker) for _ in range(8)]]

    assert sum(taken) == 600


def test_the_last_ones_are_shared_too(tmp_path: Path) -> None:
    clock = Hands()
    one, other = (budget(tmp_path, clock, per_minute=2400) for _ in range(2))
    takes(one, most=2380)
    one.give_back()

    one.take()

    assert takes(other) == 10  # of the last 20, one has half in hand
    assert takes(one) == 9
