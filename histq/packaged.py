"""The files at the top level that the program reads too: schema.sql, config.example.toml."""

from importlib import resources
from pathlib import Path


def packaged(name: str) -> str:
    """The text of the file, from inside the package (wheel) or beside it (editable, checkout)."""
    inside = resources.files("histq") / name
    if inside.is_file():
        return inside.read_text()
    return (Path(__file__).parent.parent / name).read_text()
