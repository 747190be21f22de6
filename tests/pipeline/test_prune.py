"""What is forgotten, what stays however old it is, and what is on disk before it is gone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from histq.config import load
from histq.errors import Config, Misshapen, Usage
from histq.model import DAY_MS, HOUR_MS, Candle, Reason, Span, State
from histq.page import flatten
from histq.pipeline.archive import Archive
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.letters import body_letter
from histq.pipeline.prune import BATCH, Kind, PruneReport, cutoffs, prune
from histq.pipeline.runs import RunLog
from histq.settings import RetentionSettings
from histq.stop import Stop
from histq.stores.sqlite import SqliteStore
from tests.queues import BTC, ETH, PLENTY, draft, hours

NOW = 100 * DAY_MS
ALIVE, DEAD = "h:b:1:0:x", "h:b:2:0:y"
EVERY = (Kind.LETTERS, Kind.STATS, Kind.RUNS, Kind.REVISIONS)


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[Backends]:
    flags = {"database": {"path": str(tmp_path / "histq.db")}}
    with Opener(load(flags, plain=True).settings, ALIVE).open(create=True) as opened:
        store = SqliteStore(opened.database, clock=lambda: NOW, dead=lambda owner: owner == DEAD)
        yield opened._replace(store=store)


def run_prune(
    backends: Backends,
    *kinds: Kind,
    before: int = 50 * DAY_MS,
    archive: Archive | None = None,
    stop: Stop = Stop(),  # noqa: B008, set by nobody
    dry_run: bool = False,
) -> PruneReport:
    runs = RunLog("db prune", ALIVE)
    at = dict.fromkeys(kinds or EVERY, before)
    return prune(backends, at, archive, runs, stop, dry_run=dry_run)


def rows(report: PruneReport) -> dict[str, int]:
    return {one.kind.value: one.rows for one in report.pruned}


def run_of(backends: Backends, id_: int, start: int, end: int | None, owner: str = ALIVE) -> None:
    backends.database.rows(
        "insert into runs (id, command, owner, started_at, ended_at) values (?, 'fetch', ?, ?, ?)",
        [id_, owner, start, end],
    )


def stats_of(backends: Backends, run_id: int, at: int) -> None:
    backends.database.rows(
        "insert into ingestion_stats (run_id, source, at, messages, points, inserted, duplicates,"
        " revised, dead, elapsed_ms, points_per_s) values (?, 'binance', ?, 1, 9, 9, 0, 0, 0, 1.5,"
        " 6000.1)",
        [run_id, at],
    )


def left(backends: Backends, table: str) -> list[int]:
    return [id_ for (id_,) in backends.database.rows(f"select id from {table} order by id")]


def test_statistics_go_by_their_age(backends: Backends) -> None:
    run_of(backends, 1, 0, NOW)
    for at in (49 * DAY_MS, 50 * DAY_MS - 1, 50 * DAY_MS, 51 * DAY_MS):
        stats_of(backends, 1, at)

    report = run_prune(backends, Kind.STATS)

    assert rows(report) == {"stats": 2}
    assert left(backends, "ingestion_stats") == [3, 4]


def test_runs_go_by_their_end_and_those_that_may_still_run_stay(backends: Backends) -> None:
    run_of(backends, 1, 0, DAY_MS)
    run_of(backends, 2, 0, 60 * DAY_MS)
    run_of(backends, 3, 0, None, ALIVE)
    run_of(backends, 4, 0, None, DEAD)

    report = run_prune(backends, Kind.RUNS)

    assert rows(report) == {"runs": 2}
    assert left(backends, "runs") == [2, 3, 5]  # 5 is that of the prune


def test_a_run_stays_while_its_statistics_do(backends: Backends) -> None:
    run_of(backends, 1, 0, DAY_MS)
    run_of(backends, 2, 0, DAY_MS)
    stats_of(backends, 1, DAY_MS)
    stats_of(backends, 2, 60 * DAY_MS)

    alone = run_prune(backends, Kind.RUNS, dry_run=True)
    both = run_prune(backends, Kind.RUNS, Kind.STATS, dry_run=True)
    done = run_prune(backends, Kind.RUNS, Kind.STATS)

    assert rows(alone) == {"runs": 0}
    assert rows(both) == rows(done) == {"stats": 1, "runs": 1}
    assert left(backends, "runs")[0] == 2


def test_a_pruned_letter_leaves_a_hole_that_the_ledger_knows(backends: Backends) -> None:
    backends.queue.put([draft(0)])
    (message,) = backends.queue.lease(1, PLENTY, 60)
    backends.queue.bury(message, Reason.PERMANENT, "no")
    backends.store.record(BTC, [Span(0, HOUR_MS, State.DEAD)])
    backends.database.rows("update dead_letters set failed_at = 5")
    misshapen = Misshapen("no", b"x")
    backends.queue.keep([body_letter(ETH, hours(0, 1), misshapen, 60 * DAY_MS)])

    report = run_prune(backends, Kind.LETTERS)

    assert rows(report) == {"letters": 1}
    assert [letter.series for letter in backends.queue.letters()] == [ETH]
    assert backends.store.spans(BTC) == [
        Span(0, HOUR_MS, State.FAILED, reason="dead letter dropped: no")
    ]


def revised(backends: Backends, hour: int, *closes: float) -> None:
    """A candle, told once for each close."""
    for close in closes:
        backends.store.write(BTC, flatten([Candle(hour * HOUR_MS, close=close)]))


def test_revisions_that_wait_stay_however_old(backends: Backends) -> None:
    revised(backends, 0, 1.0, 2.0, 3.0)

    report = run_prune(backends, Kind.REVISIONS, before=NOW + 1)

    assert rows(report) == {"revisions": 0}
    assert backends.store.apply_revisions([1, 2]).applied == [1, 2]


def test_applied_revisions_go_by_when_they_were_applied(backends: Backends) -> None:
    revised(backends, 0, 1.0, 2.0)
    backends.store.apply_revisions([1])

    assert rows(run_prune(backends, Kind.REVISIONS, before=NOW)) == {"revisions": 0}
    assert rows(run_prune(backends, Kind.REVISIONS, before=NOW + 1)) == {"revisions": 1}
    assert left(backends, "revisions") == []


def test_an_overtaken_revision_goes_with_its_overtaker_and_those_after_still_apply(
    backends: Backends,
) -> None:
    revised(backends, 0, 1.0, 2.0, 3.0)
    backends.database.rows("update revisions set old = '{\"close\": 7.0}' where id = 1")
    backends.database.rows("update revisions set old = '{\"close\": 1.0}' where id = 2")
    backends.store.apply_revisions([2])  # 1 builds on a value that was never there: overtaken
    revised(backends, 0, 4.0)
    before = [(one.id, one.state) for one in backends.store.revisions([BTC], 10)]

    report = run_prune(backends, Kind.REVISIONS, before=NOW + 1)

    assert before == [(3, "waiting"), (2, "applied"), (1, "overtaken")]
    assert rows(report) == {"revisions": 2}
    assert [(one.id, one.state) for one in backends.store.revisions([BTC], 10)] == [(3, "waiting")]
    assert backends.store.apply_revisions([3]).applied == [3]
    assert backends.database.value("select close from prices") == 4.0


def test_a_dry_run_counts_and_changes_nothing(backends: Backends, tmp_path: Path) -> None:
    run_of(backends, 1, 0, DAY_MS)
    for at in range(3):
        stats_of(backends, 1, at)

    report = run_prune(backends, dry_run=True)

    assert rows(report) == {"letters": 0, "stats": 3, "runs": 1, "revisions": 0}
    assert left(backends, "ingestion_stats") == [1, 2, 3]
    assert left(backends, "runs") == [1]


def test_a_prune_that_deletes_nothing_leaves_no_run(backends: Backends) -> None:
    run_prune(backends)

    assert left(backends, "runs") == []


def test_more_than_a_batch_goes_in_several_transactions(backends: Backends) -> None:
    run_of(backends, 1, 0, NOW)
    with backends.transaction():
        for _ in range(2 * BATCH + 1):
            stats_of(backends, 1, 0)

    assert rows(run_prune(backends, Kind.STATS)) == {"stats": 2 * BATCH + 1}


def test_a_stop_ends_a_prune_between_two_batches(backends: Backends, tmp_path: Path) -> None:
    run_of(backends, 1, 0, NOW)
    with backends.transaction():
        for _ in range(2 * BATCH):
            stats_of(backends, 1, 0)
    stop = Stop()

    class Stopping(Archive):
        def add(self, table: str, rows: Any) -> None:
            super().add(table, rows)
            stop.set()

    with Stopping.open(tmp_path / "pruned.jsonl", []) as archive:
        report = run_prune(backends, Kind.STATS, archive=archive, stop=stop)

    assert rows(report) == {"stats": BATCH}
    assert len(left(backends, "ingestion_stats")) == BATCH


def test_what_goes_is_in_the_archive(backends: Backends, tmp_path: Path) -> None:
    run_of(backends, 1, 0, DAY_MS)
    stats_of(backends, 1, 7)
    backends.queue.keep([body_letter(BTC, hours(0, 1), Misshapen("no", b"x"), 8)])
    revised(backends, 0, 1.0, 2.0)
    backends.store.apply_revisions([1])
    file = tmp_path / "pruned.jsonl"

    with Archive.open(file, []) as archive:
        run_prune(backends, archive=archive, before=NOW + 1)

    letter, stats, run, revision = [json.loads(line) for line in file.read_text().splitlines()]
    assert (letter["table"], letter["kind"], letter["symbol"]) == (
        "dead_letters",
        "body",
        "BTCUSDT",
    )
    assert json.loads(letter["raw_data"])["body"] == "x"
    assert (stats["table"], stats["at"], stats["points_per_s"]) == ("ingestion_stats", 7, 6000.1)
    assert (run["table"], run["id"], run["command"]) == ("runs", 1, "fetch")
    assert (revision["table"], revision["old"], revision["new"]) == (
        "revisions",
        '{"close": 1.0}',
        '{"close": 2.0}',
    )


def test_what_cannot_be_archived_is_not_deleted(backends: Backends, tmp_path: Path) -> None:
    run_of(backends, 1, 0, NOW)
    stats_of(backends, 1, 0)

    class Full(Archive):
        def add(self, table: str, rows: Any) -> None:
            raise Config("no room")

    with Full.open(tmp_path / "pruned.jsonl", []) as archive, pytest.raises(Config):
        run_prune(backends, Kind.STATS, archive=archive)

    assert left(backends, "ingestion_stats") == [1]
    assert not (tmp_path / "pruned.jsonl").exists()  # an archive of nothing is none


def test_an_archive_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "pruned.jsonl"
    file.write_text('{"table":"runs","id":1}\n{"table":"runs","id":2,"comm')

    with Archive.open(file, []) as archive:
        archive.add("runs", [{"id": 2}])

    assert file.read_text() == '{"table":"runs","id":1}\n{"table":"runs","id":2}\n'


def test_an_archive_of_one_line_that_was_cut_off_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "pruned.jsonl"
    file.write_text('{"table":"ru')

    with Archive.open(file, []) as archive:
        archive.add("runs", [{"id": 2}])

    assert file.read_text() == '{"table":"runs","id":2}\n'


@pytest.mark.parametrize("text", ["[database]\n", "{}", "\n"], ids=["settings", "JSON", "a line"])
def test_a_file_that_is_no_archive_is_refused_and_left(text: str, tmp_path: Path) -> None:
    file = tmp_path / "histq.toml"
    file.write_text(text)

    with pytest.raises(Usage, match="no archive of histq db prune"):
        Archive.open(file, [])

    assert file.read_text() == text


def test_the_database_itself_is_no_archive(backends: Backends) -> None:
    path = backends.database.path
    (path.parent / "link").symlink_to(path)

    for name in ("histq.db", "histq.db-wal", "link"):
        with pytest.raises(Usage, match="the database itself"):
            Archive.open(path.parent / name, [path])


def test_an_archive_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Config, match="name a file you may write"):
        Archive.open(tmp_path / "absent" / "pruned.jsonl", [])
    with pytest.raises(Usage, match="no regular file"):
        Archive.open(tmp_path, [])


def test_settings_become_instants_and_none_is_for_ever() -> None:
    found = cutoffs(RetentionSettings(stats_days=1.5, letters_days=30), NOW)

    assert found == {
        Kind.LETTERS: 70 * DAY_MS,
        Kind.STATS: 98 * DAY_MS + DAY_MS // 2,
        Kind.RUNS: NOW - 365 * DAY_MS,
    }
