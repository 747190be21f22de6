"""The request budget: how many may go out in a minute, and silence, by all processes together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.budget import NOON, Hands, budget, takes


def test_as_many_requests_go_out_at_once_as_a_minute_allows(tmp_path: Path) -> None:
    allowance = budget(tmp_path, Hands(), per_minute=40)

    assert takes(allowance) == 40


def test_what_is_over_waits_until_the_oldest_is_surely_a_minute_old(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock)
    allowance.take()
    clock.now = NOON + 10_500
    allowance.take()

    # The first went out in the second that began at 0 s, and is surely over at 61 s.
    assert allowance.take() == 50.5


def test_a_request_goes_out_when_the_wait_is_over_and_not_a_moment_before(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock, per_minute=1)
    allowance.take()

    clock.now = NOON + 60_999
    early = allowance.take()
    clock.now = NOON + 61_000
    due = allowance.take()

    assert early == pytest.approx(0.001, abs=1e-6)
    assert due == 0


def test_waiting_costs_nothing(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock, per_minute=1)
    allowance.take()

    waits = [allowance.take() for _ in range(5)]

    assert waits == [61.0] * 5
    clock.now = NOON + 61_000
    assert allowance.take() == 0


def test_requests_become_free_one_by_one_as_they_went_out(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock, per_minute=3)
    for second in (0, 20, 40):
        clock.now = NOON + second * 1000
        assert allowance.take() == 0

    freed = []
    for second in (61, 81, 101):
        clock.now = NOON + second * 1000
        freed.append(takes(allowance))

    assert freed == [1, 1, 1]


def test_no_60_seconds_ever_hold_more_and_61_hold_no_fewer(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock, per_minute=7)
    sent = []

    for now in range(NOON, NOON + 5 * 61_000, 170):
        clock.now = now
        if allowance.take() == 0:
            sent.append(now)

    assert min(later - earlier for earlier, later in zip(sent, sent[7:], strict=False)) >= 60_000
    assert len(sent) == 5 * 7


def test_two_of_one_host_share_one_budget(tmp_path: Path) -> None:
    clock = Hands()
    one, other = budget(tmp_path, clock, 10), budget(tmp_path, clock, 10)

    assert takes(one, most=4) == 4
    assert takes(other) == 6
    assert one.take() == 61.0


@pytest.mark.parametrize("other", ["api.example.org", "api.example.com:8443"])
def test_hosts_have_budgets_of_their_own(tmp_path: Path, other: str) -> None:
    clock = Hands()
    takes(budget(tmp_path, clock))
    budget(tmp_path, clock).silence(60)

    assert takes(budget(tmp_path, clock, host=other)) == 2


def test_a_host_whose_name_is_a_path_stays_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"

    budget(folder, Hands(), host="../../etc/x").take()

    assert len(list(folder.iterdir())) == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_the_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"

    budget(folder, Hands()).take()

    assert folder.is_dir()


TAKE_ALL = """
import sys
from pathlib import Path
from histq.budget import Budget
budget = Budget(Path(sys.argv[1]), "api.example.com", 900, clock=lambda: 1_700_049_600_000)
print("ready", flush=True)
sys.stdin.readline()
taken = 0
while budget.take() == 0:
    taken += 1
print(taken)
"""


def test_processes_that_ask_at_once_share_one_budget(tmp_path: Path) -> None:
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_ALL, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"

    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("go\n")
        taker.stdin.flush()
    taken = [int(taker.communicate(timeout=30)[0]) for taker in takers]

    assert sum(taken) == 900


def test_a_folder_that_cannot_be_made_is_replaced_by_a_temporary_one(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    ended = subprocess.run(
        [sys.executable, "-c", TAKE_ALL, str(in_the_way / "state")],
        env={**os.environ, "TMPDIR": str(temporary)},
        input="go\n",
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout == "ready\n900\n"
    assert len(list(temporary.iterdir())) == 1


CORRUPT = {
    "empty": b"",
    "not json": b"\x00\x01garbage",
    "not utf-8": b"\xff\xfe\xfd",
    "cut off": b'{"sent": {"1700049600": 2}, "sil',
    "another document": b"[1, 2, 3]",
    "a number": b"7",
    "null": b"null",
    "without silence": b'{"sent": {"1700049600": 2}}',
    "silence too short": b'{"sent": {}, "silent": [1]}',
    "sent is a list": b'{"sent": [1], "silent": [0, 0]}',
    "count is a word": b'{"sent": {"1700049600": "two"}, "silent": [0, 0]}',
    "second is a word": b'{"sent": {"noon": 2}, "silent": [0, 0]}',
    "count is null": b'{"sent": {"1700049600": null}, "silent": [0, 0]}',
    "no number": b'{"sent": {}, "silent": [0, NaN]}',
    "beyond numbers": b'{"sent": {}, "silent": [0, 1e999]}',
    "longer than is read": b'{"sent": {' + b" " * 70_000 + b'}, "silent": [0, 0]}',
}


@pytest.mark.parametrize("text", CORRUPT.values(), ids=CORRUPT.keys())
def test_a_state_file_that_makes_no_sense_is_begun_anew(tmp_path: Path, text: bytes) -> None:
    clock = Hands()
    budget(tmp_path, clock).take()
    (state,) = tmp_path.iterdir()
    state.write_bytes(text)

    taken = takes(budget(tmp_path, clock))

    assert taken == 2
    assert budget(tmp_path, clock).take() == 61.0


def test_a_state_that_became_shorter_is_still_read(tmp_path: Path) -> None:
    clock = Hands()
    for second in range(50):
        clock.now = NOON + second * 1000
        budget(tmp_path, clock, 50).take()

    clock.now = NOON + 600_000
    taken = takes(budget(tmp_path, clock, 50))

    assert taken == 50
    assert takes(budget(tmp_path, clock, 50)) == 0


def test_requests_of_a_clock_that_ran_ahead_do_not_block_after_it_was_set_back(
    tmp_path: Path,
) -> None:
    clock = Hands(NOON + 3_600_000)
    takes(budget(tmp_path, clock))

    clock.now = NOON
    taken = takes(budget(tmp_path, clock))

    assert taken == 2


def test_a_clock_that_slips_back_by_a_second_forgets_nothing(tmp_path: Path) -> None:
    clock = Hands()
    takes(budget(tmp_path, clock))

    clock.now = NOON - 1000

    assert budget(tmp_path, clock).take() == 62.0


def test_a_host_is_left_in_peace_for_as_long_as_it_wants(tmp_path: Path) -> None:
    clock = Hands()
    asked, other = budget(tmp_path, clock), budget(tmp_path, clock)

    asked.silence(90)

    assert other.silence_s() == 90.0
    assert other.take() == 90.0
    clock.now = NOON + 89_999
    assert other.take() == pytest.approx(0.001)
    clock.now = NOON + 90_000
    assert other.silence_s() == 0
    assert other.take() == 0


def test_nothing_is_counted_during_silence(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock)
    allowance.silence(1)
    for _ in range(5):
        allowance.take()

    clock.now = NOON + 1000

    assert takes(allowance) == 2


@pytest.mark.parametrize("seconds", [(100, 5), (5, 100)], ids=["longer first", "shorter first"])
def test_the_longest_of_two_silences_counts(tmp_path: Path, seconds: tuple[int, int]) -> None:
    allowance = budget(tmp_path, Hands())

    for asked_for in seconds:
        allowance.silence(asked_for)

    assert allowance.silence_s() == 100.0


def test_half_seconds_of_silence_count(tmp_path: Path) -> None:
    allowance = budget(tmp_path, Hands())

    allowance.silence(0.25)

    assert allowance.silence_s() == 0.25


def test_silence_asked_for_by_a_clock_that_ran_ahead_ends_when_it_is_set_back(
    tmp_path: Path,
) -> None:
    clock = Hands(NOON + 86_400_000)
    budget(tmp_path, clock).silence(3600)

    clock.now = NOON

    assert budget(tmp_path, clock).silence_s() == 0
    assert budget(tmp_path, clock).take() == 0


def test_silence_after_the_clock_was_set_back_is_as_long_as_was_asked_for(tmp_path: Path) -> None:
    clock = Hands(NOON + 86_400_000)
    budget(tmp_path, clock).silence(3600)
    clock.now = NOON

    budget(tmp_path, clock).silence(10)

    assert budget(tmp_path, clock).silence_s() == 10.0


def test_silence_is_remembered_by_those_who_come_later(tmp_path: Path) -> None:
    clock = Hands()
    budget(tmp_path, clock).take()
    budget(tmp_path, clock).silence(86_400)

    clock.now = NOON + 43_200_000

    assert budget(tmp_path, clock).silence_s() == 43_200.0
