"""alerts: what is wrong and was, and whether anybody would be told."""

from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, UsualButDb, spread
from histq.errors import Config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from histq.stores.alerts import Alert

PANEL = "Inspect"
NOT_TAKEN = 3
LAST = 50

Limit = Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")]

alerts = typer.Typer(no_args_is_help=True, help="Being told when something is wrong, and over.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(alerts, name="alerts", rich_help_panel=PANEL)


@alerts.command("list", epilog="histq alerts list")
@spread
def list_(limit: Limit = LAST, *, usual: Usual) -> None:
    """What the daemon found wrong, open and past, and which channel has not taken it yet."""
    session = usual.session("alerts list")
    with session.open() as backends:
        log = backends.store.alerts
        found, waiting = log.latest(limit), log.waiting()
    if session.json:
        shown = [_fields(alert, waiting) for alert in found]
        session.document({"open": sum(one.ended_at is None for one in found), "alerts": shown})
        return
    session.out.print(_table(found, waiting) if found else "No alerts.")


@alerts.command("test", epilog="histq alerts test")
@spread
def try_out(*, usual: UsualButDb) -> None:
    """Send a test to every channel of the settings. Exit 3 when one does not take it."""
    from histq.alerts.channels import open_channels
    from histq.alerts.notice import Origin
    from histq.alerts.trial import send_to_all

    session = usual.session("alerts test")
    channels = open_channels(session.settings.alerts)
    if not channels:
        raise Config(
            "nobody is to be told; set webhook_url, smtp_url or apprise_urls in [alerts] of"
            " histq.toml"
        )
    sent = send_to_all(channels, Origin.here(session.settings.environment))
    if session.json:
        session.document({"channels": sent})
    else:
        for one in sent:
            said = f"not taken: {one.error}" if one.error else f"taken in {one.ms} ms"
            style = "red" if one.error else None
            session.out.print(f"{one.channel} ({one.place}): {said}", style=style, soft_wrap=True)
    raise typer.Exit(NOT_TAKEN if any(one.error for one in sent) else 0)


def _fields(alert: "Alert", waiting: "Mapping[int, list[str]]") -> dict[str, object]:
    return {
        "name": alert.name,
        "subject": alert.subject,
        "severity": alert.severity,
        "since": alert.since,
        "started_at": alert.started_at,
        "ended_at": alert.ended_at,
        "text": alert.text,
        "not_told": waiting.get(alert.id, []),
    }


def _table(found: "Sequence[Alert]", waiting: "Mapping[int, list[str]]") -> "Table":
    from histq.cli import render
    from histq.model import iso

    rows = render.table("since", "until", "severity", "name", "subject", "not told", "what")
    rows.columns[-1].no_wrap = False
    for alert in found:
        ended_at = alert.ended_at
        rows.add_row(
            iso(alert.since // 1000 * 1000),
            "open" if ended_at is None else iso(ended_at // 1000 * 1000),
            alert.severity,
            alert.name,
            alert.subject,
            ", ".join(waiting.get(alert.id, [])) or "-",
            alert.text,
            style="bold" if ended_at is None else "",
        )
    return rows
