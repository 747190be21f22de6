"""The channels that the settings name."""

from histq.alerts.notice import Channel
from histq.settings import AlertSettings

TIMEOUT_S = 10.0
"""For each step of telling one receiver: connecting, sending, waiting for its answer."""


def open_channels(settings: AlertSettings, *, timeout_s: float = TIMEOUT_S) -> list[Channel]:
    """One for each receiver; none where none is set. Raises Config."""
    found: list[Channel] = []
    if url := settings.webhook_url.get_secret_value():
        from histq.alerts.webhook import Webhook

        secret = settings.webhook_secret.get_secret_value()
        found.append(Webhook(url, secret, timeout_s=timeout_s))
    if settings.smtp_url:
        from histq.alerts.mail import Mail

        found.append(Mail(settings, timeout_s=timeout_s))
    for number, secret_url in enumerate(settings.apprise_urls, 1):
        from histq.alerts.by_apprise import ByApprise

        found.append(ByApprise(secret_url.get_secret_value(), number))
    return found
