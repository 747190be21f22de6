"""Options that go together: apart on the command line, together in the command."""

import inspect
from pathlib import Path

from histq.cli.groups import Usual, Which, spread


def test_the_fields_of_a_group_stand_in_its_place() -> None:
    @spread
    def command(which: Which, limit: int = 5, *, usual: Usual) -> None: ...

    names = list(inspect.signature(command).parameters)

    usual = ["db", "config", "json", "quiet", "verbose"]
    assert names == ["symbols", "source", "interval", "limit", *usual]


def test_a_command_gets_each_group_whole() -> None:
    got: list[object] = []

    @spread
    def command(which: Which, limit: int = 5, *, usual: Usual) -> None:
        got.extend((which, limit, usual))

    command(
        **{"symbols": ["BTC"], "source": None, "interval": ["1h"], "limit": 7},
        **{"db": Path("a.db"), "config": None, "json": True, "quiet": False, "verbose": True},
    )

    assert got == [
        Which(["BTC"], None, ["1h"]),
        7,
        Usual(Path("a.db"), None, True, False, True),
    ]
