"""Settings with which a daemon does not begin."""

from pathlib import Path

import pytest

from tests.conftest import Histq


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("HISTQ_DAEMON__LISTEN", "nonsense"),
        ("HISTQ_DAEMON__LISTEN", "0.0.0.0:8787"),
        ("HISTQ_DAEMON__SCHEDULE", "now and then"),
        ("HISTQ_ALERTS__WEBHOOK_URL", "nowhere"),
    ],
)
@pytest.mark.parametrize("command", [("daemon",), ("daemon", "--once")], ids=" ".join)
def test_wrong_settings_leave_no_database_behind(
    command: tuple[str, ...], setting: str, value: str, histq: Histq, place: Path
) -> None:
    ended = histq(*command, **{setting: value})

    assert ended.code == 5
    assert len(ended.err.splitlines()) == 1
    assert list(place.iterdir()) == []
