"""The database: what opening it promises, transactions, its schema and the views people query."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils.utils import sqlite3

from histq.db import Database, Parameters, Row
from histq.errors import (
    Config,
    DatabaseMissing,
    DiskFull,
    Locked,
    Poison,
    SchemaTooNew,
    Stopped,
)
from histq.place import series_locks
from histq.stop import Stop

MIB = 1024 * 1024


@pytest.fixture
def path(place: Path) -> Path:
    """Where the database goes, in a folder of its own."""
    return place / "histq.db"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    with Database.open(path, lock_timeout_s=10) as opened:
        yield opened


def outside(path: Path, timeout: float = 0) -> sqlite3.Connection:
    """A connection of a program that knows nothing of histq; closed by whoever asks for it."""
    return sqlite3.connect(path, isolation_level=None, timeout=timeout, check_same_thread=False)


def foreign(path: Path, journal_mode: str = "delete") -> None:
    with closing(outside(path)) as conn:
        conn.execute(f"pragma journal_mode = {journal_mode}")
        conn.execute("create table prices (day text, price real)")
        conn.execute("insert into prices values ('2024-01-01', 42283.58)")


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def note(db: Database, name: str) -> None:
    """Writes one row that is easy to find again."""
    db.rows(
        "insert into series (source, symbol, interval, created_at) values (?, '', '', 0)", [name]
    )


def notes(db: Database) -> list[str]:
    return [source for (source,) in db.rows("select source from series order by id")]


def test_a_database_is_in_wal_mode(db: Database) -> None:
    assert db.value("pragma journal_mode") == "wal"


def test_every_commit_reaches_the_disk(db: Database) -> None:
    assert db.value("pragma synchronous") == 2


def test_sqlite_checkpoints_nothing_by_itself(db: Database) -> None:
    assert db.value("pragma wal_autocheckpoint") == 0


def test_the_file_says_in_its_header_whose_it_is(path: Path) -> None:
    Database.open(path).close()

    assert path.read_bytes()[68:72] == b"hstq"


def test_the_schema_has_the_tables_that_are_documented(db: Database) -> None:
    names = {name for (name,) in db.rows("select name from sqlite_master where type = 'table'")}

    assert names - {"_sqlite_migrations", "sqlite_sequence"} == {
        "series",
        "prices",
        "bodies",
        "messages",
        "dead_letters",
        "spans",
        "ingestion_stats",
        "runs",
        "revisions",
        "alerts",
        "notices",
    }


def test_prices_are_strict_without_rowid_and_keyed_by_series_and_time(db: Database) -> None:
    without_rowid, strict = db.rows("select wr, strict from pragma_table_list('prices')")[0]
    key = db.rows("select name from pragma_table_info('prices') where pk > 0 order by pk")

    assert (without_rowid, strict) == (1, 1)
    assert key == [("series_id",), ("timestamp",)]


def test_of_a_price_only_key_close_and_creation_must_be_known(db: Database) -> None:
    found = db.rows("select name from pragma_table_info('prices') where \"notnull\" order by cid")

    assert found == [("series_id",), ("timestamp",), ("close",), ("created_at",)]


def test_an_id_of_a_message_is_never_used_twice(db: Database) -> None:
    insert = (
        'insert into messages (source, symbol, interval, start, "end", points, priority,'
        " queued_at) values ('binance', 'BTCUSDT', '1h', 0, 1, 1, 1, 0)"
    )
    first = db.insert(insert)
    db.rows("delete from messages")

    second = db.insert(insert)

    assert second > first


VIEWS = {
    "historical_prices": (
        *("symbol", "timestamp", "open", "high", "low", "close", "volume", "source", "interval"),
        *("created_at", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"),
        "close_time",
    ),
    "latest_prices": ("symbol", "source", "interval", "latest_timestamp", "latest_price"),
    "data_coverage": (
        *("symbol", "source", "interval", "data_points", "earliest_timestamp"),
        *("latest_timestamp", "days_coverage"),
    ),
    "ingestion_performance": (
        *("source", "avg_throughput", "max_throughput", "avg_batch_size", "total_batches"),
    ),
    "failed_ingestions": (
        *("symbol", "timestamp", "error_message", "retry_count", "failed_at", "raw_data"),
    ),
}


def test_there_are_five_views(db: Database) -> None:
    found = {name for (name,) in db.rows("select name from sqlite_master where type = 'view'")}

    assert found == set(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_columns_that_are_documented(view: str, db: Database) -> None:
    found = db.rows("select name from pragma_table_info(?) order by cid", [view])

    assert tuple(name for (name,) in found) == VIEWS[view]


@pytest.fixture
def operator(path: Path, db: Database) -> Iterator[sqlite3.Connection]:
    """Somebody with another program, and a database that holds a little of everything."""
    hour, day = 3_600_000, 86_400_000
    with db.transaction():
        db.rows(
            "insert into series (id, source, symbol, interval, points, first, last, created_at)"
            " values (1, 'binance', 'BTCUSDT', '1h', 3, 0, 7200000, 9),"
            " (2, 'coingecko', 'BTCUSD', '1d', 2, 86400000, 172800000, 9),"
            " (3, 'binance', 'ETHUSDT', '1h', 0, null, null, 9)"
        )
        for series, timestamp, close in (
            *((1, 0, 10.0), (1, hour, 11.0), (1, 2 * hour, 12.5)),
            *((2, day, 20.0), (2, 2 * day, 21.5)),
        ):
            db.rows(
                "insert into prices (series_id, timestamp, close, created_at) values (?, ?, ?, 9)",
                [series, timestamp, close],
            )
        db.rows("insert into runs (id, command, owner, started_at) values (1, 'consume', 'me', 0)")
        for source, points, rate in (
            ("binance", 100, 50.0),
            ("binance", 300, 150.0),
            ("demo", 7, 7),
        ):
            db.rows(
                "insert into ingestion_stats (run_id, source, at, messages, points, inserted,"
                " duplicates, revised, dead, elapsed_ms, points_per_s)"
                " values (1, ?, 0, 1, ?, 0, 0, 0, 0, 1, ?)",
                [source, points, rate],
            )
        for failed_at in range(12):
            db.rows(
                'insert into dead_letters (kind, source, symbol, interval, start, "end", points,'
                " reason, error, failures, deliveries, queued_at, failed_at, raw_data) values"
                " ('page', 'binance', 'BTCUSDT', '1h', 5, 6, 1, 'poison', 'bad', 3, 4, 0, ?,"
                " '[1]')",
                [failed_at],
            )
    with closing(outside(path)) as conn:
        yield conn


def asked(conn: sqlite3.Connection, sql: str) -> list[Any]:
    return conn.execute(sql).fetchall()


def test_an_operator_counts_rows_by_symbol(operator: sqlite3.Connection) -> None:
    found = asked(operator, "select symbol, count(*) from historical_prices group by symbol")

    assert found == [("BTCUSD", 2), ("BTCUSDT", 3)]


def test_an_operator_sees_source_and_interval_of_each_price(operator: sqlite3.Connection) -> None:
    found = asked(
        operator,
        "select symbol, timestamp, close, source, interval, created_at, open"
        " from historical_prices where timestamp = 3600000",
    )

    assert found == [("BTCUSDT", 3_600_000, 11.0, "binance", "1h", 9, None)]


def test_an_operator_sees_the_latest_prices(operator: sqlite3.Connection) -> None:
    found = asked(operator, "select * from latest_prices order by latest_timestamp desc")

    assert found == [
        ("BTCUSD", "coingecko", "1d", 172_800_000, 21.5),
        ("BTCUSDT", "binance", "1h", 7_200_000, 12.5),
    ]


def test_an_operator_sees_the_coverage(operator: sqlite3.Connection) -> None:
    found = asked(operator, "select * from data_coverage order by data_points desc")

    assert found == [
        ("BTCUSDT", "binance", "1h", 3, 0, 7_200_000, 7_200_000 / 86_400_000),
        ("BTCUSD", "coingecko", "1d", 2, 86_400_000, 172_800_000, 1.0),
    ]


def test_an_operator_sees_the_performance(operator: sqlite3.Connection) -> None:
    found = asked(operator, "select * from ingestion_performance")

    assert found == [("binance", 100.0, 150.0, 200.0, 2), ("demo", 7.0, 7.0, 7.0, 1)]


def test_an_operator_sees_the_last_ten_failures(operator: sqlite3.Connection) -> None:
    found = asked(operator, "select * from failed_ingestions order by failed_at desc limit 10")

    assert len(found) == 10
    assert found[0] == ("BTCUSDT", 5, "bad", 3, 11, "[1]")
    assert [row[4] for row in found] == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]


def test_a_directory_is_no_database(place: Path) -> None:
    with pytest.raises(Config, match="directory"):
        Database.open(place)


def test_a_database_needs_its_folder(place: Path) -> None:
    with pytest.raises(Config, match="no folder"):
        Database.open(place / "missing" / "histq.db")

    assert listing(place) == []


def test_a_folder_that_takes_no_file_is_a_matter_of_settings() -> None:
    with pytest.raises(Config, match="--db"):
        Database.open(Path("/proc/histq.db"))


@pytest.mark.parametrize("empty_file", [False, True], ids=["absent", "an empty file"])
def test_a_missing_database_is_made_only_where_that_is_wanted(
    empty_file: bool, path: Path, place: Path
) -> None:
    if empty_file:
        path.touch()
    before = listing(place)

    with pytest.raises(DatabaseMissing, match="histq init"):
        Database.open(path, create=False)

    assert listing(place) == before
    assert sum(file.stat().st_size for file in place.iterdir()) == 0


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()

    with Database.open(path) as db:
        assert db.value("select count(*) from historical_prices") == 0


def test_a_database_keeps_what_it_held_when_opened_again(path: Path) -> None:
    with Database.open(path) as db:
        note(db, "first")

    with Database.open(path, create=False) as db:
        assert notes(db) == ["first"]


@pytest.mark.parametrize("create", [True, False], ids=["create", "no create"])
def test_a_text_file_is_refused_and_left_alone(create: bool, path: Path, place: Path) -> None:
    path.write_text("day,price\n2024-01-01,42283.58\n" * 100)
    before = path.read_bytes()

    with pytest.raises(Config, match="no SQLite database"):
        Database.open(path, create=create)

    assert path.read_bytes() == before
    assert listing(place) == ["histq.db"]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("create", [True, False], ids=["create", "no create"])
def test_a_database_of_another_program_is_refused_and_left_alone(
    create: bool, journal_mode: str, path: Path, place: Path
) -> None:
    foreign(path, journal_mode)
    before = path.read_bytes()

    with pytest.raises(Config, match="another program"):
        Database.open(path, create=create)

    assert path.read_bytes() == before
    assert listing(place) == ["histq.db"]


def test_a_database_that_another_program_has_open_is_refused_and_left_alone(
    path: Path, place: Path
) -> None:
    foreign(path, "wal")
    with closing(outside(path)) as owner:
        owner.execute("insert into prices values ('2024-01-02', 44168.73)")
        before = {entry.name: entry.stat().st_size for entry in place.iterdir()}

        with pytest.raises(Config, match="another program"):
            Database.open(path)

        assert {entry.name: entry.stat().st_size for entry in place.iterdir()} == before
        assert owner.execute("select count(*) from prices").fetchall() == [(2,)]


def test_a_database_that_a_killed_program_left_is_refused_and_left_alone(
    path: Path, place: Path, tmp_path: Path
) -> None:
    living = tmp_path / "living.db"
    foreign(living, "wal")
    with closing(outside(living)) as owner:
        owner.execute("insert into prices values ('2024-01-02', 44168.73)")
        for suffix in ("", "-wal"):
            shutil.copy(f"{living}{suffix}", f"{path}{suffix}")
    before = {file.name: file.read_bytes() for file in place.iterdir()}

    with pytest.raises(Config, match="another program"):
        Database.open(path)

    assert {name for name in before if name not in listing(place)} == set()
    assert {name: (place / name).read_bytes() for name in before} == before


def test_a_database_of_a_newer_histq_is_refused_and_left_alone(path: Path) -> None:
    with Database.open(path) as db:
        db.rows(
            "insert into _sqlite_migrations (migration_set, name, applied_at)"
            " values ('histq', '9999_later', '2030-01-01')"
        )
    before = path.read_bytes()

    with pytest.raises(SchemaTooNew, match="9999_later"):
        Database.open(path)

    assert path.read_bytes() == before


def test_an_inner_transaction_joins_the_outer_one(db: Database) -> None:
    def outer_that_fails() -> None:
        with db.transaction():
            with db.transaction():
                note(db, "inner")
            note(db, "outer")
            raise RuntimeError("after the inner one ended")

    with pytest.raises(RuntimeError):
        outer_that_fails()

    assert notes(db) == []


def test_nothing_is_visible_outside_before_the_outer_transaction_ends(
    db: Database, path: Path
) -> None:
    with closing(outside(path)) as reader:
        with db.transaction():
            with db.transaction():
                note(db, "inner")
            during = reader.execute("select count(*) from series").fetchall()
        after = reader.execute("select count(*) from series").fetchall()

    assert (during, after) == ([(0,)], [(1,)])


def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(db: Database) -> None:
    def fails() -> None:
        with db.transaction():
            note(db, "lost")
            note(db, "lost")

    with pytest.raises(Poison, match="UNIQUE"):
        fails()
    with db.transaction():
        note(db, "kept")

    assert notes(db) == ["kept"]


def test_a_number_that_sqlite_has_no_room_for_is_poison(db: Database) -> None:
    with pytest.raises(Poison):
        db.rows("select ?", [2**63])


def test_a_write_of_another_program_is_waited_for(db: Database, path: Path) -> None:
    with closing(outside(path)) as other:
        other.execute("begin immediate")
        ends = threading.Timer(0.3, other.execute, ["commit"])
        ends.start()

        with db.transaction():
            note(db, "after")

        ends.join()
    assert notes(db) == ["after"]


def test_a_write_of_another_program_is_not_waited_for_for_ever(path: Path) -> None:
    with Database.open(path, lock_timeout_s=0.1) as db, closing(outside(path)) as other:
        other.execute("begin immediate")

        with pytest.raises(Locked, match="another program"), db.transaction():
            note(db, "never")

        other.execute("commit")
        assert notes(db) == []


def test_a_write_of_another_histq_is_not_waited_for_for_ever(db: Database, path: Path) -> None:
    with db.transaction(), Database.open(path, lock_timeout_s=0.1) as second:
        with pytest.raises(Locked, match="another histq"), second.transaction():
            note(second, "never")

        assert notes(second) == []


def test_a_write_of_another_histq_is_not_waited_for_long_after_a_stop(
    db: Database, path: Path
) -> None:
    stop = Stop()
    with db.transaction(), Database.open(path, stop=stop) as second:
        stop.set()

        with pytest.raises(Stopped, match="stopped while"), second.transaction():
            note(second, "never")

    assert notes(db) == []


def test_a_write_in_hand_is_done_after_a_stop(path: Path) -> None:
    stop = Stop()
    stop.set()
    with Database.open(path, stop=stop) as opened, opened.transaction():
        assert opened.insert("insert into runs (command, owner, started_at) values ('', '', 0)")


def test_who_gave_up_waiting_writes_later(db: Database, path: Path) -> None:
    with Database.open(path, lock_timeout_s=0.5) as second:
        with db.transaction(), pytest.raises(Locked), second.transaction():
            note(second, "never")

        with second.transaction():
            note(second, "later")

    assert notes(db) == ["later"]


OPENERS = 6
ROUNDS = 20
OPEN_EACH_PATH_READ = """
import sys
from pathlib import Path
from histq.db import Database
print("ready", flush=True)
for line in sys.stdin:
    try:
        with Database.open(Path(line.strip())) as db, db.transaction():
            db.rows("insert into runs (command, owner, started_at) values ('x', 'x', 0)")
        print("ok", flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


def test_six_processes_make_a_new_database_at_once(place: Path) -> None:
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_EACH_PATH_READ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(OPENERS)
    ]
    rows = []

    told = [_said(opener) for opener in openers]
    for number in range(ROUNDS):
        path = place / f"{number}.db"
        for opener in openers:
            _say(opener, f"{path}\n")
        told += [_said(opener) for opener in openers]
        with closing(outside(path)) as reader:
            rows += reader.execute("select count(*) from runs").fetchall()
    for opener in openers:
        opener.communicate(timeout=30)

    assert told == ["ready"] * OPENERS + ["ok"] * OPENERS * ROUNDS
    assert rows == [(OPENERS,)] * ROUNDS


def _say(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def _said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_log_is_moved_into_the_database_and_stays_small(db: Database, path: Path) -> None:
    db.rows("create table ballast (body blob)")
    log = path.with_name("histq.db-wal")
    largest = 0

    for _ in range(64):
        with db.transaction():
            db.rows("insert into ballast values (zeroblob(?))", [MIB])
        largest = max(largest, log.stat().st_size)

    assert largest < 20 * MIB
    assert path.stat().st_size > 44 * MIB
    assert db.value("select sum(length(body)) from ballast") == 64 * MIB


def test_the_log_keeps_its_room_when_it_starts_anew(db: Database, path: Path) -> None:
    db.rows("create table ballast (body blob)")
    log = path.with_name("histq.db-wal")
    sizes = []

    for _ in range(40):
        with db.transaction():
            db.rows("insert into ballast values (zeroblob(?))", [MIB])
        sizes.append(log.stat().st_size)

    assert path.stat().st_size > 28 * MIB
    assert min(sizes[16:]) >= 15 * MIB


def test_what_is_deleted_is_not_written_once_more(db: Database, path: Path) -> None:
    db.rows("create table ballast (body blob)")
    with db.transaction():
        db.rows("insert into ballast values (zeroblob(?))", [4 * MIB])
    log = path.with_name("histq.db-wal")
    before = log.stat().st_size

    with db.transaction():
        db.rows("delete from ballast")

    assert log.stat().st_size - before < MIB


def test_an_insert_tells_the_id_and_a_conflict_none(db: Database) -> None:
    sql = (
        "insert into series (source, symbol, interval, created_at) values ('binance', ?, '1h', 0)"
        " on conflict (source, symbol, interval) do nothing"
    )
    with db.transaction():
        found = [db.insert(sql, [symbol]) for symbol in ("BTCUSDT", "ETHUSDT", "BTCUSDT")]

    assert found == [1, 2, 0]


def test_the_log_shrinks_again_after_a_long_reader(db: Database, path: Path) -> None:
    db.rows("create table ballast (body blob)")
    log = path.with_name("histq.db-wal")
    with closing(outside(path)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from ballast").fetchall()
        for _ in range(24):
            with db.transaction():
                db.rows("insert into ballast values (zeroblob(?))", [MIB])
        with_reader = log.stat().st_size
        reader.execute("rollback")

    for _ in range(40):
        with db.transaction():
            db.rows("insert into ballast values (zeroblob(?))", [MIB])

    assert with_reader > 20 * MIB
    assert log.stat().st_size < 20 * MIB


class Counting(Database):
    """Counts the checkpoints that it tries."""

    checkpoints = 0

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        self.checkpoints += sql.startswith("pragma wal_checkpoint")
        return super().rows(sql, parameters)


def test_while_a_reader_holds_the_log_open_checkpoints_are_tried_now_and_then(path: Path) -> None:
    with Counting.open(path) as db, closing(outside(path)) as reader:
        db.rows("create table ballast (body blob)")
        reader.execute("begin")
        reader.execute("select count(*) from ballast").fetchall()

        for _ in range(72):
            with db.transaction():
                db.rows("insert into ballast values (zeroblob(?))", [MIB])
        with_reader = db.checkpoints
        reader.execute("rollback")

    assert with_reader == 4  # after 16, 32, 48 and 64 MiB


def fill(db: Database) -> None:
    """Writes a page or two, and then a MiB more."""
    with db.transaction():
        note(db, "small")
        db.rows(
            "insert into runs (command, owner, started_at) values (hex(zeroblob(?)), '', 0)",
            [MIB // 2],
        )


def test_a_full_disk_is_told_and_what_was_committed_stays(db: Database) -> None:
    with db.transaction():
        note(db, "before")
    db.rows(f"pragma max_page_count = {db.value('pragma page_count') + 2}")

    with pytest.raises(DiskFull, match="free some room"):
        fill(db)

    assert notes(db) == ["before"]
    assert db.value("pragma integrity_check") == "ok"


def test_a_database_writes_on_when_the_disk_has_room_again(db: Database) -> None:
    db.rows(f"pragma max_page_count = {db.value('pragma page_count') + 2}")
    with pytest.raises(DiskFull):
        fill(db)

    db.rows("pragma max_page_count = 1000000")
    fill(db)

    assert notes(db) == ["small"]


def test_the_size_counts_the_log(db: Database, path: Path) -> None:
    bare = path.stat().st_size

    fill(db)

    assert db.size_bytes() > bare + MIB


def test_series_locks_leave_nothing_where_no_database_was_made(path: Path, place: Path) -> None:
    with series_locks(path) as locks:
        assert locks.try_acquire("binance/BTCUSDT/1h")

    assert listing(place) == []
