"""Lines of the log: their fields, their text, and what never stands in them."""

import ast
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import histq
from histq.logs import About, JsonLines, Prose, TextLines

CREATED_S = 1_700_049_600.25  # 2023-11-15T12:00:00.250Z
KEY = "k3y-that-nobody-may-see"
ABOUT = About("production", "consume", "host:boot:7:8:abcd", (KEY, "short"))


def templates() -> Iterator[tuple[str, str]]:
    """Every line with pairs that histq has, by module."""
    package = Path(histq.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "logger"
            ):
                texts = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
                yield from ((path.name, text) for text in texts if "=%" in text)


def record(text: object, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord("histq.pipeline", level, __file__, 1, text, args, None)
    made.created = CREATED_S
    return made


def json_line(made: logging.LogRecord) -> dict[str, Any]:
    text = JsonLines(ABOUT).format(made)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_json_line_says_when_what_and_of_which_command() -> None:
    found = json_line(record("ready", level=logging.WARNING))

    assert found == {
        "ts": "2023-11-15T12:00:00.250Z",
        "level": "warning",
        "event": "ready",
        "logger": "histq.pipeline",
        "environment": "production",
        "command": "consume",
        "run_id": "host:boot:7:8:abcd",
    }


def test_pairs_are_fields_of_their_own_type_and_the_rest_is_the_event() -> None:
    text = "batch queue=%s points=%d rate=%.2f ms=%.0f error=%s done"

    found = json_line(record(text, "sqlite", 7199, 0.98765, 35.6, None))

    assert found["event"] == "batch done"
    assert (found["queue"], found["points"], found["rate"]) == ("sqlite", 7199, 0.99)
    assert (found["ms"], found["error"]) == (36, None)


def test_a_value_that_is_no_number_is_a_field_all_the_same() -> None:
    assert json_line(record("used=%d", "many"))["used"] == "many"


def test_what_is_no_pair_stays_in_the_event() -> None:
    found = json_line(record("100%% of %s waited=%s", "BTC", True))

    assert (found["event"], found["waited"]) == ("100% of BTC", True)


@pytest.mark.parametrize(
    ("text", "args", "event"),
    [
        pytest.param("used=%d percent %s", (3,), "used=%d percent %s (3,)", id="too few"),
        pytest.param("used=%d", ("many",), "used", id="no number"),
        pytest.param("used=%d left=%d", (3, 4), "used", id="pairs alone: the first names it"),
        pytest.param("a=%s", (1, 2), "a=%s (1, 2)", id="too many"),
        pytest.param("50 % a=b", (), "50 % a=b", id="none"),
        pytest.param("%(a)s b=%(b)s", ({"a": 1, "b": 2},), "1 b=2", id="by name"),
        pytest.param(ValueError("x=%s"), (), "x=%s", id="no text"),
    ],
)
def test_a_line_whose_arguments_do_not_fit_is_told_all_the_same(
    text: object, args: tuple[object, ...], event: str
) -> None:
    assert json_line(record(text, *args))["event"] == event


@pytest.mark.parametrize(
    ("module", "text"),
    [pytest.param(*found, id=f"{found[0]}: {found[1]}") for found in sorted(templates())],
)
def test_what_happened_is_told_apart_from_what_it_happened_to(module: str, text: str) -> None:
    """An event that holds a name, a number or an error is another one every time."""
    event = json_line(record(text, *range(text.count("=%"))))["event"]

    assert re.fullmatch(r"[a-z][a-z ,]+", event), module


def test_a_pair_cannot_take_the_place_of_what_every_line_says() -> None:
    found = json_line(record("changed environment=%s level=%s", "preview", 9))

    assert (found["environment"], found["level"]) == ("production", "info")
    assert (found["environment_"], found["level_"]) == ("preview", 9)


def test_extra_attributes_are_fields() -> None:
    made = record("it failed")
    made.exit_code = 3

    assert json_line(made)["exit_code"] == 3


def test_an_exception_is_one_field() -> None:
    made = record("it failed")
    try:
        raise ValueError(f"with {KEY}")
    except ValueError:
        made.exc_info = sys.exc_info()

    trace = json_line(made)["exc_info"]

    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("ValueError: with (hidden)")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(float("nan"), "nan", id="no number"),
        pytest.param(float("inf"), "inf", id="without end"),
        pytest.param([1, "a"], "[1, 'a']", id="a list"),
        pytest.param("a\ud800b", "a\\ud800b", id="half a character"),
        pytest.param("two\nlines", "two\nlines", id="lines"),
        pytest.param(2**70, 2**70, id="a large number"),
    ],
)
def test_every_value_can_be_said_in_json(value: object, shown: object) -> None:
    assert json_line(record("found value=%s", value))["value"] == shown


def test_a_field_is_of_bounded_length() -> None:
    found = json_line(record("found body=%s", "x" * 100_000))

    assert found["body"] == f"{'x' * 16_000}... (100000 characters)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"key {KEY}!", "key (hidden)!", id="key"),
        pytest.param("a short word", "a short word", id="too short to be a key"),
        pytest.param(
            "GET https://api.example.com/v3/klines?key=1&a=b 401",
            "GET https://api.example.com/v3/klines?(hidden) 401",
            id="query",
        ),
        pytest.param(
            "redis://me:pass@10.0.0.1:6379/0", "redis://(hidden)@10.0.0.1:6379/0", id="password"
        ),
        pytest.param(
            "https://hooks.example.com/services/T0AB/B0CD/aB3dE5fG7hI9jK1lM3nO5pQ7",
            "https://hooks.example.com/services/T0AB/B0CD/(hidden)",
            id="webhook",
        ),
        pytest.param(
            "https://api.example.org/bot123456:AAH-x_y0123456789abcdef/sendMessage",
            "https://api.example.org/(hidden)/sendMessage",
            id="bot",
        ),
        pytest.param(
            "set base_url to https://data-api.binance.vision (market data)",
            "set base_url to https://data-api.binance.vision (market data)",
            id="no secret",
        ),
        pytest.param(
            "sqlite:///data/prices.db", "sqlite:///data/prices.db", id="a file is no secret"
        ),
    ],
)
def test_no_line_shows_a_secret(text: str, shown: str) -> None:
    fields = json_line(record("said text=%s", text))
    event = json_line(record(text))
    person = TextLines(ABOUT).format(record("said %s", text))

    assert (fields["text"], event["event"]) == (shown, shown)
    assert person == f"INFO production histq.pipeline said {shown}"


def test_a_value_that_says_a_secret_only_when_asked_is_hidden_too() -> None:
    class Talkative:
        def __str__(self) -> str:
            return f"Bearer {KEY}"

    assert json_line(record("said header=%s", Talkative()))["header"] == "Bearer (hidden)"


def test_a_line_for_people_keeps_its_pairs() -> None:
    text = TextLines(About("preview")).format(record("batch points=%d ms=%.1f", 3, 1.26))

    assert text == "INFO preview histq.pipeline batch points=3 ms=1.3"


def test_what_is_printed_becomes_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    prose = Prose(logging.getLogger("histq.cli"))

    prose.write("wrote 3 rows\n\nleft out ")
    prose.write("1 of 100 %")
    assert [one.getMessage() for one in caplog.records] == ["wrote 3 rows"]

    prose.write("\n")
    assert [one.getMessage() for one in caplog.records] == ["wrote 3 rows", "left out 1 of 100 %"]
