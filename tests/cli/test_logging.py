"""--log-format json: every line of stderr is one object, whatever happens, and holds no secret."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ended, Histq, source_at
from tests.hourly import hours
from tests.loopback import Asked, Loopback, Says

FETCH = ("fetch", "BTC", "-s", "binance", "--from", "2024-01-01", "--to", "2024-01-02")
JSON = ("--log-format", "json")
KEY = "k3y-that-nobody-may-see"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(hours) as running:
        yield running


def lines(ended: Ended) -> list[dict[str, Any]]:
    """Every line of stderr; each has to be an object."""
    found: list[dict[str, Any]] = [json.loads(line) for line in ended.err.splitlines()]
    return found


def events(ended: Ended) -> list[str]:
    return [line["event"] for line in lines(ended)]


def only(ended: Ended, event: str) -> dict[str, Any]:
    (found,) = (line for line in lines(ended) if line["event"] == event)
    return found


def test_a_fetch_logs_a_line_a_series_and_a_source(server: Loopback, histq: Histq) -> None:
    ended = histq(*FETCH, *JSON, **source_at("binance", server.url))

    series, source = only(ended, "series"), only(ended, "source")
    assert events(ended) == ["series", "source", "ended"]
    assert (series["series"], series["points"], series["failed_windows"]) == (
        *("binance/BTCUSDT/1h", 24, 0),
    )
    assert (source["source"], source["requests"], source["points"]) == ("binance", 1, 24)
    assert (only(ended, "ended")["exit_code"], ended.code) == (0, 0)
    assert "queued 24 points" in ended.out


def test_a_page_is_a_line_at_debug(server: Loopback, histq: Histq) -> None:
    ended = histq(*FETCH, "-v", *JSON, **source_at("binance", server.url))

    page = only(ended, "page")
    assert (page["level"], page["series"], page["points"]) == ("debug", "binance/BTCUSDT/1h", 24)
    assert (page["start"], page["end"]) == ("2024-01-01", "2024-01-02")


def test_a_consume_logs_a_line_a_batch(server: Loopback, histq: Histq) -> None:
    histq(*FETCH, **source_at("binance", server.url))

    ended = histq("consume", "--json", *JSON)

    batch = only(ended, "batch")
    assert (batch["level"], batch["queue"]) == ("info", "sqlite")
    assert (batch["messages"], batch["points"], batch["inserted"]) == (1, 24, 24)
    assert (batch["duplicates"], batch["revised"], batch["failed"]) == (0, 0, 0)
    assert (batch["success_rate"], batch["error"]) == (1, None)
    assert batch["ms"] > 0
    assert ended.document["inserted"] == 24


def test_a_bad_candle_lowers_the_success_rate_of_its_batch(histq: Histq) -> None:
    def answer(asked: Asked) -> Says:
        rows = json.loads(hours(asked).body)
        for row in rows[:6]:
            row[4] = "-1"
        return Says(json.dumps(rows).encode())

    with Loopback(answer) as server:
        histq(*FETCH, **source_at("binance", server.url))

    batch = only(histq("consume", *JSON), "batch")

    assert (batch["points"], batch["inserted"], batch["failed"]) == (24, 18, 6)
    assert batch["success_rate"] == 0.75


def test_all_lines_of_a_command_have_its_run_id_and_the_next_command_another(
    server: Loopback, histq: Histq
) -> None:
    first = histq(*FETCH, *JSON, **source_at("binance", server.url))
    second = histq("consume", *JSON)

    (one,) = {line["run_id"] for line in lines(first)}
    (other,) = {line["run_id"] for line in lines(second)}
    assert one != other
    assert {line["command"] for line in lines(first)} == {"fetch"}
    assert {line["environment"] for line in lines(first)} == {"development"}


def test_what_goes_wrong_on_the_way_is_a_line_of_its_level(histq: Histq) -> None:
    with Loopback(lambda asked: Says(b"", 500)) as server:
        settings = source_at("binance", server.url, max_wait_s=1.6)
        ended = histq(*FETCH, *JSON, **settings)

    levels = {line["event"]: line["level"] for line in lines(ended)}
    assert ended.code == 3
    assert levels["retrying"] == "warning"
    assert levels["failed"] == "error"
    assert only(ended, "failed")["source"] == "binance"
    assert "HTTP 500" in only(ended, "failed")["error"]
    assert only(ended, "series")["failed_windows"] == 1


COMMANDS = [
    *("stats", "stats --json", "coverage", "gaps", "compare", "revisions list", "export"),
    *("repair", "dlq list", "dlq show 1", "dlq retry --all", "config show", "config path"),
    *("config check", "sources", "symbols list", "init --force", "consume", "import nothing.csv"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_keeps_stderr_to_json(command: str, histq: Histq) -> None:
    histq("init")

    without = histq(*command.split())
    before = histq(*JSON, *command.split())
    after = histq(*command.split(), "--log-format=json")

    assert lines(before)
    assert before.code == after.code == without.code
    assert events(before)[-1] == events(after)[-1]


def test_the_variable_and_the_settings_ask_for_json_too(histq: Histq, place: Path) -> None:
    by_variable = histq("stats", HISTQ_LOG_FORMAT="json")
    (place / "histq.toml").write_text('[logs]\nformat = "json"\n')
    by_file = histq("stats")
    by_flag = histq("stats", "--log-format", "text")

    assert only(by_variable, lines(by_variable)[0]["event"])["exit_code"] == 10
    assert lines(by_file)[0]["exit_code"] == 10
    assert by_flag.err.startswith("histq: no database at ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param("fetch --nope", 2, id="option"),
        pytest.param("nope", 2, id="command"),
        pytest.param("dlq show x", 2, id="value"),
        pytest.param("fetch BTC --from never", 2, id="date"),
        pytest.param("stats", 10, id="no database"),
        pytest.param("stats -c nope.toml", 5, id="settings"),
        pytest.param("stats --db /", 5, id="no file"),
    ],
)
@pytest.mark.parametrize("verbose", [False, True], ids=["", "verbose"])
def test_an_error_is_one_line_with_its_exit_code(
    arguments: str, code: int, verbose: bool, histq: Histq
) -> None:
    ended = histq(*arguments.split(), *(["-v"] if verbose else []), *JSON)

    (line,) = lines(ended)
    assert (ended.code, ended.out) == (code, "")
    assert (line["level"], line["exit_code"]) == ("error", code)
    assert ("exc_info" in line) is verbose


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        pytest.param("fetch --nope", "fetch", id="option"),
        pytest.param("dlq show x", "dlq show", id="of a group"),
        pytest.param("dlq nope", "dlq", id="group alone"),
        pytest.param("nope", None, id="no command"),
        pytest.param("compare --tolerance 5", "compare", id="value"),
        pytest.param("stats -c nope.toml", "stats", id="settings"),
    ],
)
def test_what_is_wrong_before_settings_are_read_says_whose_it_is(
    arguments: str, command: str | None, histq: Histq
) -> None:
    ended = histq(*arguments.split(), *JSON, HISTQ_ENVIRONMENT="preview")

    (line,) = lines(ended)
    assert (line["environment"], line["command"]) == ("preview", command)
    assert line["run_id"].count(":") == 4


@pytest.mark.parametrize("flag", ["-v", "-vv", "-qv", "--verbose"])
def test_who_asks_for_it_in_whatever_way_sees_where_it_went_wrong(flag: str, histq: Histq) -> None:
    ended = histq("stats", flag)

    assert ended.code == 10
    assert ended.err.startswith("Traceback")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--log-format", "xml"), "'xml'"), (("--log-format",), "''"), (("--log-format=",), "''")],
    ids=["another", "none", "empty"],
)
def test_a_form_that_is_none_is_refused(
    arguments: tuple[str, ...], said: str, histq: Histq
) -> None:
    ended = histq("stats", *arguments)

    assert ended.code == 2
    assert ended.err == (
        f"histq: Invalid value for '--log-format': {said} is not one of 'text', 'json';"
        " histq --help shows what there is\n"
    )


def test_a_command_that_is_none_is_a_sentence_without_a_stop_in_it(histq: Histq) -> None:
    ended = histq("nope")

    assert ended.err == "histq: No such command 'nope'; histq --help shows what there is\n"


def test_what_follows_two_dashes_is_no_option(histq: Histq) -> None:
    ended = histq("fetch", "--", "--log-format", "json")

    assert (ended.code, ended.err[:7]) == (2, "histq: ")


BROKEN = """
import sys, threading, warnings
from histq.cli import app, main
from histq.cli.session import Session

@app.command()
def broken(how: str):
    session = Session("broken")
    if how == "warning":
        warnings.warn("an old habit")
    if how == "thread":
        thread = threading.Thread(target=lambda: [][1], name="careless")
        thread.start()
        thread.join()
    if how == "printed":
        session.err.print("[bold]two\\nlines")
    if how == "raised":
        raise RuntimeError("GET https://me:secret@api.example.com/?key=secret")

main()
"""


@pytest.fixture
def broken(environ: dict[str, str], place: Path) -> Histq:
    """Runs a command of the program that breaks in the way named."""

    def run(*arguments: str, **extra: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-W", "default", "-c", BROKEN, "broken", *arguments],
            cwd=place,
            env={**environ, **extra},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


def test_an_unexpected_error_is_one_line_with_its_traceback(broken: Histq) -> None:
    ended = broken("raised", *JSON)

    (line,) = lines(ended)
    assert (ended.code, line["exit_code"], line["command"]) == (1, 1, "broken")
    assert "unexpected RuntimeError" in line["event"]
    assert line["exc_info"].startswith("Traceback")
    assert "secret" not in ended.err


def test_an_unexpected_error_shows_no_secret_to_people_either(broken: Histq) -> None:
    ended = broken("raised")

    assert ended.code == 1
    assert "unexpected RuntimeError: GET https://(hidden)@api.example.com/?(hidden)" in ended.err
    assert "secret" not in ended.err


def test_a_thread_that_dies_is_one_line(broken: Histq) -> None:
    line, ended = lines(broken("thread", *JSON))

    assert (line["level"], line["thread"]) == ("error", "careless")
    assert line["exc_info"].endswith("IndexError: list index out of range")
    assert ended["event"] == "ended"


def test_a_warning_of_python_is_one_line(broken: Histq) -> None:
    line, _ = lines(broken("warning", *JSON))

    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "an old habit" in line["event"]


def test_what_is_printed_for_people_is_a_line_each(broken: Histq) -> None:
    assert events(broken("printed", *JSON, FORCE_COLOR="1")) == ["[bold]two", "lines", "ended"]


def test_a_key_that_the_user_or_a_provider_says_is_not_repeated(histq: Histq) -> None:
    def answer(asked: Asked) -> Says:
        return Says(json.dumps({"error": asked.headers["x-cg-demo-api-key"]}).encode(), 401)

    with Loopback(answer) as server:
        settings = source_at("coingecko", server.url, api_key=KEY)
        by_provider = histq("fetch", "BTC", "-s", "coingecko", "-v", *JSON, **settings)
        by_user = histq("fetch", f"{KEY}!", "-v", *JSON, **settings)
        in_text = histq("fetch", f"{KEY}!", "-v", **settings)

    assert by_provider.code == 5
    assert "(hidden)!" in lines(by_user)[-1]["event"]
    assert "(hidden)!" in in_text.err
    for ended in (by_provider, by_user, in_text):
        assert KEY not in ended.out + ended.err


@pytest.mark.parametrize("environment", ["preview", "production"])
def test_the_environment_stands_on_every_line_and_names_the_database(
    environment: str, server: Loopback, histq: Histq, place: Path
) -> None:
    settings = {**source_at("binance", server.url), "HISTQ_ENVIRONMENT": environment}

    fetched = histq(*FETCH, *JSON, **settings)
    consumed = histq("consume", "-v", **settings)
    stats = histq("stats", "--json", **settings)

    assert {line["environment"] for line in lines(fetched)} == {environment}
    assert f"INFO {environment} histq.pipeline.lines batch queue=sqlite" in consumed.err
    assert stats.document["environment"] == environment
    assert [path.name for path in place.glob("*.db")] == [f"histq-{environment}.db"]
