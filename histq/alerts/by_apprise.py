"""Slack, Telegram, SMS and a hundred others through apprise: https://github.com/caronc/apprise/wiki"""

import hashlib
import logging
import re
import threading
from typing import Final

from histq.alerts.notice import Notice, Undelivered
from histq.errors import Config

LEAST_SECRET: Final = 4
"""What is shorter, of the parts of a URL, is no token, and would blot out common words."""


class ByApprise:
    """One apprise URL. Its name holds a hash of it: where it leads has no other that is public."""

    def __init__(self, url: str, number: int) -> None:
        """`number` is its place in the settings. Raises Config without apprise, or for no URL."""
        try:
            import apprise
        except ImportError as error:
            raise Config(
                "alerts.apprise_urls needs apprise: pip install 'histq[apprise]'"
            ) from error
        # What it logs goes into our errors instead, without what it says of the URL.
        self._logger = logging.getLogger("apprise")
        self._logger.propagate = False
        made = apprise.Apprise.instantiate(url)
        if not isinstance(made, apprise.NotifyBase):
            raise Config(f"alerts.apprise_urls: number {number} is no URL that apprise knows")
        self._service = made
        scheme = url.partition("://")[0].lower()
        self._secrets = [
            part for part in re.split(r"\W+", url.partition("://")[2]) if len(part) >= LEAST_SECRET
        ]
        self.name = f"apprise-{scheme}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self.place = f"{scheme}, number {number} of alerts.apprise_urls"

    def send(self, notice: Notice) -> None:
        heard = _Heard(threading.get_ident())
        self._logger.addHandler(heard)
        try:
            taken = self._service.notify(title=notice.title, body=notice.body)
        except (OSError, TypeError, ValueError) as error:
            raise Undelivered(f"apprise {self.place}: {type(error).__name__}") from None
        finally:
            self._logger.removeHandler(heard)
        if not taken:
            raise Undelivered(f"apprise {self.place}: {self._hidden(heard.last) or 'not taken'}")

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "(hidden)")
        return text


class _Heard(logging.Handler):
    """The last warning of one thread."""

    def __init__(self, thread: int) -> None:
        super().__init__(logging.WARNING)
        self._of = thread
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._of:
            self.last = " ".join(record.getMessage().split())
