"""Log lines: text for people, one JSON object a line for machines, and no secrets in either.

A line is written the way logging does it, `logger.info("batch queue=%s points=%d", queue, points)`:
what stands before `=%` names a field, its argument is the value, and the rest is the event. Where
nothing is left, the first field names it.
"""

import datetime
import io
import json
import logging
import math
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, Final, NamedTuple, TextIO

LEAST_SECRET: Final = 8
"""What is shorter is no key, and might stand in a line by chance."""

MOST_TEXT: Final = 16_000
"""Characters of a field. What a provider said may be a page; a log is not where it is kept."""

HIDDEN: Final = "(hidden)"

_DIRECTIVE: Final = re.compile(r"(?:\b(\w+)=)?(%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z%])")
_URL: Final = re.compile(
    r"\b([a-z][a-z0-9+.-]*://)([^\s/?#'\"<>]*@)?([^\s?#'\"<>]*)([?#][^\s'\"<>]*)?"
)
_TOKEN: Final = re.compile(r"(?<=/)(?=[^/]*\d)[\w:.~%-]{20,}(?=/|$)")
_OWN: Final = {*vars(logging.makeLogRecord({})), "message", "asctime"}


class About(NamedTuple):
    """What every line says of the command that writes it; None where it is not known yet."""

    environment: str | None = None
    command: str | None = None
    run_id: str | None = None
    secrets: tuple[str, ...] = ()


def begin(form: str, level: int, about: About, stream: TextIO, *, dated: bool = False) -> None:
    """From now on lines go to `stream`: in the form `json` all of them, and warnings of Python too.

    The level is that of histq's own lines; those of libraries are shown from WARNING on. httpx, for
    one, tells whole URLs at INFO. Where `dated`, lines of text too begin with the time.
    """
    handler = logging.StreamHandler(stream)
    _form(handler, form, level, about, dated=dated)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def renew(form: str, level: int, about: About, *, dated: bool = False) -> None:
    """As `begin`, on the stream that it was given; no line of another thread is lost meanwhile."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, TextLines | JsonLines):
            _form(handler, form, level, about, dated=dated)


def _form(handler: logging.Handler, form: str, level: int, about: About, *, dated: bool) -> None:
    handler.setFormatter(JsonLines(about) if form == "json" else TextLines(about, dated=dated))
    logging.getLogger("histq").setLevel(level)
    if form == "json":
        logging.captureWarnings(True)
        threading.excepthook = _tell_thread
        sys.excepthook = _tell_uncaught
        sys.unraisablehook = _tell_unraisable


def in_json() -> bool:
    """Whether lines are JSON already."""
    return isinstance(_formatter(), JsonLines)


def safe(text: str) -> str:
    """Without the secrets that no line may show."""
    begun = _formatter()
    return _safe(text, begun.about.secrets if begun else ())


class TextLines(logging.Formatter):
    """LEVEL environment logger message, after the time where `dated`."""

    def __init__(self, about: About, *, dated: bool = False) -> None:
        super().__init__()
        self.about = about
        self._dated = dated

    def format(self, record: logging.LogRecord) -> str:
        head = f"{record.levelname} {self.about.environment or '-'} {record.name}"
        if self._dated:
            head = f"{_instant(record.created)} {head}"
        text = f"{head} {_message(record)}"
        if record.exc_info:
            text += f"\n{_traceback(record.exc_info)}"
        return _safe(text, self.about.secrets)


class JsonLines(logging.Formatter):
    """One object a line: ts, level, event, the event's fields, logger, environment, command, run_id
    and, where there was an exception, exc_info.
    """

    def __init__(self, about: About) -> None:
        super().__init__()
        self.about = about

    def format(self, record: logging.LogRecord) -> str:
        event, found = _read(record)
        fields = {name: value for name, value in vars(record).items() if name not in _OWN} | found
        about = self.about
        line = {
            "ts": _instant(record.created),
            "level": record.levelname.lower(),
            "event": event,
            "logger": record.name,
            "environment": about.environment,
            "command": about.command,
            "run_id": about.run_id,
        }
        # A field that is named as ours keeps its value, and ours keep theirs.
        line |= {f"{name}_" if name in line else name: value for name, value in fields.items()}
        if record.exc_info:
            line["exc_info"] = _traceback(record.exc_info)
        return json.dumps({name: _plain(value, about.secrets) for name, value in line.items()})


def _formatter() -> "TextLines | JsonLines | None":
    """That of `begin`, once it was called."""
    found = (handler.formatter for handler in logging.getLogger().handlers)
    return next((one for one in found if isinstance(one, TextLines | JsonLines)), None)


class Prose(io.TextIOBase):
    """A file that makes each line written to it a line of the log."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._rest = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(None, map(str.strip, lines)):
            self._logger.info("%s", line)
        return len(text)


def _read(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    """The event, and the fields by name."""
    args = record.args
    template = str(record.msg)
    if not isinstance(args, tuple) or "=%" not in template:
        return _message(record), {}
    left = list(args)
    fields: dict[str, object] = {}

    def replaced(found: re.Match[str]) -> str:
        name, directive = found.groups()
        if directive == "%%":
            return f"{name}=%" if name else "%"
        value = left.pop(0)
        if name is None:
            return directive % (value,)
        fields[name] = _rounded(directive, value)
        return ""

    try:
        event = _DIRECTIVE.sub(replaced, template)
    except (IndexError, TypeError, ValueError):
        return _message(record), {}
    if left:
        return _message(record), {}
    return " ".join(event.split()) or next(iter(fields), ""), fields


def _rounded(directive: str, value: object) -> object:
    """The value itself, or what the line for people shows of its decimals."""
    if not isinstance(value, float) or not math.isfinite(value) or directive[-1] != "f":
        return value
    shown = float(directive % value)
    return int(shown) if directive.endswith(".0f") else shown


def _message(record: logging.LogRecord) -> str:
    """The whole line as text, also where its arguments do not fit: no line may be lost to that."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


def _plain(value: object, secrets: tuple[str, ...]) -> object:
    """As JSON can say it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _safe(str(value), secrets)


def _safe(text: str, secrets: tuple[str, ...]) -> str:
    """Without secrets and what may be one in a URL, of bounded length, and encodable."""
    for secret in secrets:
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, HIDDEN)
    if "://" in text:
        text = _URL.sub(_without_tokens, text)
    if len(text) > MOST_TEXT:
        text = f"{text[:MOST_TEXT]}... ({len(text)} characters)"
    return text.encode(errors="backslashreplace").decode()


def _without_tokens(found: re.Match[str]) -> str:
    """The URL without its user, its query, and parts of the path that look like a token."""
    scheme, user, place, query = found.groups()
    place = _TOKEN.sub(HIDDEN, place)
    return f"{scheme}{f'{HIDDEN}@' if user else ''}{place}{f'?{HIDDEN}' if query else ''}"


def _instant(created_s: float) -> str:
    """RFC 3339, UTC, to the millisecond."""
    moment = datetime.datetime.fromtimestamp(created_s, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traceback(found: Any) -> str:
    return "".join(traceback.format_exception(*found)).rstrip()


def _tell_thread(uncaught: threading.ExceptHookArgs) -> None:
    error = uncaught.exc_value
    name = uncaught.thread.name if uncaught.thread else None
    logging.getLogger(__name__).error("uncaught in thread=%s", name, exc_info=error)


def _tell_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger(__name__).critical("uncaught error=%s", error, exc_info=error)


def _tell_unraisable(found: "sys.UnraisableHookArgs") -> None:
    logging.getLogger(__name__).error("ignored error=%s", found.exc_value, exc_info=found.exc_value)
