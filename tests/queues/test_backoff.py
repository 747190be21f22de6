"""How long a message waits after it has failed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histq.queues import backoff_s


@pytest.mark.parametrize(
    ("failures", "shortest", "longest"),
    [
        pytest.param(1, 10.0, 11.0, id="first"),
        pytest.param(2, 20.0, 22.0, id="second"),
        pytest.param(3, 40.0, 44.0, id="third"),
        pytest.param(4, 80.0, 88.0, id="fourth"),
        pytest.param(5, 160.0, 176.0, id="fifth"),
        pytest.param(6, 300.0, 330.0, id="capped"),
        pytest.param(50, 300.0, 330.0, id="still capped"),
    ],
)
def test_the_wait_doubles_up_to_five_minutes(
    failures: int, shortest: float, longest: float
) -> None:
    assert backoff_s(failures, 0.0) == shortest
    assert backoff_s(failures, 1.0) == pytest.approx(longest, abs=1e-9)


@settings(deadline=None)
@given(failures=st.integers(1, 20), fraction=st.floats(0, 1))
def test_jitter_only_lengthens_by_at_most_a_tenth(failures: int, fraction: float) -> None:
    bare = backoff_s(failures, 0.0)

    found = backoff_s(failures, fraction)

    assert bare <= found <= bare * 1.1 + 1e-9
