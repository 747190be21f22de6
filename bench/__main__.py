"""Speed, measured: python -m bench.

Queue and consumer move the same rows into the same table as a bare `executemany`, in turns, in one
process, each into a new file. Ratios hold on any machine; absolute figures are of this one.
"""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import rows
from bench.contenders import Page, Row, bare, many_a_statement, ours
from bench.measure import ROUNDS, at_least, machine, ratio


def main() -> None:
    """Prints a row a contender."""
    pages = rows.pages()
    tuples = rows.tuples(pages)
    count = len(tuples)
    print(f"{machine()}: medians of {ROUNDS} rounds")
    print(f"{count:,} rows of {rows.SERIES} series")
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, seconds in _round(pages, tuples).items():
            found.setdefault(name, []).append(seconds)
    base = found["bare executemany"]
    print(f"{'':28}{'points/s':>12}{'ratio to bare':>16}")
    for name, runs in found.items():
        print(f"{name:28}{count / statistics.median(runs):>12,.0f}{ratio(base, runs):>16.2f}")
    at_least("consume against bare", ratio(base, found["consume"]), 0.9)
    at_least("put and consume against bare", ratio(base, found["put and consume"]), 0.75)


def _round(pages: Sequence[Page], tuples: Sequence[Row]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {"bare executemany": bare(folder, tuples)}
        put_s, consume_s = ours(folder, pages)
        found |= {"put": put_s, "consume": consume_s, "put and consume": put_s + consume_s}
    with tempfile.TemporaryDirectory() as name:
        found["consume, 5 workers"] = ours(Path(name), pages, workers=5)[1]
        found["100 rows a statement"] = many_a_statement(Path(name), tuples)
    return found


if __name__ == "__main__":
    main()
