"""What each channel sends, when it counts as taken, and that no secret shows."""

import hashlib
import hmac
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from msgspec.structs import replace

from histq.alerts.channels import open_channels
from histq.alerts.notice import Channel, Notice, Undelivered
from histq.errors import Config
from histq.stores.alerts import Severity
from tests.alerts.receivers import MailReceiver, WebReceiver
from tests.alerts.samples import NOON, settings_at
from tests.loopback import Loopback, Says

SECRET = "s3cret-that-nobody-may-see"
NOTICE = Notice(
    id="7-1-start",
    environment="production",
    host="tower",
    name="disk_low",
    subject="disk",
    state="start",
    severity=Severity.CRITICAL,
    since=NOON,
    ended_at=None,
    text="0.5 GiB are free; make room",
)
MAIL = {"mail_from": "histq@example.com", "mail_to": ["ops@example.com", "you@example.com"]}

# One of apprise's plugins imports what Python 3.13 has no more, where it is still there.
loads_plugins = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def channel(tmp_path: Path, **alerts: Any) -> Channel:
    (found,) = open_channels(settings_at(tmp_path, **alerts).alerts, timeout_s=2)
    return found


def refusal(one: Channel) -> str:
    with pytest.raises(Undelivered) as told:
        one.send(NOTICE)
    return str(told.value)


def test_without_receivers_there_is_no_channel(tmp_path: Path) -> None:
    assert open_channels(settings_at(tmp_path).alerts) == []


def test_a_webhook_gets_one_json_object(tmp_path: Path) -> None:
    with WebReceiver() as hook:
        channel(tmp_path, webhook_url=f"{hook.url}/services/{SECRET}?room=ops").send(NOTICE)

    (posted,) = hook.inbox.all
    assert (posted.path, posted.query) == (f"/services/{SECRET}", {"room": "ops"})
    assert posted.headers["content-type"] == "application/json"
    assert "x-histq-signature" not in posted.headers
    assert json.loads(posted.body) == {
        "schema": 1,
        "id": "7-1-start",
        "environment": "production",
        "host": "tower",
        "name": "disk_low",
        "subject": "disk",
        "state": "start",
        "severity": "critical",
        "since": NOON,
        "ended_at": None,
        "text": "0.5 GiB are free; make room",
    }


def test_a_webhook_with_a_secret_is_signed(tmp_path: Path) -> None:
    with WebReceiver() as hook:
        channel(tmp_path, webhook_url=hook.url, webhook_secret=SECRET).send(NOTICE)

    (posted,) = hook.inbox.all
    digest = hmac.new(SECRET.encode(), posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["x-histq-signature"] == f"sha256={digest}"


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
def test_what_is_not_answered_with_success_is_not_taken(tmp_path: Path, status: int) -> None:
    with WebReceiver(lambda _: status) as hook:
        told = refusal(channel(tmp_path, webhook_url=f"{hook.url}/{SECRET}"))

    assert told == f"webhook {hook.url.removeprefix('http://')}: HTTP {status}"
    assert len(hook.inbox.all) == 1


def test_a_webhook_that_is_not_there_is_told_without_its_secret(tmp_path: Path) -> None:
    with WebReceiver() as hook:
        url = f"{hook.url.replace('//', f'//user:{SECRET}@')}/{SECRET}"

    told = refusal(channel(tmp_path, webhook_url=url))

    place = hook.url.removeprefix("http://")
    assert told == f"webhook {place}: ConnectError, Connection refused"


def test_a_webhook_of_an_unknown_host_says_that(tmp_path: Path) -> None:
    told = refusal(channel(tmp_path, webhook_url=f"http://no.such.invalid/{SECRET}"))

    assert told.startswith("webhook no.such.invalid: ConnectError, ")
    assert SECRET not in told


def test_a_mail_goes_to_all_recipients(tmp_path: Path) -> None:
    with MailReceiver() as post:
        url = f"smtp://{post.place}"
        channel(tmp_path, smtp_url=url, smtp_starttls=False, **MAIL).send(NOTICE)

    (mailed,) = post.inbox.all
    assert mailed.to == ["ops@example.com", "you@example.com"]
    assert mailed.message["subject"] == ("[histq] critical: disk_low disk (tower, production)")
    assert mailed.message["message-id"] == "<histq.7-1-start.tower@example.com>"


def test_a_mail_is_sent_by_starttls_and_log_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _certified(tmp_path, monkeypatch)
    with MailReceiver(starttls=server, log_in=("me", SECRET)) as post:
        log_in = {"smtp_user": "me", "smtp_password": SECRET}
        channel(tmp_path, smtp_url=f"smtp://{post.place}", **log_in, **MAIL).send(NOTICE)

    (mailed,) = post.inbox.all
    assert mailed.user == "me"


def test_a_mail_is_sent_by_tls_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _certified(tmp_path, monkeypatch)
    with MailReceiver(implicit_tls=server) as post:
        channel(tmp_path, smtp_url=f"smtps://{post.place}", **MAIL).send(NOTICE)

    assert len(post.inbox.all) == 1


def test_a_wrong_password_is_told_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _certified(tmp_path, monkeypatch)
    with MailReceiver(starttls=server, log_in=("me", "another")) as post:
        log_in = {"smtp_user": "me", "smtp_password": SECRET}
        told = refusal(channel(tmp_path, smtp_url=f"smtp://{post.place}", **log_in, **MAIL))

    assert told == f"mail by {post.place}: SMTPAuthenticationError 535"
    assert post.inbox.all == []


def test_a_server_that_nobody_vouches_for_gets_no_mail(tmp_path: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    with MailReceiver(starttls=server) as post:
        told = refusal(channel(tmp_path, smtp_url=f"smtp://{post.place}", **MAIL))

    assert "certificate verify failed" in told
    assert post.inbox.all == []


def test_a_server_without_starttls_gets_no_mail_in_the_clear(tmp_path: Path) -> None:
    with MailReceiver() as post:
        told = refusal(channel(tmp_path, smtp_url=f"smtp://{post.place}", **MAIL))

    assert told.startswith(f"mail by {post.place}: it offers no STARTTLS")
    assert post.inbox.all == []


def test_a_mail_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with MailReceiver() as post:
        url = f"smtp://{post.place}"

    told = refusal(channel(tmp_path, smtp_url=url, **MAIL))

    assert told.startswith(f"mail by {post.place}: ")
    assert "refused" in told


@loads_plugins
def test_apprise_reaches_its_services(tmp_path: Path) -> None:
    with WebReceiver() as hook:
        url = f"json://{hook.url.removeprefix('http://')}/notify"
        one = channel(tmp_path, apprise_urls=[url])
        one.send(NOTICE)

    (posted,) = hook.inbox.all
    told = json.loads(posted.body)
    assert posted.path == "/notify"
    assert told["title"] == "[histq] critical: disk_low disk (tower, production)"
    assert told["message"].startswith("0.5 GiB are free; make room")


@loads_plugins
def test_each_apprise_url_is_a_channel_that_keeps_its_name(tmp_path: Path) -> None:
    urls = [f"json://127.0.0.1/{SECRET}", "json://127.0.0.1/two"]

    found = open_channels(settings_at(tmp_path, apprise_urls=urls).alerts)
    turned = open_channels(settings_at(tmp_path, apprise_urls=urls[::-1]).alerts)

    assert [one.name for one in found] == [one.name for one in turned][::-1]
    assert len({one.name for one in found}) == 2
    assert [one.place for one in found] == [
        "json, number 1 of alerts.apprise_urls",
        "json, number 2 of alerts.apprise_urls",
    ]


@loads_plugins
def test_what_apprise_could_not_deliver_is_told_without_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with WebReceiver(lambda _: 500) as hook:
        place = hook.url.removeprefix("http://")
        told = refusal(channel(tmp_path, apprise_urls=[f"json://me:{SECRET}@{place}/{SECRET}"]))

    assert told.startswith("apprise json, number 1 of alerts.apprise_urls: ")
    assert "500" in told
    for text in (told, caplog.text, *capfd.readouterr()):
        assert SECRET not in text
        assert "s3cret" not in text


@loads_plugins
def test_what_is_no_apprise_url_is_told_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(Config) as told:
        channel(tmp_path, apprise_urls=[f"nothing-like-it://{SECRET}"])

    assert str(told.value) == "alerts.apprise_urls: number 1 is no URL that apprise knows"


def test_without_apprise_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # as where it is not installed

    with pytest.raises(Config) as told:
        channel(tmp_path, apprise_urls=["json://127.0.0.1/"])

    assert str(told.value) == "alerts.apprise_urls needs apprise: pip install 'histq[apprise]'"


def test_a_receiver_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with Loopback(lambda _: Says(b"")) as server:
        url = server.url.replace("http://", "smtp://")  # it waits for us to speak, and so do we
        told = refusal(channel(tmp_path, smtp_url=url, smtp_starttls=False, **MAIL))

    assert "timed out" in told


def test_titles_and_bodies_read_well() -> None:
    over = replace(NOTICE, state="end", ended_at=NOON + 61_001)

    assert over.title == "[histq] over: disk_low disk (tower, production)"
    assert over.body == (
        "0.5 GiB are free; make room\n\nsince 2023-11-15T12:00Z\nuntil 2023-11-15T12:01:01Z\n"
        "name disk_low\nsubject disk\n"
    )


def _certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context for 127.0.0.1 that this process trusts."""
    authority = trustme.CA()
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    return server
