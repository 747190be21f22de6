"""doctor: the machine, the file, the clock, the sources and the settings."""

from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, spread
from histq.errors import Config, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from histq.cli.session import Session
    from histq.pipeline.doctor import Check, Probe
    from histq.stop import Stop

PANEL = "Set up"
LOCK_TIMEOUT_S = 5.0
STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}

Offline = Annotated[bool, typer.Option("--offline", help="Ask no source.")]


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL, epilog="histq doctor --offline")(doctor)


@spread
def doctor(offline: Offline = False, *, usual: Usual) -> None:
    """Look at machine, file, clock, sources and settings, and say what to do.

    Exit 3 when something failed; warnings alone exit 0. Each enabled source gets one small request.
    """
    from histq.pipeline.doctor import examine
    from histq.pipeline.interruptible import interruptible
    from histq.stop import Stop

    wrong: Config | None = None
    try:
        session = usual.session("doctor")
    except Config as error:  # the rest of the machine can still be looked at
        wrong = error
        session = usual._replace(config=None).session("doctor", plain=True)
    stop = Stop().on_signals()
    probes = _probes(session, stop, wrong, named=usual.db is not None, offline=offline)
    try:
        diagnosis = interruptible(
            lambda: examine(probes, lambda check: _show(session, check)), stop
        )
    except Stopped as stopped:
        session.err.print(str(stopped), soft_wrap=True)
        raise typer.Exit(stop.exit_code) from stopped
    if session.json:
        session.document(diagnosis)
    else:
        session.out.print(f"{diagnosis.failed} failed, {diagnosis.warnings} warnings")
    raise typer.Exit(diagnosis.exit_code)


def _probes(
    session: "Session", stop: "Stop", wrong: Config | None, *, named: bool, offline: bool
) -> "Iterator[Probe]":
    """One after the other, so that what an earlier one finds is shown while a later one looks."""
    from histq.config import state_folder
    from histq.host import wall_clock
    from histq.pipeline.doctor_file import database_probe, disk_probes
    from histq.pipeline.doctor_machine import machine_probes
    from histq.pipeline.doctor_sources import answer_probes, key_probe

    yield from machine_probes(state_folder())
    yield "settings", lambda: _settings(session, wrong)
    if wrong is None or named:
        opener = session.opener._replace(lock_timeout_s=LOCK_TIMEOUT_S)
        yield from disk_probes(opener)
        yield database_probe(opener)
    if wrong is None:
        yield key_probe(session.settings)
    if wrong is None and not offline:
        yield from answer_probes(session.settings, state_folder(), stop, wall_clock)


def _settings(session: "Session", wrong: Config | None) -> "Iterator[Check]":
    from histq.cli.checks import problems
    from histq.pipeline.doctor import Check, Health

    if wrong is not None:
        yield Check("settings", Health.FAILED, str(wrong), "histq config check says more")
        return
    for problem in problems(session.settings):
        yield Check("settings", Health.WARNING, problem)
    read = ", ".join(map(str, session.loaded.files)) or "no file, only defaults"
    yield Check("settings", Health.OK, f"valid: {read}")


def _show(session: "Session", check: "Check") -> None:
    from rich.text import Text

    if session.json or (session.quiet and check.health == "ok"):
        return
    advice = f"; {check.advice}" if check.advice else ""
    line = Text.assemble(
        (f"{check.health:<8}", STYLES[check.health]), f"{check.check}: {check.found}{advice}"
    )
    session.out.print(line, soft_wrap=True)
