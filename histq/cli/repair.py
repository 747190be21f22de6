"""repair, and dlq: what is missing, and what could not be stored."""

from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, Which, spread
from histq.cli.monitor import watched
from histq.errors import Usage

if TYPE_CHECKING:
    from histq.model import DeadLetter
    from histq.pipeline.backends import Backends

PANEL = "Repair"
INCOMPLETE = 3

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="From dlq list.")]
All = Annotated[bool, typer.Option("--all", help="Every dead letter.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")]

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: data we have and could not store.")


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL, epilog="histq repair BTCUSDT")(watched(repair))
    app.add_typer(dlq, name="dlq", rich_help_panel=PANEL)


@spread
def repair(which: Which, *, usual: Usual) -> None:
    """Ask again for what histq gaps shows as not explained, exactly that, and queue it."""
    from histq.cli import collect, render
    from histq.cli.progress import Display
    from histq.pipeline.fetch import fetch
    from histq.pipeline.ledgers import to_repair
    from histq.plan import Wish

    session = usual.session("repair")
    with session.open() as backends:
        found = which.ledgers(session, backends)
    selection = to_repair(found, session.settings)
    stop = session.stop_on_signals()
    with Display(session.err, quiet=session.quiet) as display:
        job = collect.job_of(session, display, stop, selection, Wish(repair=True), patient=False)
        report = fetch(job)
    incomplete = report.exit_code == 0 and bool(selection.skipped)
    exit_code = stop.exit_code if stop else INCOMPLETE if incomplete else report.exit_code
    collect.finish(session, exit_code, report, render.fetched(report))


@dlq.command("list", epilog="histq dlq list")
@spread
def list_(limit: Limit = 50, *, usual: Usual) -> None:
    """The newest dead letters, with their reasons."""
    from histq.cli import render

    session = usual.session("dlq list")
    with session.open() as backends:
        found = backends.queue.letters(limit=limit)
        total = backends.queue.depth().dead
    if session.json:
        session.document({"total": total, "letters": [render.letter(one) for one in found]})
        return
    session.out.print(render.letters(found) if found else "No dead letters.")
    if total > len(found):
        session.out.print(f"{len(found)} of {total:,}; --limit shows more")


@dlq.command(epilog="histq dlq show 1")
@spread
def show(id_: Annotated[int, typer.Argument(metavar="ID")], *, usual: Usual) -> None:
    """One dead letter, whole."""
    from histq.cli import render

    session = usual.session("dlq show")
    with session.open() as backends:
        (found,) = _chosen(backends, [id_], all_=False)
    if session.json:
        session.document(render.letter(found))
    else:
        session.out.print(render.whole_letter(found), soft_wrap=True)


@dlq.command(epilog="histq dlq retry --all")
@spread
def retry(ids: Ids = None, all_: All = False, *, usual: Usual) -> None:
    """Put dead letters back on the queue; histq consume then tries them anew."""
    from histq.host import wall_clock
    from histq.pipeline.letters import redrive

    session = usual.session("dlq retry")
    with session.open() as backends:
        letters = _chosen(backends, ids, all_)
        done = redrive(backends, letters, wall_clock())
    if session.json:
        kept = [{"id": i, "why": why} for i, why in done.kept]
        session.document({"queued": done.queued, "kept": kept})
    else:
        session.out.print(f"queued {done.queued} dead letters; histq consume stores them")
        for i, why in done.kept:
            session.err.print(f"kept {i}: {why}", style="yellow", soft_wrap=True)
    raise typer.Exit(INCOMPLETE if done.kept else 0)


@dlq.command(epilog="histq dlq drop 1")
@spread
def drop(ids: Ids = None, all_: All = False, *, usual: Usual) -> None:
    """Delete dead letters. What they held is then missing, and histq fetch asks for it again."""
    from histq.pipeline import letters

    session = usual.session("dlq drop")
    with session.open() as backends:
        dropped = letters.drop(backends, _chosen(backends, ids, all_))
    if session.json:
        session.document({"dropped": dropped})
    else:
        session.out.print(f"dropped {dropped} dead letters; what they held is missing now")


def _chosen(backends: "Backends", ids: list[int] | None, all_: bool) -> "list[DeadLetter]":
    if bool(ids) == all_:
        raise Usage("name dead letters by their ids, from histq dlq list, or say --all")
    found = backends.queue.letters(ids)
    if unknown := sorted(set(ids or ()) - {letter.id for letter in found}):
        raise Usage(f"no dead letter {unknown[0]}; histq dlq list shows them")
    return found
