"""Tells a cron monitor how a command goes, in the way of https://healthchecks.io/docs/http_api/.

<url>/start    when it begins            <url>       when it ended with 0
<url>/<code>   with any other exit code  rid=<uuid>  in each query, so that runs may overlap
"""

import logging
import threading
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from histq import __version__
from histq.alerts.notice import reason

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 5.0
"""For all of one report. A command ends later by twice this at most."""


class Ping:
    """A block whose beginning and end are reported; neither its result nor its error changes.

    `exit_code` says with what the program ends by an error. What went wrong with the monitor is
    told once, at the end, when logging is set up.
    """

    def __init__(
        self,
        url: str,
        command: str,
        exit_code: Callable[[BaseException | None], int],
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = url
        self._command = command
        self._exit_code = exit_code
        self._timeout_s = timeout_s
        self._rid = str(uuid.uuid4())

    def __enter__(self) -> Self:
        self._wrong = self._report("start", f"histq {self._command}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        code = self._exit_code(error)
        text = f"histq {self._command} ended with exit code {code}"
        if code and str(error) not in ("", str(code)):
            text += f": {error}"
        wrong = self._report(str(code) if code else "", text) or self._wrong
        host = urlsplit(self._url).hostname  # the rest of the URL is its key
        if wrong:
            logger.warning("the cron monitor at %s was not told: %s", host, wrong)
        else:
            logger.info("monitor=%s rid=%s exit_code=%d", host, self._rid, code)

    def _report(self, what: str, text: str) -> str:
        """What went wrong, or nothing; within the time in all.

        httpx bounds each wait, not their sum, so a thread that takes longer is left behind.
        """
        told: list[str] = []
        thread = threading.Thread(
            target=self._post, args=(what, text, told), name="histq-ping", daemon=True
        )
        thread.start()
        thread.join(self._timeout_s)
        return told[0] if told else f"no answer in {self._timeout_s:g} s"

    def _post(self, what: str, text: str, told: list[str]) -> None:
        import httpx

        headers = {
            "content-type": "text/plain; charset=utf-8",
            "user-agent": f"histq/{__version__}",
        }
        address = _address(self._url, what, self._rid)
        try:
            answer = httpx.post(
                address, content=text.encode(), headers=headers, timeout=self._timeout_s
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
            told.append(reason(error))
        else:
            told.append("" if answer.is_success else f"HTTP {answer.status_code}")


def _address(url: str, what: str, rid: str) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + (f"/{what}" if what else "")
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("rid", rid)])
    return urlunsplit(parts._replace(path=path, query=query))
