"""compare: what two sources say of the same market."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from histq.cli.groups import Usual, Which, spread
from histq.cli.options import Since, Until
from histq.errors import Usage

if TYPE_CHECKING:
    from histq.pipeline.compare import Measure

PANEL = "Inspect"

Tolerance = Annotated[
    str,
    typer.Option("--tolerance", metavar="PERCENT", help="What may differ, of the larger value."),
]
AsUsd = Annotated[
    bool,
    typer.Option("--as-usd", help="Take USDT, USDC, FDUSD, BUSD and TUSD for dollars, and say so."),
]
Resample = Annotated[
    str | None,
    typer.Option(
        "--resample",
        metavar="INTERVAL",
        help="Merge finer candles into this interval first; incomplete ones are not compared.",
        show_default=False,
    ),
]
Volume = Annotated[bool, typer.Option("--volume", help="Compare volumes too, not only prices.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="So many differences of each pair.")]


def add_to(app: typer.Typer) -> None:
    app.command(
        rich_help_panel=PANEL, epilog="histq compare BTC -s binance -s cryptocompare --as-usd"
    )(compare)


@spread
def compare(
    which: Which,
    since: Since = None,
    until: Until = None,
    tolerance: Tolerance = "1%",
    as_usd: AsUsd = False,
    resample: Resample = None,
    volume: Volume = False,
    limit: Limit = 5,
    *,
    usual: Usual,
) -> None:
    """How far stored prices of one market differ between sources. Exit 3 when beyond tolerance.

    The source named first with -s stands left. What only one of two holds is counted apart.
    """
    from histq.cli import render_compare
    from histq.cli.working import Working
    from histq.model import Interval
    from histq.pipeline.compare import compare_pairs
    from histq.pipeline.pairs import Terms, pair_up
    from histq.stop import Stop

    order = list(dict.fromkeys(which.source or ()))
    if len(order) == 1:
        raise Usage("it takes two sources to compare; name another with -s, or none for all")
    coarse = None if resample is None else Interval.parse(resample)
    measure = _measure(since, until, tolerance, volume, limit)
    session = usual.session("compare")
    stop = Stop().on_signals()
    with session.open() as backends, Working(session.err, quiet=usual.quiet, stop=stop) as working:
        chosen = which._replace(source=order).series(session, backends)
        pairs = pair_up(chosen, Terms(order, coarse, as_usd))
        report = compare_pairs(backends.store, pairs, measure, working.tell)
    if session.json:
        session.document(report)
    else:
        session.out.print(render_compare.compared(report))
    raise typer.Exit(report.exit_code)


def _measure(
    since: str | None, until: str | None, tolerance: str, volume: bool, limit: int
) -> "Measure":
    from histq.dates import span
    from histq.host import wall_clock
    from histq.model import Window
    from histq.page import MOST
    from histq.pipeline.compare import Measure

    start, end = span(since, until, wall_clock())
    window = Window(start or 0, MOST if end is None else end)
    return Measure(window, _share(tolerance), volume, limit)


def _share(percent: str) -> float:
    """0.005 for 0.5%. Raises Usage for a number without the sign, which could mean either."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+) ?%", percent.strip())
    if not found or float(found[1]) > 100:
        raise Usage(f"--tolerance {percent!r} is no share of a price; write it like 0.5%")
    return float(found[1]) / 100
