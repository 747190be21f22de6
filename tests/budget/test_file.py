"""The state file as strangers may have left it: cut off, of another version, false, or no file."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histq.errors import Config
from tests.budget import HOST, NOON, Hands, budget, takes

SECOND = NOON // 1000
DAY_S = 86_400

numbers = st.one_of(
    st.integers(-(10**20), 10**20),
    st.integers(SECOND - 100, SECOND + 100),
    st.integers(NOON - 100_000, NOON + 10**10),
)
pauses = st.lists(numbers, min_size=2, max_size=2)
documents = st.fixed_dictionaries(
    {"silent": pauses, "sent": st.dictionaries(numbers.map(str), numbers, max_size=5)},
    optional={
        "held": pauses,
        "accounts": st.dictionaries(
            st.text(max_size=5),
            st.dictionaries(st.sampled_from(["day", "month", "year"]), pauses, max_size=3),
            max_size=3,
        ),
    },
)


def state_file(folder: Path) -> Path:
    return folder / f"{HOST}.json"


@given(
    st.one_of(st.binary(max_size=300), documents.map(lambda d: repr(d).replace("'", '"').encode()))
)
@settings(deadline=None, max_examples=300)
def test_whatever_the_file_holds_a_turn_comes_after_the_longest_ban(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state_file(Path(folder)).write_bytes(text)
        clock = Hands()

        first_s = budget(Path(folder), clock).take()
        clock.now += (3 * DAY_S + 61) * 1000
        later_s = budget(Path(folder), clock).take()

    assert 0 <= first_s <= 3 * DAY_S
    assert later_s == 0


def test_a_ban_from_the_future_is_none_when_the_future_has_come(tmp_path: Path) -> None:
    clock = Hands()
    since = clock.now + 61_001
    text = f'{{"silent":[{since},{since + 3 * DAY_S * 1000}],"sent":{{}}}}'
    state_file(tmp_path).write_text(text)

    now_s = budget(tmp_path, clock).take()
    clock.now += 62_000
    then_s = budget(tmp_path, clock).take()

    assert (now_s, then_s) == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        '{"silent":[0,0],"sent":{"1700049600":-1000}}',
        '{"silent":[0,0],"sent":{"1700049600":1.5}}',
        '{"silent":[0,0],"sent":{"1700049600":2}}garbage',
        '{"silent":[0,0],"sent":{},"accounts":{"keyless":{"day":[0]}}}',
        '{"silent":[0,0],"sent":{},"x":' + "[" * 5000,
    ],
    ids=["fewer than none", "a fraction", "more after it", "no tally", "too deep"],
)
def test_a_file_that_is_almost_one_is_begun_anew(text: str, tmp_path: Path) -> None:
    state_file(tmp_path).write_text(text)

    assert takes(budget(tmp_path, Hands())) == 2


def test_a_file_of_an_earlier_release_still_counts(tmp_path: Path) -> None:
    state_file(tmp_path).write_text('{"sent": {"1700049600": 2}, "silent": [0, 0]}')

    assert budget(tmp_path, Hands()).take() == 61.0


def test_a_silence_without_end_ends_with_the_longest_ban(tmp_path: Path) -> None:
    state_file(tmp_path).write_text(f'{{"silent":[{NOON},9000000000000000],"sent":{{}}}}')

    assert budget(tmp_path, Hands()).silence_s() == 3 * DAY_S


def test_a_kill_between_two_writes_cannot_cut_the_file_off(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock, 100)
    for second in range(50):
        clock.now = NOON + second * 1000
        allowance.take()
    longest = state_file(tmp_path).stat().st_size

    clock.now = NOON + 600_000
    allowance.take()

    # What became shorter is filled up with blanks in the same write, not cut off by another.
    assert state_file(tmp_path).stat().st_size == longest
    assert takes(budget(tmp_path, clock, 100)) == 99


def made_a_directory(place: Path) -> None:
    place.mkdir()


def made_a_pipe(place: Path) -> None:
    os.mkfifo(place)


def made_a_link(place: Path) -> None:
    (place.parent / "precious").write_text("of somebody else")
    place.symlink_to(place.parent / "precious")


@pytest.mark.parametrize("made", [made_a_directory, made_a_pipe, made_a_link])
def test_what_is_no_file_is_told_with_what_to_do(
    made: Callable[[Path], None], tmp_path: Path
) -> None:
    made(state_file(tmp_path))
    allowance = budget(tmp_path, Hands())

    with pytest.raises(Config, match=r"request budget in .*api\.example\.com\.json: .*STATE_DIR"):
        allowance.take()

    assert allowance.balances() == []
    allowance.give_back()
    assert not (tmp_path / "precious").exists() or (
        (tmp_path / "precious").read_text() == "of somebody else"
    )
