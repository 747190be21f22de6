"""chart: prices and coverage of one series, drawn in the terminal."""

from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, Which, spread
from histq.cli.options import Since, Until
from histq.errors import Usage

if TYPE_CHECKING:
    from histq.pipeline.ledgers import Ledger

NAMED = 5
WIDEST = 500

Height = Annotated[
    int, typer.Option("--height", min=3, max=200, help="Lines of the plot.", metavar="LINES")
]


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel="Inspect", epilog="histq chart BTCUSDT -s binance --from 90d")(
        chart
    )


@spread
def chart(
    which: Which, since: Since = None, until: Until = None, height: Height = 15, *, usual: Usual
) -> None:
    """Draw the prices of one series, and its coverage below."""
    import shutil

    from histq.chart import stretch
    from histq.cli.working import Working
    from histq.dates import span
    from histq.host import wall_clock
    from histq.pipeline.chart import collect
    from histq.stop import Stop

    start, end = span(since, until, wall_clock())
    width = min(shutil.get_terminal_size().columns, WIDEST)
    session = usual.session("chart")
    stop = Stop().on_signals()
    with session.open() as backends, Working(session.err, quiet=usual.quiet, stop=stop) as working:
        ledger = _only(which.ledgers(session, backends))
        window = stretch(*ledger, start, end)
        drawn = collect(backends.store, ledger, window, 2 * width, working.tell)
    if session.json:
        session.document(drawn)
        return
    from histq.cli import plot, render_chart

    signs = plot.UNICODE if session.out.encoding.startswith("utf") else plot.PLAIN
    session.out.print(render_chart.chart(drawn, width, height, signs), soft_wrap=True)


def _only(found: list["Ledger"]) -> "Ledger":
    """Raises Usage unless one series is meant."""
    if not found:
        raise Usage("no series yet; histq fetch gets some")
    if len(found) > 1:
        names = ", ".join(str(one.series) for one in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise Usage(f"one series at a time, and these match: {names}{more}; choose with -s and -i")
    return found[0]
