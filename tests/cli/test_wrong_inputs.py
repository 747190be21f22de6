"""What a person gets for a mistake: one line, the right exit code, and nothing left behind."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3

from histq.db import Database
from tests.conftest import Ended, Histq, source_at
from tests.loopback import Asked, Loopback, Says


def listing(place: Path) -> dict[str, bytes | None]:
    """Every entry of the folder, with its content where it is a file."""
    return {
        entry.name: entry.read_bytes() if entry.is_file() else None for entry in place.iterdir()
    }


def assert_one_line(ended: Ended, exit_code: int, *said: str) -> None:
    assert ended.code == exit_code, ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    assert "Traceback" not in ended.err
    for words in said:
        assert words in ended.err


@pytest.fixture
def unknown_everywhere() -> Iterator[Loopback]:
    """A Binance that knows no market."""

    def answer(asked: Asked) -> Says:
        return Says(b'{"code":-1121,"msg":"Invalid symbol."}', status=400)

    with Loopback(answer) as server:
        yield server


@pytest.mark.parametrize("command", ["fetch", "sync"])
def test_an_unknown_symbol_is_told_by_the_provider(
    command: str, histq: Histq, place: Path, unknown_everywhere: Loopback
) -> None:
    ended = histq(
        command, "NOPEUSDT", "-s", "binance", **source_at("binance", unknown_everywhere.url)
    )

    assert_one_line(ended, 2, "NOPEUSDT")
    assert ended.out == ""
    assert listing(place) == {}
    assert [asked.query["symbol"] for asked in unknown_everywhere.log] == ["NOPEUSDT"]


def test_an_unknown_symbol_is_one_line_with_json_too(
    histq: Histq, place: Path, unknown_everywhere: Loopback
) -> None:
    environ = source_at("binance", unknown_everywhere.url)

    ended = histq("fetch", "NOPEUSDT", "-s", "binance", "--json", **environ)

    assert_one_line(ended, 2, "NOPEUSDT")
    assert ended.out == ""
    assert listing(place) == {}


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        pytest.param(
            ("fetch", "BTCUSDT", "-s", "binance", "-i", "7h"), 2, ("'7h'", "1h"), id="interval"
        ),
        pytest.param(
            ("fetch", "--from", "2024-02-01", "--to", "2024-01-01"),
            2,
            ("--from 2024-02-01", "--to 2024-01-01"),
            id="from after to",
        ),
        pytest.param(("fetch", "--from", "yesterday"), 2, ("--from 'yesterday'",), id="no date"),
        pytest.param(("fetch", "--from", "2999-01-01"), 2, ("future",), id="from in the future"),
        pytest.param(
            ("fetch", "-s", "binanse"), 2, ("'binanse'", "did you mean 'binance'?"), id="source"
        ),
        pytest.param(
            ("fetch", "-s", "cryptocompare"),
            5,
            ("api_key", "HISTQ_SOURCES__CRYPTOCOMPARE__API_KEY"),
            id="missing key",
        ),
        pytest.param(
            ("fetch", "-c", "nope.toml"), 5, ("nope.toml", "histq init"), id="missing -c file"
        ),
        pytest.param(
            ("fetch", "--db", "missing/histq.db"),
            5,
            ("no folder missing",),
            id="missing folder",
        ),
        pytest.param(("consume", "--db", "/proc/histq.db"), 5, ("--db",), id="unwritable folder"),
        pytest.param(
            ("fetch", "--db", "/proc/histq.db"), 5, ("--db",), id="unwritable folder, fetch"
        ),
        pytest.param(("fetch", "--db", "."), 5, ("directory",), id="a directory"),
        pytest.param(("stats",), 10, ("histq.db", "histq init"), id="stats without a database"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments: tuple[str, ...], exit_code: int, said: tuple[str, ...], histq: Histq, place: Path
) -> None:
    ended = histq(*arguments)

    assert_one_line(ended, exit_code, *said)
    assert ended.out == ""
    assert listing(place) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[queue\n", ("histq.toml", "no valid TOML", "line 1"), id="broken TOML"),
        pytest.param("[queue]\nlease = 3\n", ("histq.toml", "lease_s"), id="unknown key"),
    ],
)
def test_wrong_settings_are_one_line(
    text: str, said: tuple[str, ...], histq: Histq, place: Path
) -> None:
    (place / "histq.toml").write_text(text)
    before = listing(place)

    ended = histq("fetch")

    assert_one_line(ended, 5, *said)
    assert listing(place) == before


def test_a_misspelt_key_shows_nowhere_even_with_tracebacks(histq: Histq) -> None:
    ended = histq("fetch", "-v", HISTQ_SOURCES__BINANCE__API_KYE="k3y-that-nobody-may-see")

    assert ended.code == 5
    assert "Traceback" in ended.err
    assert "k3y-that-nobody-may-see" not in ended.out + ended.err


@pytest.mark.parametrize("command", ["fetch", "stats"])
def test_a_file_that_is_no_database_is_left_alone(command: str, histq: Histq, place: Path) -> None:
    (place / "notes.txt").write_text("day,price\n2024-01-01,42283.58\n" * 100)
    before = listing(place)

    ended = histq(command, "--db", "notes.txt")

    assert_one_line(ended, 5, "notes.txt", "no SQLite database")
    assert listing(place) == before


@pytest.mark.parametrize("command", ["fetch", "consume"])
def test_a_database_of_another_program_is_left_alone(
    command: str, histq: Histq, place: Path
) -> None:
    with closing(sqlite3.connect(place / "other.db", isolation_level=None)) as conn:
        conn.execute("create table accounts (name text)")
    before = listing(place)

    ended = histq(command, "--db", "other.db")

    assert_one_line(ended, 5, "other.db", "another program")
    assert listing(place) == before


def test_consume_makes_the_database_that_is_missing(histq: Histq, place: Path) -> None:
    ended = histq("consume")

    assert (ended.code, ended.err) == (0, "")
    assert (place / "histq.db").is_file()


def test_an_unknown_dead_letter_is_one_line(histq: Histq, place: Path) -> None:
    Database.open(place / "histq.db").close()
    before = listing(place)

    ended = histq("dlq", "drop", "7")

    assert_one_line(ended, 2, "no dead letter 7", "dlq list")
    assert listing(place) == before


def test_a_misspelt_option_is_a_usage_error(histq: Histq, place: Path) -> None:
    ended = histq("fetch", "--sauce", "binance")

    assert ended.code == 2
    assert "--source" in ended.err
    assert "Traceback" not in ended.err
    assert listing(place) == {}
