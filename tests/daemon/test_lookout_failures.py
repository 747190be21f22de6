"""Each condition from its cause: workers, jobs, the disk and the database itself that fail."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from histq.daemon.consumer import Consumer
from histq.daemon.turns import Job, Outcome
from histq.daemon.watcher import LogWatcher
from histq.errors import DiskFull
from histq.model import Draft, Series, Window
from histq.page import flatten, pack
from histq.stop import Stop
from tests.daemon.watched import FETCH, PATIENCE_S, Provider, Watch, Watched, until
from tests.disks import SmallDisk, small_disks
from tests.loopback import Says
from tests.pipeline import HOUR, START, candle, draft

MIB = 1024 * 1024
YEARLY = Series("binance", "BTCUSDT", "1y")


@contextmanager
def consuming(watched: Watched, *, lasted_s: float) -> Iterator[None]:
    """A consumer of the daemon, which begins again at once."""
    stop = Stop()
    consumer = Consumer(
        watched.opener, LogWatcher(), watched.facts, stop, pauses_s=(0.01, 0.01), lasted_s=lasted_s
    )
    consumer.start()
    try:
        yield
    finally:
        stop.set()
        assert consumer.join(PATIENCE_S)


def crashed(watched: Watched) -> str | None:
    """What was heard of the consumer last."""
    return watched.facts.now()[0].get("consume")


def test_a_message_that_ends_every_consumer_is_told_and_in_the_end_buried(watch: Watch) -> None:
    watched = watch()
    # Of an interval that nobody knows, as a newer histq may have queued it.
    body = pack(flatten([candle(0)]))
    watched.put(Draft(YEARLY, Window(START, START + HOUR), 1, body))

    with consuming(watched, lasted_s=PATIENCE_S):
        until(lambda: bool(crashed(watched)))
        said = watched.begun("worker_crashed", "consume")
        assert said == "consume crashed: unexpected KeyError: 'y'"

        def buried() -> bool:
            watched.look(61)  # a lease is over, and it comes again
            return watched.counted.get("dead_letters") == 1

        until(buried)
        assert watched.told("worker_crashed") == [("start", "consume")]

    with consuming(watched, lasted_s=0.01):
        until(lambda: crashed(watched) == "")
        watched.look(0, 299)
        assert len(watched.told("worker_crashed")) == 1
        watched.look(1)

    assert watched.over("worker_crashed", "consume") == "consume runs again"


def test_a_job_that_crashed_is_told_until_it_has_been_well_for_a_while(watch: Watch) -> None:
    watched, broken = watch(), [True]

    def run(stop: Stop) -> Outcome:
        return Outcome(1 // (not broken), "done")

    job = Job(FETCH, run, PATIENCE_S)
    watched.run(job)
    said = watched.begun("worker_crashed", FETCH)
    assert said.startswith(f"{FETCH} crashed: ZeroDivisionError: ")

    broken.clear()
    watched.run(job)
    watched.look(0, 300)

    assert watched.over("worker_crashed", FETCH) == f"{FETCH} runs again"


def test_a_job_that_is_ended_at_its_deadline_is_told_until_it_ends_in_time(
    asking: Watched, provider: Provider
) -> None:
    provider.instead = Says(b"[" * 1000, drip_s=0.05)
    job = asking.jobs[FETCH]
    assert asking.run(job._replace(deadline_s=0.2)).exit_code == 3
    said = asking.begun("job_overran", FETCH)
    assert said.startswith(f"{FETCH} took too long: ended, it was past its deadline of 0.2 s; ")

    provider.instead = None
    asking.run(job)

    assert asking.over("job_overran", FETCH) == f"{FETCH} ended in time"


def test_a_job_that_does_not_even_end_at_its_deadline_is_told(watch: Watch) -> None:
    watched, may_end = watch(), threading.Event()

    def run(stop: Stop) -> Outcome:
        assert may_end.wait(PATIENCE_S)
        return Outcome(0, "done")

    job = Job(FETCH, run, deadline_s=0.05)
    hanging = threading.Thread(target=watched.run, args=(job,))
    hanging.start()
    until(lambda: bool(watched.facts.now()[1].get(FETCH)))
    said = watched.begun("job_overran", FETCH)
    assert said == f"{FETCH} took too long: it is past its deadline of 0.05 s, and still runs"

    may_end.set()
    hanging.join(PATIENCE_S)
    watched.look(1)
    assert len(watched.told("job_overran")) == 1
    watched.run(job._replace(deadline_s=PATIENCE_S))

    assert watched.over("job_overran", FETCH) == f"{FETCH} ended in time"


def test_what_is_told_of_a_job_is_over_when_new_settings_have_it_no_more(watch: Watch) -> None:
    watched = watch()
    watched.facts.overdue(FETCH, "it was late")
    watched.facts.crashed(FETCH, "ZeroDivisionError")
    watched.begun("job_overran", FETCH)

    watched.renew(["prune"])

    assert watched.over("job_overran", FETCH) == f"{FETCH} is not looked after any more"
    assert watched.over("worker_crashed", FETCH) == f"{FETCH} is not looked after any more"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disks(tmp_path / "disk") as make:
        yield make(32 * MIB)


@pytest.fixture
def on_it(watch: Watch, small_disk: SmallDisk) -> Watched:
    """Watches a database on the small disk; what else histq keeps lies elsewhere."""
    path = str(small_disk.folder / "histq.db")
    return watch(lambda tree: tree["database"].update(path=path))


def test_a_disk_that_is_nearly_full_is_told_until_there_is_room(
    on_it: Watched, small_disk: SmallDisk
) -> None:
    small_disk.fill(but=2 * MIB)
    on_it.look(0, 1)
    assert on_it.told("disk_low") == []

    small_disk.empty()
    small_disk.fill(but=1 * MIB)
    said = on_it.begun("disk_low", "disk")
    assert said.endswith(
        " MiB are free where the database lies, less than 1.6 MiB; make room, or histq stops when"
        " it is full"
    )

    small_disk.empty()

    assert on_it.over("disk_low", "disk").endswith(" MiB are free where the database lies")


def test_a_disk_with_less_room_than_a_fetch_asks_for_is_low(
    watch: Watch, small_disk: SmallDisk
) -> None:
    place = {"path": str(small_disk.folder / "histq.db"), "min_free_bytes": 4 * MIB}
    watched = watch(lambda tree: tree["database"].update(place))
    small_disk.fill(but=3 * MIB)  # more than a twentieth
    with pytest.raises(DiskFull):
        watched.put(draft([candle(0)]))

    assert "less than 4.0 MiB" in watched.begun("disk_low", "disk")


def test_a_database_that_can_only_be_read_is_told_until_it_can_be_written(
    on_it: Watched, small_disk: SmallDisk
) -> None:
    on_it.look()
    assert on_it.told("database_failing") == []  # and nobody has it open
    small_disk.cover()
    on_it.look()
    said = on_it.begun("database_failing", "database")
    assert said.startswith("the database cannot be used: ")
    assert str(small_disk.folder) in said

    small_disk.uncover()

    assert on_it.over("database_failing", "database") == "the database can be written again"


def test_a_disk_that_is_full_at_once_is_told_as_a_database_that_fails(
    on_it: Watched, small_disk: SmallDisk
) -> None:
    on_it.look()
    assert on_it.told("database_failing") == []
    small_disk.fill(but=0)
    assert "the disk is full" in on_it.begun("database_failing", "database")

    small_disk.empty()

    on_it.over("database_failing", "database")


def damage(watched: Watched) -> Path:
    """Puts zeros in the place of the database; where it is now."""
    watched.look()
    assert watched.told("database_failing") == []  # and nobody has it open
    path = watched.opener.path
    sound, zeros = path.with_suffix(".sound"), path.with_suffix(".zeros")
    zeros.write_bytes(bytes(path.stat().st_size))
    path.rename(sound)
    zeros.rename(path)
    return sound


def test_a_damaged_database_is_told_until_it_is_restored(watch: Watch) -> None:
    watched = watch()
    sound = damage(watched)
    said = watched.begun("database_failing", "database")
    assert "it is no SQLite database, or a damaged one" in said

    sound.replace(watched.opener.path)

    watched.over("database_failing", "database")


def deep(watched: Watched) -> None:
    watched.put(draft([candle(slot) for slot in range(11)], slots=11))
    watched.look(0, 60)


def test_a_restart_while_something_is_wrong_tells_it_no_second_time(watch: Watch) -> None:
    watched = watch(lambda tree: tree["queue"].update(alert_depth=10))
    deep(watched)
    watched.facts.crashed("consume", "ZeroDivisionError")
    watched.begun("queue_deep", "queue")
    watched.begun("worker_crashed", "consume")

    for _ in range(2):
        watched.restart()
        watched.look(0, 400)
        watched.begun("queue_deep", "queue")
        watched.begun("worker_crashed", "consume")

    watched.consume()
    watched.facts.crashed("consume", "")
    watched.look(0, 300)
    watched.over("queue_deep", "queue")
    watched.over("worker_crashed", "consume")


def test_a_database_that_fails_across_a_restart_is_told_once_and_ends_once(watch: Watch) -> None:
    watched = watch()
    sound = damage(watched)
    watched.begun("database_failing", "database")

    watched.close()
    sound.replace(watched.opener.path)
    watched.restart()

    watched.over("database_failing", "database")
