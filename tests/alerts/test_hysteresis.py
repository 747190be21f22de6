"""Told once when it starts and once when it ends, whatever the readings do."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from histq.alerts.hysteresis import Level, Reading, Step, judge
from histq.stores.alerts import Alert, Severity, Turn

T0 = 1_700_000_000_000
WRONG, UNSURE, RIGHT = Level.WRONG, Level.UNSURE, Level.RIGHT


def reading(level: Level, start_after_s: float = 0, end_after_s: float = 0) -> Reading:
    text = {WRONG: "too many", UNSURE: "many", RIGHT: "few"}[level]
    return Reading("queue_deep", "queue", Severity.WARNING, level, text, start_after_s, end_after_s)


class Record:
    """Applies the steps as a store does."""

    def __init__(self) -> None:
        self.open: dict[int, Alert] = {}
        self.turns: list[tuple[str, Turn]] = []
        self._ids = 0

    def look(self, readings: Sequence[Reading], now: int) -> list[Step]:
        steps = judge(readings, list(self.open.values()), now)
        for step in steps:
            alert = step.alert
            if not alert.id:
                self._ids += 1
                alert = replace(alert, id=self._ids)
            if step.forgotten or alert.ended_at is not None:
                del self.open[alert.id]
            else:
                self.open[alert.id] = alert
            if step.turn is not None:
                self.turns.append((alert.subject, step.turn))
        return steps


def looks(levels: str, start_after_s: float = 0, end_after_s: float = 0) -> list[Turn | None]:
    """What each look, a second after the other, has told: W, U and R are levels, - no reading."""
    named = {"W": WRONG, "U": UNSURE, "R": RIGHT}
    record, found = Record(), []
    for second, letter in enumerate(levels):
        seen = [reading(named[letter], start_after_s, end_after_s)] if letter in named else []
        steps = record.look(seen, T0 + second * 1000)
        found.append(steps[0].turn if steps else None)
    return found


START, END = Turn.START, Turn.END


def test_what_needs_no_time_starts_at_once_and_ends_at_once() -> None:
    assert looks("RWWRR") == [None, START, None, END, None]


def test_what_lies_between_starts_nothing_and_ends_nothing() -> None:
    assert looks("UWUUWUR") == [None, START, None, None, None, None, END]


def test_it_starts_once_it_has_lasted() -> None:
    assert looks("WWWW", start_after_s=2) == [None, None, START, None]


def test_what_goes_away_before_is_forgotten() -> None:
    assert looks("WWRWUWWW", start_after_s=2) == [*[None] * 7, START]


def test_it_ends_once_it_has_stayed_away() -> None:
    assert looks("WRRRR", end_after_s=2) == [START, None, None, END, None]


def test_what_comes_back_before_is_still_the_same() -> None:
    assert looks("WRRWRRR", end_after_s=2) == [START, *[None] * 5, END]


def test_what_is_not_looked_after_any_more_is_over() -> None:
    assert looks("W-", end_after_s=60) == [START, END]
    assert looks("W-", start_after_s=60) == [None, None]


def test_an_alert_tells_what_was_wrong_when_it_started_and_the_end_what_is() -> None:
    record = Record()
    (start,) = record.look([reading(WRONG)], T0)
    (end,) = record.look([reading(RIGHT)], T0 + 1000)

    assert (start.text, start.alert.since, start.alert.started_at) == ("too many", T0, T0)
    assert (end.text, end.alert.text, end.alert.ended_at) == ("few", "too many", T0 + 1000)


def test_a_clock_that_was_set_back_delays_by_no_more_than_the_time_itself() -> None:
    record = Record()
    record.look([reading(WRONG, start_after_s=60)], T0)

    record.look([reading(WRONG, start_after_s=60)], T0 - 3_600_000)
    (step,) = record.look([reading(WRONG, start_after_s=60)], T0 - 3_540_000)

    assert step.turn is START


LEVELS = st.sampled_from([WRONG, UNSURE, RIGHT, None])


@given(
    looks=st.lists(st.tuples(LEVELS, LEVELS, st.integers(-5, 90)), max_size=60),
    start_after_s=st.integers(0, 60),
    end_after_s=st.integers(0, 60),
)
def test_starts_and_ends_take_turns_for_each_subject(
    looks: list[tuple[Level | None, Level | None, int]], start_after_s: int, end_after_s: int
) -> None:
    record, now = Record(), T0
    for first, second, seconds in looks:
        now += seconds * 1000
        seen = [
            reading(level, start_after_s, end_after_s)._replace(subject=subject)
            for subject, level in (("a", first), ("b", second))
            if level is not None
        ]
        record.look(seen, now)

    for subject in "ab":
        turns = [turn for of, turn in record.turns if of == subject]
        assert turns == [START, END] * (len(turns) // 2) + [START] * (len(turns) % 2)


@given(values=st.lists(st.integers(0, 20_000), max_size=80))
def test_a_value_that_hovers_about_its_threshold_is_told_once(values: list[int]) -> None:
    record = Record()
    for second, value in enumerate(values):
        level = WRONG if value > 10_000 else RIGHT if value <= 8_000 else UNSURE
        record.look([reading(level)], T0 + second * 1000)

    crossings, above = 0, False
    for value in values:
        if value > 10_000 and not above:
            crossings, above = crossings + 1, True
        elif value <= 8_000:
            above = False
    assert sum(turn is START for _, turn in record.turns) == crossings
