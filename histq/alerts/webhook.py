"""A JSON object by HTTP POST, signed where there is a secret."""

import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

import httpx

from histq import __version__
from histq.alerts.notice import Notice, Undelivered, reason

SIGNATURE: Final = "x-histq-signature"
"""sha256= and the HMAC-SHA256 of the body by the secret, in hexadecimal."""


class Webhook:
    """Taken is what the receiver answers with 2xx. Redirects are not followed."""

    name = "webhook"

    def __init__(self, url: str, secret: str, *, timeout_s: float) -> None:
        self._url = url
        self._secret = secret.encode()
        self._timeout_s = timeout_s
        self.place = urlsplit(url).netloc.rpartition("@")[2]

    def send(self, notice: Notice) -> None:
        body = notice.json()
        headers = {"content-type": "application/json", "user-agent": f"histq/{__version__}"}
        if self._secret:
            digest = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
            headers[SIGNATURE] = f"sha256={digest}"
        try:
            # What it answers beside the status is not read: it may be long, or never end.
            with httpx.stream(
                "POST", self._url, content=body, headers=headers, timeout=self._timeout_s
            ) as response:
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise Undelivered(f"webhook {self.place}: {reason(error)}") from None
        if not 200 <= status < 300:
            raise Undelivered(f"webhook {self.place}: HTTP {status}")
