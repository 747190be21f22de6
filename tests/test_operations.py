"""The operator's guide: every command of its sessions, run in order in an empty folder."""

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Histq, source_at
from tests.hourly import hours
from tests.loopback import Loopback

GUIDE = Path(__file__).parent.parent / "docs" / "operations.md"
COMMANDS = re.findall(r"^\$ histq (.*)$", GUIDE.read_text(), re.MULTILINE)


def test_the_guide_has_sessions() -> None:
    assert len(COMMANDS) >= 15


def test_every_command_of_the_guide_does_what_it_says(histq: Histq) -> None:
    codes = {}
    with Loopback(hours) as server:
        here = source_at("binance", server.url)
        elsewhere = {
            "HISTQ_SOURCES__COINGECKO__ENABLED": "false",
            "HISTQ_TOKENS": '[{"base": "BTC"}]',
        }
        for command in COMMANDS:
            ended = histq(*shlex.split(command), **here, **elsewhere)
            codes[command] = ended.code
            assert "Traceback" not in ended.err

    assert {command: code for command, code in codes.items() if code} == {}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\((\.\./[^)#]+)\)", GUIDE.read_text()))))
def test_what_the_guide_points_at_is_there(name: str) -> None:
    assert (GUIDE.parent / name).exists()
