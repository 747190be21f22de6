"""What a request asks for: parameters by name, each at most once, none that we do not know."""

from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

from histq.errors import Usage

MOST_PARAMETERS: Final = 32


class Query:
    """Raises Usage, which names the parameter, for whatever is wrong."""

    def __init__(self, text: str, known: Collection[str]) -> None:
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        except ValueError as error:
            raise Usage(f"more than {MOST_PARAMETERS} parameters") from error
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                raise Usage(f"no parameter {name!r}; known: {', '.join(known) or 'none'}")
            if name in self._values:
                raise Usage(f"{name} is given twice")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        return self._values.get(name)

    def required(self, name: str) -> str:
        if not self._values.get(name):
            raise Usage(f"{name} is missing")
        return self._values[name]

    def number(self, name: str, least: int, most: int) -> int | None:
        """A whole number within these bounds; None where nothing was said."""
        text = self._values.get(name)
        if text is None:
            return None
        # Not what int() takes: it knows of other alphabets, blanks and underscores.
        if not (text.isascii() and text.isdigit() and len(text) <= 19):
            raise Usage(f"{name} {text!r} is no whole number")
        if not least <= int(text) <= most:
            raise Usage(f"{name} must be from {least} to {most}, is {text}")
        return int(text)
