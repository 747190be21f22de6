"""What every request passes before anything is looked at, and what every answer carries."""

import base64
import binascii
import hmac
import logging
from collections.abc import Callable, Container, Iterable
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from histq.web.address import Hosts

MOST_TARGET: Final = 2_048
"""Characters of path and query together."""

MOST_HEAD: Final = 16 * 1024
"""Bytes of all headers together."""

METHODS: Final = ("GET", "HEAD")
REFUSED: Final = "refused"
OTHER: Final = "other"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " style-src 'self' {styles}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

logger = logging.getLogger(__name__)


def document(content: object) -> bytes:
    """As `--json` prints it: the fields of `content` after the version of the schema."""
    return b'{"schema":1,' + msgspec.json.encode(content)[1:]


def refusal(status: int, why: str, **headers: str) -> Response:
    """An answer that is none, in one line."""
    named = {"Cache-Control": "no-store", **headers}
    return Response(document({"error": why}), status, named, "application/json")


class Guard:
    """An ASGI application around another.

    `styles` are hashes of style elements that scripts of ours make. `answered` is told path and
    status of every request; what is none of `paths` is told as one.
    """

    def __init__(
        self,
        app: ASGIApp,
        paths: Container[str],
        hosts: Hosts,
        token: str,
        styles: Iterable[str],
        answered: Callable[[str, int], None],
    ) -> None:
        self._app = app
        self._paths = paths
        self._hosts = hosts
        self._token = token.encode()
        policy = _POLICY.format(styles=" ".join(styles))
        headers = {"Content-Security-Policy": policy, **_HEADERS}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        refused = self._refuse(scope)
        try:
            await (refused or self._app)(scope, receive, tell)
        except Exception:  # the top of the server: whoever asks learns no more than that
            logger.exception("unexpected path=%s", scope["path"])
            if not status:
                await refusal(500, "unexpected error; the log says which")(scope, receive, tell)
        finally:
            path = scope["path"] if scope["path"] in self._paths else OTHER
            self._answered(REFUSED if refused else path, status)

    def _refuse(self, scope: Scope) -> Response | None:
        """The answer to a request that is not to be looked at; None where it may pass."""
        headers = _Headers(scope["headers"])
        known = self._hosts.known(headers.only(b"host"))
        if known is None:
            return _final(400, "the Host header is missing, or names no host")
        if not known:
            return _final(421, "this server is not known by the name in the Host header")
        if self._token and not self._allowed(headers.only(b"authorization")):
            return _unauthorized()
        if scope["method"] not in METHODS:
            return _final(405, "only GET and HEAD", Allow=", ".join(METHODS))
        if len(scope["raw_path"]) + len(scope["query_string"]) > MOST_TARGET:
            return _final(414, f"path and query are longer than {MOST_TARGET} characters")
        if headers.size > MOST_HEAD:
            return _final(431, f"the headers are longer than {MOST_HEAD} bytes")
        if headers.only(b"content-length") not in ("", "0") or headers.has(b"transfer-encoding"):
            return _final(413, "a request has no body here")
        return None

    def _allowed(self, authorization: str) -> bool:
        """Whether it carries the token: as a bearer, or as the password that a browser asks for."""
        scheme, _, credentials = authorization.partition(" ")
        told = credentials.strip().encode()
        if scheme.lower() == "basic":
            try:
                told = base64.b64decode(told, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(told, self._token)


class _Headers:
    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = list(raw)

    @property
    def size(self) -> int:
        """In bytes, as they are sent: each with a colon, a blank and the end of its line."""
        return sum(len(name) + len(value) + 4 for name, value in self._raw)

    def has(self, name: bytes) -> bool:
        return any(known == name for known, _ in self._raw)

    def only(self, name: bytes) -> str:
        """The value; empty where there is none, and where there are several that could differ."""
        values = [value for known, value in self._raw if known == name]
        return values[0].decode("latin-1") if len(values) == 1 else ""


def _final(status: int, why: str, **headers: str) -> Response:
    # A body that was sent all the same is not waited for.
    return refusal(status, why, Connection="close", **headers)


def _unauthorized() -> Response:
    response = _final(401, "the token is missing or wrong; send Authorization: Bearer TOKEN")
    for scheme in ("Bearer", "Basic"):
        response.headers.append("WWW-Authenticate", f'{scheme} realm="histq"')
    return response
