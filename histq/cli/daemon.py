"""daemon: everything on a schedule."""

from typing import Annotated, Any

import typer

from histq.cli.groups import Usual, spread
from histq.cli.monitor import watched

PANEL = "Collect"
INCOMPLETE = 3

Once = Annotated[bool, typer.Option("--once", help="Run every job now, then exit; for cron.")]


Listen = Annotated[
    str | None,
    typer.Option(
        "--listen", metavar="HOST:PORT", help="Answer HTTP there; a token unless on the loopback."
    ),
]


def add_to(app: typer.Typer) -> None:
    once = watched(daemon, when=lambda given: bool(given["once"]))
    app.command(rich_help_panel=PANEL, epilog="histq daemon --once")(once)


@spread
def daemon(once: Once = False, listen: Listen = None, *, usual: Usual) -> None:
    """Fetch, consume, repair, recheck and maintain on a schedule, until stopped. SIGHUP reloads."""
    import os
    import sys

    from histq.config import state_folder
    from histq.daemon.daemon import Daemon, on_hang_up
    from histq.daemon.systemd import Notifier, in_journal
    from histq.errors import Usage

    if usual.json and not once:
        raise Usage("--json prints the document of --once; a daemon that stays has none")
    if listen is not None and once:
        raise Usage("--once answers nobody; --listen is for a daemon that stays")
    flags: dict[str, Any] = {} if listen is None else {"daemon": {"listen": listen}}
    dated = not in_journal(os.environ, sys.stderr)
    session = usual.session("daemon", flags=flags, stays=not once, dated=dated)
    stop = session.stop_on_signals()
    runs = Daemon(
        session.settings_anew,
        session.take,
        session.opener,
        state_folder(),
        stop,
        Notifier(os.environ),
    )
    on_hang_up(runs)
    if not once:
        runs.run()
        raise typer.Exit(stop.exit_code)
    found = runs.once()
    codes = {outcome.exit_code for _, outcome in found}
    if session.json:
        jobs = [
            {"job": name, "exit_code": outcome.exit_code, "said": outcome.said}
            for name, outcome in found
        ]
        session.document({"jobs": jobs})
    else:
        for name, outcome in found:
            session.out.print(f"{name}: {outcome.said}", soft_wrap=True)
    # One code where all that failed failed alike.
    failed = codes - {0}
    exit_code = 0 if not failed else failed.pop() if len(failed) == 1 else INCOMPLETE
    raise typer.Exit(stop.exit_code if stop else exit_code)
