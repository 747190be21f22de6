"""Unexpected errors to Sentry, where its DSN is set. The only place that sets it up.

Told are the kind of error, its text and the lines of code it went through, without the values of
variables, arguments of the command, requests or logs; every secret of the settings is taken out.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final

from histq import __version__
from histq.errors import Config
from histq.settings import Settings

FLUSH_S: Final = 3.0
HIDDEN: Final = "(hidden)"
LEAST_SECRET: Final = 4
"""What is shorter stands in any text by chance."""


def start(settings: Settings) -> None:
    """Has `report` tell Sentry from now on; does nothing without a DSN. Raises Config."""
    dsn = settings.sentry.dsn.get_secret_value()
    if not dsn:
        return
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError as error:
        raise Config("sentry.dsn needs sentry-sdk: pip install 'histq[sentry]'") from error
    # It sends by urllib3, which warns of each try; an error of ours is one line, told or not.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    secrets = (secret for secret in settings.secrets() if len(secret) >= LEAST_SECRET)
    hidden = sorted(secrets, key=len, reverse=True)
    try:
        sentry_sdk.init(
            dsn=dsn,
            release=f"histq@{__version__}",
            environment=settings.environment,
            # No integrations: they add argv, whole URLs as breadcrumbs, and hooks on everything.
            default_integrations=False,
            auto_enabling_integrations=False,
            max_breadcrumbs=0,
            include_local_variables=False,
            auto_session_tracking=False,
            before_send=lambda event, _: _without(event, hidden),
        )
    except BadDsn:
        raise Config("sentry.dsn is no DSN; copy it from the project's client keys") from None


def report(error: BaseException) -> None:
    """Tells Sentry of an error that nobody expected, where it was started; waits a little."""
    # Imported by `start` and nobody else: who has no DSN pays nothing.
    sdk = sys.modules.get("sentry_sdk")
    if sdk is not None:
        sdk.capture_exception(error)
        sdk.flush(timeout=FLUSH_S)


def _without(found: Any, hidden: list[str]) -> Any:
    """The event with each secret blotted out, wherever it stands."""
    if isinstance(found, str):
        for secret in hidden:
            found = found.replace(secret, HIDDEN)
        return found
    if isinstance(found, Mapping):
        return {key: _without(value, hidden) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_without(value, hidden) for value in found]
    return found
