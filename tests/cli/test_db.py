"""db check, db backup and db prune, as an operator runs them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3

from histq.db import Database
from histq.model import DAY_MS, HOUR_MS, Candle, Series, Span, State
from histq.page import flatten
from histq.stores.sqlite import SqliteStore
from tests.conftest import Histq, source_at
from tests.hourly import opens, page
from tests.killable import Killable
from tests.loopback import Asked, Loopback, Says
from tests.processes import until

START = 1_704_067_200_000  # 2024-01-01
BTC = Series("binance", "BTCUSDT", "1h")


@pytest.fixture
def database(place: Path) -> Path:
    """A day of Bitcoin, a run of long ago with its statistics, and a dead letter."""
    path = place / "histq.db"
    with Database.open(path) as db:
        store = SqliteStore(db, clock=lambda: START)
        hours = [Candle(START + hour * HOUR_MS, close=2.0) for hour in range(24)]
        store.write(BTC, flatten(hours))
        store.record(BTC, [Span(START, START + 24 * HOUR_MS, State.STORED)])
        run = store.start_run("consume", "h:b:1:0:x")
        store.end_run(run, 0, "{}")
        with db.transaction():
            db.change_many(
                "insert into ingestion_stats (run_id, source, at, messages, points, inserted,"
                " duplicates, revised, dead, elapsed_ms, points_per_s)"
                " values (1, 'binance', ?, 1, 1, 1, 0, 0, 0, 1, 1)",
                [(START,)] * 1_200,
            )
    return path


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as conn:
        (found,) = conn.execute(f"select count(*) from {table}").fetchone()
        return int(found)


def stored(path: Path) -> bool:
    """Whether there is a price; there may be no database yet, or one without tables."""
    try:
        return path.exists() and count(path, "prices") > 0
    except sqlite3.OperationalError:
        return False


def break_open(path: Path, offset: int, text: bytes = b"\xff" * 4096) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(text)


def break_table(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        sql = "select rootpage from sqlite_master where name = ?"
        (page,) = conn.execute(sql, [name]).fetchone()
    break_open(path, (page - 1) * 16_384)


def test_check_says_that_all_is_well(histq: Histq, database: Path) -> None:
    ended = histq("db", "check")
    document = histq("db", "check", "--json", "--quick").document

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "all is well: 24 candles of 1 series, 0 messages and 0 dead letters\n"
    assert {name: document[name] for name in ("schema", "quick", "complete", "points")} == {
        "schema": 1,
        "quick": True,
        "complete": True,
        "points": 24,
    }
    assert document["findings"] == []


def test_check_says_what_is_wrong_and_what_to_do(histq: Histq, database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as conn:
        conn.execute("delete from prices where timestamp = ?", [START])

    ended = histq("db", "check")
    document = histq("db", "check", "--json").document

    assert ended.code == 3
    counters, hole, total = ended.out.splitlines()
    assert counters.startswith("binance/BTCUSDT/1h: points is 24 and counted 23, first is")
    assert counters.endswith('where id = 1"')
    assert "--refetch --from 2024-01-01 --to 2024-01-01T01:00Z asks for them again" in hole
    assert total == "2 findings in 23 candles of 1 series, 0 messages and 0 dead letters"
    assert [finding["where"] for finding in document["findings"]] == ["binance/BTCUSDT/1h"] * 2


@pytest.mark.parametrize("command", ["check", "backup", "prune"])
def test_nothing_is_done_where_there_is_no_database(
    command: str, histq: Histq, place: Path
) -> None:
    ended = histq("db", command)

    assert (ended.code, ended.out) == (10, "")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "backup", "prune"])
@pytest.mark.parametrize("kind", ["text", "foreign", "header", "cut"])
def test_a_file_that_is_damaged_or_not_ours_is_told_in_a_line(
    kind: str, command: str, histq: Histq, database: Path
) -> None:
    match kind:
        case "text":
            database.write_text("no database, but long enough to be taken for one" * 100)
        case "foreign":
            database.unlink()
            with closing(sqlite3.connect(database)) as conn:
                conn.execute("create table mine (a)")
        case "header":
            break_open(database, 0, b"SQLite format 4\0")
        case "cut":
            database.write_bytes(database.read_bytes()[:8192])
    before = database.read_bytes()

    ended = histq("db", command)

    assert ended.code == 5
    assert len(ended.err.splitlines()) == 1
    assert "Traceback" not in ended.err
    assert database.read_bytes() == before


def test_an_index_that_lacks_a_row_is_a_finding_and_the_rest_is_left_alone(
    histq: Histq, database: Path
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as conn:
        conn.execute("pragma writable_schema = on")
        index = "from sqlite_master where name = 'ingestion_stats_at'"
        kept = conn.execute(f"select * {index}").fetchone()
        conn.execute(f"delete {index}")
    with closing(sqlite3.connect(database, isolation_level=None)) as conn:
        conn.execute("delete from ingestion_stats where id = 7")
        conn.execute("pragma writable_schema = on")
        conn.execute("insert into sqlite_master values (?, ?, ?, ?, ?)", kept)

    ended = histq("db", "check")
    quick = histq("db", "check", "--quick")

    assert ended.code == 3, ended
    assert "wrong # of entries in index ingestion_stats_at; restore a backup" in ended.out
    assert ended.out.splitlines()[-1] == "the file is damaged, so what is in it was not looked at"
    assert quick.code == 0


def test_a_page_of_nonsense_is_told_in_a_line(histq: Histq, database: Path) -> None:
    break_table(database, "prices")

    ended = histq("db", "check")

    assert (ended.code, ended.out) == (5, "")
    assert ended.err.endswith("or a damaged one: histq db backup --help says how to restore\n")


def test_a_damaged_database_is_not_backed_up(histq: Histq, database: Path) -> None:
    break_table(database, "prices")

    ended = histq("db", "backup", "copy.db")

    assert ended.code == 5
    assert "damaged" in ended.err
    assert not (database.parent / "copy.db").exists()


def test_backup_says_where_it_is(histq: Histq, database: Path) -> None:
    ended = histq("db", "backup", "copy.db")
    document = histq("db", "backup", "--json").document

    assert ended.code == 0
    assert ended.out.startswith("wrote ")
    assert "copy.db, " in ended.out
    assert count(database.parent / "copy.db", "prices") == 24
    assert [copy["database"] for copy in document["copies"]] == ["histq.db"]
    assert document["removed"] == []


def test_a_restored_backup_adds_up(histq: Histq, database: Path) -> None:
    histq("db", "backup", "copy.db")
    for name in ("histq.db", "histq.db-wal", "histq.db-shm"):
        (database.parent / name).unlink(missing_ok=True)

    (database.parent / "copy.db").rename(database)

    assert histq("db", "check").code == 0


def small_pages(asked: Asked) -> Says:
    return page(opens(asked), 100)


@pytest.fixture
def busy(environ: dict[str, str], place: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A database that is being filled, in small pages, for as long as the test takes."""
    with Loopback(small_pages) as server:
        settings = {**environ, **source_at("binance", server.url)}
        command = [sys.executable, "-m", "histq", "sync", "-q", "-s", "binance"]
        with subprocess.Popen(
            [*command, "--from", "2019-01-01"],
            cwd=place,
            env=settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            until(lambda: stored(place / "histq.db"))
            yield process
            process.kill()


def test_a_busy_database_is_audited_and_backed_up_as_of_one_moment(
    busy: "subprocess.Popen[bytes]", histq: Histq, place: Path
) -> None:
    checks = [histq("db", "check", "--json") for _ in range(2)]
    histq("db", "backup", "one.db")
    histq("db", "backup", "two.db")
    assert busy.poll() is None, "the database was not busy for long enough"

    copies = [histq("db", "check", "--json", "--db", name) for name in ("one.db", "two.db")]
    points = [ended.document["points"] for ended in (*checks, *copies)]
    assert [ended.document["findings"] for ended in (*checks, *copies)] == [[]] * 4
    assert points == sorted(points)
    assert points[0] < points[-1]


def test_prune_goes_by_the_settings(histq: Histq, database: Path) -> None:
    dry = histq("db", "prune", "--dry-run")
    done = histq("db", "prune", "--json")

    assert dry.code == done.code == 0
    assert "would delete 1,200 stats from before" in dry.out
    assert "would delete 1 runs from before" in dry.out
    assert "kept for ever: letters, revisions" in dry.out
    assert [(one["kind"], one["rows"]) for one in done.document["pruned"]] == [
        ("stats", 1_200),
        ("runs", 1),
    ]
    assert count(database, "ingestion_stats") == 0
    assert count(database, "prices") == 24


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        pytest.param(("stats",), [], id="what the settings delete"),
        pytest.param(("letters", "runs"), ["letters"], id="what they keep"),
        pytest.param(("letters", "--older-than", "1d"), [], id="an age"),
        pytest.param((), ["letters", "revisions"], id="all"),
    ],
)
def test_prune_says_of_what_it_was_asked_alone_whether_it_is_kept(
    arguments: tuple[str, ...], kept: list[str], histq: Histq, database: Path
) -> None:
    ended = histq("db", "prune", *arguments, "--dry-run", "--json")

    assert ended.document["kept_for_ever"] == kept


def test_prune_takes_an_age_and_kinds_from_the_command_line(histq: Histq, database: Path) -> None:
    document = histq("db", "prune", "runs", "letters", "--older-than", "1d", "--json").document

    assert [(one["kind"], one["rows"]) for one in document["pruned"]] == [
        ("letters", 0),
        ("runs", 0),
    ]
    assert count(database, "ingestion_stats") == 1_200


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("prices",), "no kind 'prices'; known: letters, stats, runs, revisions"),
        (("--older-than", "soon"), "--older-than 'soon' is no date"),
        (("--older-than", "2999-01-01"), "is in the future"),
        (("--archive", "histq.db"), "the database itself"),
    ],
    ids=["no kind", "no date", "the future", "the database"],
)
def test_a_prune_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...], told: str, histq: Histq, database: Path
) -> None:
    ended = histq("db", "prune", *arguments)

    assert ended.code == 2
    assert told in ended.err
    assert count(database, "ingestion_stats") == 1_200


@pytest.mark.parametrize("at", ["begin immediate", "delete from ingestion_stats", "commit"])
@pytest.mark.parametrize("number", [1, 3])
def test_a_prune_that_is_killed_loses_nothing_that_is_not_in_the_archive(
    at: str, number: int, environ: dict[str, str], histq: Histq, database: Path
) -> None:
    place = database.parent
    prune = ("db", "prune", "stats", "--older-than", "1d", "--archive", "pruned.jsonl")
    with Killable(environ, Path(__file__).parent.parent.parent) as killable:
        death = killable.run(*prune, cwd=place, at=number, kind=at)

    assert death.status == -signal.SIGKILL
    assert _archived(place) | _left(database) == set(range(1, 1_201))
    assert histq("db", "check").code == 0
    assert histq(*prune).code == 0
    assert _left(database) == set()
    assert _archived(place) == set(range(1, 1_201))


def _archived(place: Path) -> set[int]:
    """Ids in the archive; a line that was cut off is none."""
    file = place / "pruned.jsonl"
    text = file.read_text() if file.exists() else ""
    return {json.loads(line)["id"] for line in text.splitlines(keepends=True) if line[-1:] == "\n"}


def _left(path: Path) -> set[int]:
    with closing(sqlite3.connect(path)) as conn:
        return {id_ for (id_,) in conn.execute("select id from ingestion_stats")}


def test_a_backup_that_is_killed_leaves_no_backup_and_the_next_clears_up(
    environ: dict[str, str], histq: Histq, database: Path
) -> None:
    place = database.parent
    with Database.open(database) as db, db.transaction():
        db.change_many(
            "insert into prices (series_id, timestamp, close, created_at) values (1, ?, 1.5, 0)",
            [(START + DAY_MS + i * HOUR_MS,) for i in range(200_000)],
        )
    command = [sys.executable, "-m", "histq", "db", "backup", "copy.db"]
    with subprocess.Popen(command, cwd=place, env=environ, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not temporaries(place):
            pass
        process.kill()

    assert process.returncode == -signal.SIGKILL
    assert temporaries(place) != []
    assert not (place / "copy.db").exists()
    assert histq("db", "backup", "copy.db").code == 0
    assert temporaries(place) == []
    assert count(place / "copy.db", "prices") == 200_024


def temporaries(place: Path) -> list[str]:
    return [path.name for path in place.iterdir() if ".tmp" in path.name]


def test_the_help_says_how_to_restore(histq: Histq) -> None:
    shown = histq("db", "backup", "--help").out

    assert "To restore" in shown
    assert "histq db backup /var/backups --keep 7" in shown


def test_a_prune_of_what_is_recent_keeps_it(histq: Histq, database: Path) -> None:
    days = (time.time_ns() // 1_000_000 - START) // DAY_MS + 2

    document = histq("db", "prune", "--older-than", f"{days}d", "--json").document

    assert sum(one["rows"] for one in document["pruned"]) == 0
    assert count(database, "runs") == 1
