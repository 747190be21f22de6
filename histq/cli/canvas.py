"""Lines drawn with characters: eight braille dots in each, or two where there is only ASCII."""

from typing import Final, NamedTuple


class Ink(NamedTuple):
    """How many dots a character has, and which character stands for each set of dots."""

    wide: int
    high: int
    bits: tuple[tuple[int, ...], ...]  # of each column of dots, from the top
    signs: str


BRAILLE: Final = Ink(
    2,
    4,
    ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)),
    " " + "".join(map(chr, range(0x2801, 0x2900))),
)
ASCII: Final = Ink(1, 2, ((1, 2),), " '.:")


class Canvas:
    """Dots are counted from the upper left corner; what lies outside is not drawn."""

    def __init__(self, columns: int, rows: int, ink: Ink) -> None:
        self.width = columns * ink.wide
        self.height = rows * ink.high
        self._ink = ink
        self._cells = [[0] * columns for _ in range(rows)]

    def dot(self, x: int, y: int) -> None:
        if 0 <= x < self.width and 0 <= y < self.height:
            ink = self._ink
            self._cells[y // ink.high][x // ink.wide] |= ink.bits[x % ink.wide][y % ink.high]

    def line(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Both ends included."""
        (x, y), (across, down) = start, (end[0] - start[0], end[1] - start[1])
        steps = max(abs(across), abs(down), 1)
        for step in range(steps + 1):
            self.dot(x + round(across * step / steps), y + round(down * step / steps))

    def box(self, left: int, top: int, right: int, bottom: int, *, filled: bool) -> None:
        """All four edges included; filled with every dot, or with none of its own."""
        for y in range(top, bottom + 1):
            if filled or y in (top, bottom):
                self.line((left, y), (right, y))
            else:
                self.dot(left, y)
                self.dot(right, y)

    def rows(self) -> list[str]:
        return ["".join(self._ink.signs[cell] for cell in row) for row in self._cells]
