"""histq alerts, and --ping-url, as processes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from histq.config import load
from histq.pipeline.backends import Opener
from histq.stores.alerts import Alert, Severity, Turn
from tests.alerts.receivers import MailReceiver, WebReceiver
from tests.conftest import Histq, source_at
from tests.loopback import Loopback, Says

NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
SECRET = "s3cret-that-nobody-may-see"


@pytest.fixture
def hook() -> Iterator[WebReceiver]:
    with WebReceiver() as receiver:
        yield receiver


def told_by(hook: WebReceiver) -> Mapping[str, str]:
    return {"HISTQ_ALERTS__WEBHOOK_URL": f"{hook.url}/{SECRET}"}


def test_a_test_goes_to_every_channel(histq: Histq, hook: WebReceiver) -> None:
    with MailReceiver() as post:
        ended = histq(
            "alerts",
            "test",
            **told_by(hook),
            HISTQ_ALERTS__SMTP_URL=f"smtp://{post.place}",
            HISTQ_ALERTS__SMTP_STARTTLS="false",
            HISTQ_ALERTS__MAIL_FROM="histq@example.com",
            HISTQ_ALERTS__MAIL_TO='["ops@example.com"]',
            HISTQ_ENVIRONMENT="production",
        )

    assert (ended.code, ended.err) == (0, "")
    first, second = ended.out.splitlines()
    assert first.startswith(f"webhook ({hook.url.removeprefix('http://')}): taken in ")
    assert second.startswith(f"mail (ops@example.com by {post.place}): taken in ")
    (posted,), (mailed,) = hook.inbox.all, post.inbox.all
    body = json.loads(posted.body)
    assert (body["state"], body["environment"]) == ("test", "production")
    assert mailed.message["subject"].startswith("[histq] test: test test (")


def test_a_channel_that_does_not_take_a_test_is_named(histq: Histq, hook: WebReceiver) -> None:
    hook.answer_with(lambda _: 404)

    ended = histq("alerts", "test", "--json", **told_by(hook))

    (found,) = ended.document["channels"]
    place = hook.url.removeprefix("http://")
    assert (ended.code, ended.err) == (3, "")
    assert (found["channel"], found["place"]) == ("webhook", place)
    assert found["error"] == f"webhook {place}: HTTP 404"
    assert SECRET not in ended.out


def test_without_channels_a_test_says_what_to_set(histq: Histq) -> None:
    ended = histq("alerts", "test")

    assert (ended.code, ended.out) == (5, "")
    assert ended.err == (
        "histq: nobody is to be told; set webhook_url, smtp_url or apprise_urls in [alerts] of"
        " histq.toml\n"
    )


def test_the_list_shows_what_is_open_and_what_was(histq: Histq, place: Path) -> None:
    settings = load({"database": {"path": str(place / "histq.db")}}, plain=True).settings
    with Opener(settings, "test:0:0:0:0").open(create=True) as backends:
        log = backends.store.alerts
        over = Alert(0, "failures", "batches", Severity.CRITICAL, "50 %", NOON, NOON, NOON, NOON)
        log.keep(over)
        deep = Alert(0, "queue_deep", "queue", Severity.WARNING, "12,345", NOON + 1, NOON + 60_001)
        log.ask(log.keep(deep), Turn.START, "12,345", ["webhook"])
        log.keep(Alert(0, "disk_low", "disk", Severity.CRITICAL, "not started yet", NOON))

    table = histq("alerts", "list").out.splitlines()
    found = histq("alerts", "list", "--json").document

    assert [line.split() for line in table] == [
        ["since", "until", "severity", "name", "subject", "not", "told", "what"],
        [
            *("2023-11-15T12:00Z", "open", "warning", "queue_deep", "queue", "webhook", "12,345"),
        ],
        [
            *("2023-11-15T12:00Z", "2023-11-15T12:00Z", "critical", "failures", "batches", "-"),
            *("50", "%"),
        ],
    ]
    assert found["open"] == 1
    assert found["alerts"][0] == {
        "name": "queue_deep",
        "subject": "queue",
        "severity": "warning",
        "since": NOON + 1,
        "started_at": NOON + 60_001,
        "ended_at": None,
        "text": "12,345",
        "not_told": ["webhook"],
    }


def test_a_list_of_nothing_says_so_and_none_is_made(histq: Histq, place: Path) -> None:
    assert histq("alerts", "list").code == 10
    assert not (place / "histq.db").exists()

    histq("init")

    assert histq("alerts", "list").out == "No alerts.\n"


def test_secrets_of_receivers_show_nowhere(histq: Histq, hook: WebReceiver) -> None:
    secrets = {
        "HISTQ_ALERTS__WEBHOOK_URL": f"{hook.url}/{SECRET}",
        "HISTQ_ALERTS__WEBHOOK_SECRET": SECRET,
        "HISTQ_ALERTS__SMTP_PASSWORD": SECRET,
        "HISTQ_ALERTS__APPRISE_URLS": json.dumps([f"json://{SECRET}", f"slack://{SECRET}"]),
        "HISTQ_SENTRY__DSN": f"http://{SECRET}@127.0.0.1:9/1",
    }

    ended = histq("config", "show", **secrets)

    assert (ended.code, SECRET in ended.out + ended.err) == (0, False)
    assert 'alerts.webhook_url = "hidden"  (environment)' in ended.out
    assert 'alerts.apprise_urls = ["hidden", "hidden"]  (environment)' in ended.out


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("WEBHOOK_URL", f"hooks.example.com/{SECRET}", "no URL"),
        ("WEBHOOK_URL", f"ftp://hooks.example.com/{SECRET}", "no URL"),
        ("SMTP_URL", "mail.example.com", "no URL"),
        ("SMTP_URL", f"smtp://me:{SECRET}@mail.example.com", "host and port alone"),
        ("SMTP_URL", "smtp://mail.example.com", "needs mail_from and mail_to"),
        ("MAIL_TO", '["nobody"]', "no address"),
        ("MAIL_FROM", "me@example.com\nBcc: all@example.com", "no address"),
        ("APPRISE_URLS", SECRET, "list"),
    ],
)
def test_a_wrong_receiver_is_told_in_one_line_without_secrets(
    histq: Histq, variable: str, value: str, said: str
) -> None:
    ended = histq("alerts", "test", **{f"HISTQ_ALERTS__{variable}": value})

    assert (ended.code, ended.out) == (5, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert SECRET not in ended.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('webhook_url = "http://hooks.example.com/x"', "alerts.webhook_url: it is http"),
        (
            'smtp_url = "smtp://mail.example.com"\nsmtp_starttls = false\nsmtp_user = "me"\n'
            'mail_from = "me@example.com"\nmail_to = ["me@example.com"]',
            "alerts: smtp_starttls is false",
        ),
    ],
    ids=["webhook", "mail"],
)
def test_secrets_in_the_clear_are_a_problem_of_the_settings(
    histq: Histq, place: Path, settings: str, said: str
) -> None:
    (place / "histq.toml").write_text(f"[alerts]\n{settings}\n")

    ended = histq("config", "check")

    assert ended.code == 3
    assert [line for line in ended.out.splitlines() if line.startswith(said)] != []


def fetched(histq: Histq, *arguments: str, source: str = "", **extra: str) -> tuple[int, str]:
    ended = histq(
        *("fetch", "BTCUSDT", "-s", "binance", "-i", "1h", "--from", "2h", *arguments),
        **source_at("binance", source),
        **extra,
    )
    return ended.code, ended.err


def paths(monitor: WebReceiver) -> list[str]:
    return [one.path for one in monitor.inbox.all]


def test_a_command_that_succeeds_is_told_to_the_monitor(histq: Histq, hook: WebReceiver) -> None:
    histq("init")

    ended = histq("consume", "--ping-url", f"{hook.url}/ping/abc")

    assert (ended.code, ended.err) == (0, "")
    assert paths(hook) == ["/ping/abc/start", "/ping/abc"]
    assert hook.inbox.all[1].body == b"histq consume ended with exit code 0"


@pytest.mark.parametrize("command", ["fetch", "sync", "repair"])
def test_a_command_that_fails_is_told_with_its_exit_code(
    histq: Histq, hook: WebReceiver, command: str
) -> None:
    ended = histq(command, "BTCUSDT", "-i", "7h", HISTQ_PING_URL=f"{hook.url}/abc")

    assert ended.code in (2, 10)
    assert paths(hook) == ["/abc/start", f"/abc/{ended.code}"]
    assert ended.err.removeprefix("histq: ").strip().encode() in hook.inbox.all[1].body


def test_what_is_incomplete_is_told_with_its_exit_code(histq: Histq, hook: WebReceiver) -> None:
    with Loopback(lambda _: Says(b"{}", 500)) as broken:
        code, _ = fetched(histq, source=broken.url, HISTQ_PING_URL=f"{hook.url}/abc")

    assert code == 3
    assert paths(hook) == ["/abc/start", "/abc/3"]


def test_settings_that_are_wrong_are_told_too(histq: Histq, hook: WebReceiver, place: Path) -> None:
    (place / "histq.toml").write_text("[queue]\nlease_s = 0\n")

    ended = histq("consume", HISTQ_PING_URL=f"{hook.url}/abc")

    assert ended.code == 5
    assert paths(hook) == ["/abc/start", "/abc/5"]


def test_a_dry_run_is_not_told(histq: Histq, hook: WebReceiver) -> None:
    code, _ = fetched(histq, "--dry-run", source=hook.url, HISTQ_PING_URL=hook.url)

    assert code == 0
    assert hook.inbox.all == []


def test_a_monitor_that_fails_is_one_line_and_no_exit_code(histq: Histq, hook: WebReceiver) -> None:
    histq("init")
    hook.answer_with(lambda _: 500)

    ended = histq("consume", "--ping-url", f"{hook.url}/{SECRET}")

    assert ended.code == 0
    assert ended.err.count("\n") == 1
    assert "the cron monitor at 127.0.0.1 was not told: HTTP 500" in ended.err
    assert SECRET not in ended.err


def test_a_monitor_that_is_no_url_is_told_without_it(histq: Histq) -> None:
    ended = histq("consume", "--ping-url", f"hc-ping.com/{SECRET}")

    assert ended.code == 2
    assert "--ping-url is no URL such as https://hc-ping.com/your-uuid" in ended.err
    assert SECRET not in ended.err


def test_every_job_can_be_watched(histq: Histq) -> None:
    for command in ("fetch", "consume", "sync", "repair"):
        assert "--ping-url" in histq(command, "--help").out
