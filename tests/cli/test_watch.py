"""stats --watch: real figures on a real terminal, which is afterwards as it was before."""

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Histq, source_at
from tests.hourly import hours
from tests.loopback import Asked, Loopback, Says
from tests.processes import start
from tests.terminal import CURSOR_HIDDEN, CURSOR_SHOWN, ENTERED, LEFT, Terminal

PAGE = 1000
LONG_FETCH = ("BTC", "-s", "binance", "--from", "2023-01-01", "--to", "2023-09-01")  # six pages
ONE_DAY = ("BTC", "-s", "binance", "--from", "2023-01-01", "--to", "2023-01-02")
WATCH = ("stats", "--watch", "--every", "200ms")


class Doled:
    """Hours, in pages that are given out one by one, when the test says so."""

    def __init__(self) -> None:
        self._pages = threading.Semaphore(0)

    def __call__(self, asked: Asked) -> Says:
        self._pages.acquire(timeout=60)
        return hours(asked)

    def give(self, pages: int = 1) -> None:
        self._pages.release(pages)


@pytest.fixture
def doled() -> Iterator[Doled]:
    doled = Doled()
    yield doled
    doled.give(100)


@pytest.fixture
def held(histq: Histq) -> None:
    """A database with a day of hours, stored."""
    with Loopback(hours) as server:
        histq("sync", *ONE_DAY, **source_at("binance", server.url))


def test_figures_appear_and_change_while_a_sync_runs(
    environ: dict[str, str], place: Path, doled: Doled
) -> None:
    with (
        Loopback(doled) as server,
        Terminal(*WATCH, cwd=place, environ=environ) as terminal,
    ):
        terminal.shows("no database at histq.db", "waiting for it", "q leaves")
        settings = source_at("binance", server.url, concurrency=1)
        sync = start(environ, place, "sync", *LONG_FETCH, **settings)

        doled.give()
        terminal.shows("binance/BTCUSDT/1h", " 1,000 ", "2023-02-11T16:00Z", "open gaps 1")
        doled.give()
        picture = terminal.shows(" 2,000 ", "2023-03-25T08:00Z", "last batches")
        running = sync.poll() is None
        doled.give(100)
        sync.communicate(timeout=60)
        terminal.shows(" 5,832 ", "2023-09-01", "open gaps 0")
        terminal.press("q")

        assert terminal.wait() == 0
    series = next(line for line in picture if line.startswith("binance/BTCUSDT/1h")).split()
    fetched_per_s, points, stored_per_s = (int(series[i].replace(",", "")) for i in (2, 3, 4))
    assert running
    assert (points, sync.returncode) == (2000, 0)
    assert 0 < stored_per_s <= fetched_per_s


def test_a_queue_that_waits_is_counted(environ: dict[str, str], place: Path, histq: Histq) -> None:
    with Loopback(hours) as server:
        histq("fetch", *ONE_DAY, **source_at("binance", server.url))

    with Terminal(*WATCH, cwd=place, environ=environ) as terminal:
        terminal.shows("queue 24 points, oldest ", " s: 1 ready, 0 leased, 0 delayed, 0 dead")
        histq("consume")
        terminal.shows("queue 0 points: 0 ready")


def test_budget_silence_and_errors_are_shown(
    environ: dict[str, str], place: Path, histq: Histq, held: None
) -> None:
    refusal = Says(b"", 429, {"Retry-After": "300"})
    with Loopback(lambda asked: refusal) as server:
        settings = source_at("binance", server.url, requests_per_minute=10)
        histq("fetch", *ONE_DAY[:-1], "2023-01-03", **settings)

        with Terminal(*WATCH, cwd=place, environ={**environ, **settings}) as terminal:
            picture = terminal.shows("budget used", "last errors", "HTTP 429")

    host = next(line for line in picture if line.startswith("binance "))
    assert re.search(r" 10% +for [45]\.\d m ", host)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param("q", 0, id="q"),
        pytest.param("\x03", 130, id="Ctrl-C"),
        pytest.param("\x04", 0, id="Ctrl-D"),
    ],
)
def test_leaving_restores_the_terminal(
    key: str, code: int, environ: dict[str, str], place: Path, held: None
) -> None:
    with Terminal(*WATCH, cwd=place, environ=environ) as terminal:
        terminal.shows("binance/BTCUSDT/1h")
        during = terminal.modes()
        terminal.press(key)

        assert terminal.wait() == code
        assert terminal.modes() == terminal.modes_before != during
    assert terminal.said.count(ENTERED) == terminal.said.count(LEFT) == 1
    assert terminal.said.rindex(LEFT) > terminal.said.rindex("binance/BTCUSDT/1h")
    assert terminal.said.rindex(CURSOR_SHOWN) > terminal.said.rindex(CURSOR_HIDDEN)
    assert "Traceback" not in terminal.said


def test_sigterm_restores_the_terminal_too(
    environ: dict[str, str], place: Path, held: None
) -> None:
    with Terminal(*WATCH, "--every", "1h", cwd=place, environ=environ) as terminal:
        terminal.shows("every 3600 s")
        terminal.process.terminate()

        assert terminal.wait() == 143
        assert terminal.modes() == terminal.modes_before
    assert terminal.said.rindex(LEFT) > terminal.said.rindex(ENTERED)


def test_an_error_restores_the_terminal_and_is_told_on_it(
    environ: dict[str, str], place: Path
) -> None:
    with Terminal(*WATCH, cwd=place, environ=environ) as terminal:
        terminal.shows("waiting for it")
        (place / "histq.db").write_bytes(b"no database" * 1000)

        assert terminal.wait() == 5
        assert terminal.modes() == terminal.modes_before
    assert terminal.said.rindex("histq: ") > terminal.said.rindex(LEFT)


def test_another_key_changes_nothing(environ: dict[str, str], place: Path, held: None) -> None:
    with Terminal(*WATCH, cwd=place, environ=environ) as terminal:
        terminal.shows("binance/BTCUSDT/1h")
        pictures = len(terminal.said)
        terminal.press("x\x1b[A")
        terminal.until(lambda _: len(terminal.said) > 2 * pictures)

        assert terminal.process.poll() is None


def whole(lines: int, said: str) -> Callable[[str], bool]:
    """Whether a picture of so many lines is drawn to its end, and says that."""
    return lambda picture: (
        picture.count("\n") == lines - 1 and "q leaves" in picture and said in picture
    )


def test_the_picture_fits_and_follows_the_size_at_once(
    environ: dict[str, str], place: Path, histq: Histq
) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        histq("sync", "-s", "binance", "--from", "2023-01-01", "--to", "2023-01-02", **settings)

    with Terminal(*WATCH, "--every", "1h", cwd=place, environ=environ, lines=14) as terminal:
        small = terminal.until(whole(14, "and 10 more"))
        terminal.resize(120, 50)
        large = terminal.until(whole(50, "binance/XRPUSDT/1h"))
        terminal.resize(40, 10)
        tiny = terminal.until(whole(10, ""))

    assert (len(small), len(large), len(tiny)) == (14, 50, 10)
    assert max(map(len, small)) <= 80
    assert max(map(len, tiny)) <= 40
    assert "more" not in "".join(large)
    assert sum(line.startswith("binance/") for line in large) == 13


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(
    environ: dict[str, str], place: Path, held: None
) -> None:
    with Terminal(*WATCH, cwd=place, environ=environ) as terminal:
        terminal.shows("binance/BTCUSDT/1h")
        terminal.press("\x1a")
        terminal.wait_until_stopped()
        said, modes = terminal.said, terminal.modes()
        terminal.go_on()
        terminal.until(lambda _: terminal.said.count(ENTERED) == 2)
        terminal.shows("binance/BTCUSDT/1h")
        terminal.press("q")

        assert terminal.wait() == 0
        assert modes == terminal.modes() == terminal.modes_before
    assert (said.count(ENTERED), said.count(LEFT)) == (1, 1)


def test_a_database_that_is_written_to_is_not_held_open(
    environ: dict[str, str], place: Path, histq: Histq, held: None
) -> None:
    with Terminal(*WATCH, "--every", "1h", cwd=place, environ=environ) as terminal:
        terminal.shows("binance/BTCUSDT/1h")
        opened = Path(f"/proc/{terminal.process.pid}/fd")
        if not opened.is_dir():
            pytest.skip("only Linux tells which files a process has open")
        files = {link.resolve().name for link in opened.iterdir() if link.exists()}

    assert not {name for name in files if name.startswith("histq.db")}


def test_without_a_terminal_it_prints_a_snapshot_every_time(
    environ: dict[str, str], place: Path, held: None
) -> None:
    process = start(environ, place, *WATCH)
    assert process.stdout is not None
    lines: list[str] = []
    while sum("binance/BTCUSDT/1h" in line for line in lines) < 2:
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, told = process.communicate(timeout=30)

    assert (process.returncode, told) == (130, "")
    assert "\x1b" not in "".join(lines) + rest
    assert sum(line.startswith("queue 0 points") for line in lines) == 2


def test_without_a_terminal_json_is_a_document_a_line(
    environ: dict[str, str], place: Path, histq: Histq, held: None
) -> None:
    process = start(
        environ, place, *WATCH, "--json", HISTQ_ENVIRONMENT="preview", HISTQ_DB="histq.db"
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    with Loopback(hours) as server:
        until = (*ONE_DAY[:-1], "2023-01-03")
        histq("sync", *until, **source_at("binance", server.url))
    later = first
    while later["series"][0]["points"] < 48:
        later = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert (first["schema"], first["environment"]) == (1, "preview")
    assert first["series"][0]["points"] == 24
    assert first["series"][0]["stored_per_s"] is None
    assert later["series"][0]["stored_per_s"] > 0
    assert later["series"][0]["reached"] == 1_672_704_000_000  # 2023-01-03
    assert [batch["inserted"] for batch in later["batches"]] == [24, 24]


def test_a_reader_that_has_had_enough_ends_it(
    environ: dict[str, str], place: Path, held: None
) -> None:
    process = start(environ, place, *WATCH, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(30) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_without_a_terminal_a_missing_database_is_not_waited_for(
    form: tuple[str, ...], histq: Histq
) -> None:
    ended = histq(*WATCH, *form)

    assert (ended.code, ended.out) == (10, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param("--every 2s", "--every goes with --watch", id="alone"),
        pytest.param("--watch --every soon", "no duration", id="no duration"),
        pytest.param("--watch --every 2d", "no duration", id="days"),
        pytest.param("--watch --every 1ms", "at least 0.1s", id="too short"),
        pytest.param("--watch --every 0", "at least 0.1s", id="none"),
    ],
)
def test_a_wrong_interval_is_refused(arguments: str, told: str, histq: Histq) -> None:
    ended = histq("stats", *arguments.split())

    assert ended.code == 2
    assert told in ended.err
