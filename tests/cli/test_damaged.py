"""A database that is cut off, damaged or another program's: one line, exit 5, and left as it is."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from histq.db import PAGE_BYTES
from tests.conftest import isolated, source_at
from tests.killable import Killable
from tests.pipeline import ETH, candle, configured, draft, run

COMMANDS: Final = (
    *("fetch BTC -s binance", "consume", "sync BTC -s binance", "stats", "coverage", "gaps"),
    *(
        "repair",
        "revisions list",
        "revisions apply --all",
        "export BTCUSDT",
        "import BTCUSDT-1h-2024-01.csv",
    ),
    *("dlq list", "dlq show 1", "dlq retry --all", "dlq drop --all", "init"),
)
CSV: Final = "1704067200000,3,4,2,3.5,10,1704070799999,35,7,5,17,0\n"
DAMAGE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "cut in half": lambda whole: whole[: len(whole) // 2 // PAGE_BYTES * PAGE_BYTES],
    "a header and no more": lambda whole: whole[:100],
    "without its header": lambda whole: bytes(100) + whole[100:],
    "its schema overwritten": lambda whole: (
        whole[:100] + b"\xff" * (PAGE_BYTES - 100) + whole[PAGE_BYTES:]
    ),
    "its tables overwritten": lambda whole: (
        whole[:PAGE_BYTES] + b"\xa5" * (len(whole) - PAGE_BYTES)
    ),
    "another program's": lambda whole: foreign(),
}


def foreign() -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table accounts (name text)")
        return connection.serialize()


@pytest.fixture(scope="module")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    root = Path(__file__).parent.parent.parent
    nobody = source_at("binance", "http://127.0.0.1:9")
    environ = {**isolated(tmp_path_factory.mktemp("home")), **nobody}
    with Killable(environ, root) as killable:
        yield killable


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with prices, a dead letter and a page that waits."""
    folder = tmp_path_factory.mktemp("whole")
    opener = configured(folder)
    with opener.open(create=True) as backends:
        first = draft([candle(slot) for slot in range(700)], slots=700)
        backends.queue.put([first, draft([candle(0, high=1.5)], ETH, slots=1)])
        run(opener)
        backends.queue.put([draft([candle(slot) for slot in range(700, 800)], slots=800)])
    return (folder / "histq.db").read_bytes()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_no_sound_database_is_one_line_and_left_as_it_is(
    damage: str, command: str, whole: bytes, killable: Killable, place: Path
) -> None:
    database = place / "histq.db"
    database.write_bytes(DAMAGE[damage](whole))
    (place / "BTCUSDT-1h-2024-01.csv").write_text(CSV)
    before = database.read_bytes()

    death = killable.run(*command.split(), cwd=place)

    assert death.status == 5
    assert len(death.err.splitlines()) == 1, death.err
    assert death.err.startswith("histq: ")
    assert "histq.db" in death.err
    assert database.read_bytes() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_commands_take_a_sound_one(
    command: str, whole: bytes, killable: Killable, place: Path
) -> None:
    (place / "histq.db").write_bytes(whole)
    (place / "BTCUSDT-1h-2024-01.csv").write_text(CSV)

    death = killable.run(*command.split(), cwd=place)

    assert death.status != 5, death.err
