"""The files of the page: ours from this package, the charts' from plotly's. Served compressed."""

import ast
import base64
import gzip
import hashlib
import re
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from histq.errors import Config

PAGE: Final = "index.html"
PLOTLY: Final = "plotly.min.js"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Ours are small and change with histq: the browser asks each time whether they have.
_ASK_AGAIN: Final = "private, no-cache"
_KEEP: Final = "private, max-age=86400"


# As minified JavaScript; its escapes in a string are Python's.
_SHEET: Final = re.compile(
    r"""createElement\("style"\);[^;]{0,200}?\.textContent=('(?:[^'\\\n]|\\.)*')"""
)


class Asset(NamedTuple):
    """`tag` changes with the content."""

    body: bytes
    compressed: bytes
    tag: str
    media_type: str
    caching: str


class Assets:
    """Each file is read and compressed once, when it is first asked for. Threads may share it."""

    def __init__(self) -> None:
        folder = Path(__file__).parent / "page"
        self._paths = {path.name: path for path in folder.iterdir() if path.suffix in _TYPES}
        self._paths[PLOTLY] = plotly_script()
        self._lock = threading.Lock()
        self._read: dict[str, Asset] = {}

    def styles(self) -> list[str]:
        """What the page's policy has to name, for the style elements that the charts' script makes:
        an empty one, filled rule by rule, and whole sheets of libraries in it.
        """
        script = self._paths[PLOTLY].read_text()
        sheets = [ast.literal_eval(sheet) for sheet in _SHEET.findall(script)]
        return [_hash_source(sheet) for sheet in ("", *sheets)]

    def get(self, name: str) -> Asset | None:
        path = self._paths.get(name)
        if path is None:
            return None
        with self._lock:
            if name not in self._read:
                self._read[name] = _asset(path)
            return self._read[name]


def plotly_script() -> Path:
    """The script that the plotly package carries. Raises Config where it does not."""
    # Found without an import, which would take a tenth of a second and much memory.
    spec = find_spec("plotly")
    places = (spec.submodule_search_locations if spec else None) or []
    for place in places:
        script = Path(place) / "package_data" / PLOTLY
        if script.is_file():
            return script
    raise Config("the page needs the script of plotly; pip install 'histq[web]'")


def _hash_source(sheet: str) -> str:
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(
        body,
        gzip.compress(body, 6),
        hashlib.sha256(body).hexdigest()[:16],
        _TYPES[path.suffix],
        _KEEP if path.name == PLOTLY else _ASK_AGAIN,
    )
