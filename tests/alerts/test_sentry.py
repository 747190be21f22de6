"""Unexpected errors reach Sentry, and nothing else of ours does."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from histq.alerts import sentry
from histq.config import load
from histq.errors import Config
from tests.alerts.receivers import Posted, WebReceiver

ROOT = Path(__file__).parent.parent.parent
KEY = "k3y-of-a-provider"
PUBLIC = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def hub() -> Iterator[WebReceiver]:
    """Takes envelopes, as Sentry does."""
    with WebReceiver(lambda _: 200) as receiver:
        yield receiver


def run(code: str, hub: WebReceiver, environ: dict[str, str], **extra: str) -> str:
    """The code in a process of its own, where sentry.dsn is set; what it said on stderr."""
    dsn = hub.url.replace("//", f"//{PUBLIC}@") + "/1"
    done = subprocess.run(
        [sys.executable, "-c", code, "--ping-url", "https://example.com/secret-argument"],
        env={**environ, "PYTHONPATH": str(ROOT), "HISTQ_SENTRY__DSN": dsn, **extra},
        cwd=environ["HOME"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def events(posted: list[Posted]) -> list[dict[str, Any]]:
    """An envelope is lines of JSON: its header, then a header and a payload an item."""
    found = []
    for one in posted:
        packed = one.headers.get("content-encoding") == "gzip"
        lines = (gzip.decompress(one.body) if packed else one.body).splitlines()
        found += [
            json.loads(payload)
            for header, payload in zip(lines[1::2], lines[2::2], strict=False)
            if json.loads(header)["type"] == "event"
        ]
    return found


REPORT = """
import logging
from histq.alerts import sentry
from histq.config import load
settings = load().settings
sentry.start(settings)
logging.getLogger("histq").error("a line of the log")
try:
    held_in_a_variable = settings.sources["cryptocompare"].key
    raise RuntimeError(f"nobody expected {held_in_a_variable}")
except RuntimeError as error:
    sentry.report(error)
"""


def test_an_unexpected_error_is_told_with_its_lines_and_without_secrets(
    hub: WebReceiver, environ: dict[str, str]
) -> None:
    said = run(
        REPORT,
        hub,
        environ,
        HISTQ_SOURCES__CRYPTOCOMPARE__API_KEY=KEY,
        HISTQ_ENVIRONMENT="production",
    )

    (event,) = events(hub.inbox.all)
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("RuntimeError", "nobody expected (hidden)")
    assert error["stacktrace"]["frames"][-1]["filename"] == "<string>"
    assert event["environment"] == "production"
    assert event["release"].startswith("histq@")
    everything = json.dumps(event)
    for hidden in (KEY, "secret-argument", '"vars"', "a line of the log"):
        assert hidden not in everything
    assert KEY not in said


def test_an_error_of_a_command_that_nobody_expected_is_told(
    hub: WebReceiver, environ: dict[str, str]
) -> None:
    run(BREAK.format(error="RuntimeError", exit_code=1), hub, environ)

    (event,) = events(hub.inbox.all)
    assert event["exception"]["values"][-1]["value"] == "it broke"


def test_an_error_that_was_foreseen_is_not_told(hub: WebReceiver, environ: dict[str, str]) -> None:
    run(BREAK.format(error="Usage", exit_code=2), hub, environ)

    assert hub.inbox.all == []


# The session is real, and so is main(); what breaks is a command added for the purpose.
BREAK = """
import sys
from histq.cli import app, main
from histq.errors import Usage

@app.command("break")
def broken() -> None:
    from histq.cli.session import Session
    Session("break")
    raise {error}("it broke")

sys.argv = ["histq", "break"]
try:
    main()
except SystemExit as ended:
    assert ended.code == {exit_code}
"""


def test_a_hub_that_does_not_answer_holds_nobody_up(environ: dict[str, str]) -> None:
    with WebReceiver() as gone:
        pass

    said = run(BREAK.format(error="RuntimeError", exit_code=1), gone, environ)

    assert said == "histq: unexpected RuntimeError: it broke; -v shows where\n"


def test_without_a_dsn_nothing_is_loaded(environ: dict[str, str]) -> None:
    code = "import sys; from histq.cli.session import Session; Session('x');"
    done = subprocess.run(
        [sys.executable, "-c", f"{code} print('sentry_sdk' in sys.modules)"],
        env={**environ, "PYTHONPATH": str(ROOT)},
        cwd=environ["HOME"],
        capture_output=True,
        text=True,
    )

    assert done.stdout == "False\n"


def test_what_is_no_dsn_is_told_without_it() -> None:
    settings = load({"sentry": {"dsn": f"http://{KEY}"}}, plain=True).settings

    with pytest.raises(Config) as told:
        sentry.start(settings)

    assert str(told.value) == "sentry.dsn is no DSN; copy it from the project's client keys"


def test_without_sentry_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load({"sentry": {"dsn": "http://key@127.0.0.1/1"}}, plain=True).settings
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)  # as where it is not installed

    with pytest.raises(Config) as told:
        sentry.start(settings)

    assert str(told.value) == "sentry.dsn needs sentry-sdk: pip install 'histq[sentry]'"
