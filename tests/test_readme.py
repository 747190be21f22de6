"""The README's session, run against recorded bodies, prints what the README says."""

import re
import sqlite3
from pathlib import Path

from histq.alerts.conditions import CONDITIONS
from tests.conftest import Histq, source_at
from tests.loopback import Loopback
from tests.recorded import Recorded

README = Path(__file__).parent.parent / "README.md"
VOLATILE = ("ms", "points/s")


def _session() -> list[tuple[str, list[str]]]:
    """(command, the lines it prints) of the first console block."""
    block = re.search(r"```console\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    steps = [part.splitlines() for part in block[1].split("$ ")[1:]]
    return [(lines[0], lines[1:]) for lines in steps]


def _masked(lines: list[str]) -> list[list[str]]:
    """Words of each line, without what differs from run to run: durations and rates."""
    masked: list[list[str]] = []
    volatile: set[int] = set()
    for line in lines:
        words = re.sub(r"\d[\d,]* ms", "N ms", line).split()
        found = {i for i, word in enumerate(words) if word in VOLATILE and "in" not in words}
        kept = [word for i, word in enumerate(words) if found or i not in volatile]
        masked.append(kept)
        volatile = found
    return masked


def test_the_session_in_the_readme_is_what_happens(
    histq: Histq, place: Path, realdata: Path
) -> None:
    with Loopback(Recorded(realdata)) as server:
        for command, told in _session():
            program, *arguments = re.findall(r'"[^"]*"|\S+', command)
            if program == "histq":
                ended = histq(*arguments, **source_at("binance", server.url))
                printed = (ended.err + ended.out).splitlines()
            else:
                assert program == "sqlite3"
                file, query = arguments
                printed = _shell(place / file, query.strip('"'))

            assert _masked(printed) == _masked(told), command


def test_every_test_that_holds_a_promise_is_there() -> None:
    promises = re.findall(r"\]\((tests/[\w/]+\.py)\) `(\w+)`", README.read_text())

    missing = [
        name
        for path, name in promises
        if f"\ndef {name}(" not in (README.parent / path).read_text()
    ]

    assert missing == []
    assert len(promises) >= 20


def test_every_condition_that_is_told_is_in_the_readme() -> None:
    _, _, told = README.read_text().partition("\n## Being told\n")
    table, _, _ = told.partition("\n## ")

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(CONDITIONS)


def _shell(file: Path, query: str) -> list[str]:
    """What the sqlite3 shell prints, which not every machine has."""
    connection = sqlite3.connect(file)
    try:
        return ["|".join(map(str, row)) for row in connection.execute(query)]
    finally:
        connection.close()
