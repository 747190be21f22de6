"""The daemon's consumer after a crash."""

from histq.daemon.consumer import Pauses


def test_pauses_grow_from_crash_to_crash_up_to_the_longest() -> None:
    pauses = Pauses(1, 6, lasted_s=30)

    assert [pauses.after(0.1) for _ in range(5)] == [1, 2, 4, 6, 6]


def test_a_crash_after_long_work_is_a_first_one() -> None:
    pauses = Pauses(1, 6, lasted_s=30)
    for _ in range(3):
        pauses.after(0.1)

    assert [pauses.after(30), pauses.after(29)] == [1, 2]
