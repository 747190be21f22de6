"""A mail by SMTP, by TLS unless it is turned off."""

import contextlib
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import urlsplit

from histq.alerts.notice import Notice, Undelivered
from histq.settings import AlertSettings

PORTS = {"smtp": 587, "smtps": 465}


class Mail:
    """Taken is what the server accepted for one recipient at least."""

    name = "mail"

    def __init__(self, settings: AlertSettings, *, timeout_s: float) -> None:
        parts = urlsplit(settings.smtp_url)
        self._settings = settings
        self._timeout_s = timeout_s
        self._implicit_tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self.place = f"{', '.join(settings.mail_to)} by {self._host}:{self._port}"

    def send(self, notice: Notice) -> None:
        where = f"mail by {self._host}:{self._port}"
        try:
            self._send(self._message(notice))
        except smtplib.SMTPRecipientsRefused as error:
            codes = ", ".join(str(code) for code, _ in error.recipients.values())
            raise Undelivered(f"{where}: no recipient is taken, SMTP {codes}") from None
        except smtplib.SMTPResponseException as error:
            # Not what it says: some servers repeat what they were sent.
            raise Undelivered(f"{where}: {type(error).__name__} {error.smtp_code}") from None
        except smtplib.SMTPNotSupportedError:
            raise Undelivered(
                f"{where}: it offers no STARTTLS or no log-in; use smtps://, or set smtp_starttls ="
                " false where nobody listens on the way"
            ) from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Undelivered(f"{where}: {error or type(error).__name__}") from None

    def _send(self, message: EmailMessage) -> None:
        server = self._connected()
        try:
            if self._settings.smtp_user:
                server.login(
                    self._settings.smtp_user, self._settings.smtp_password.get_secret_value()
                )
            server.send_message(message)
        finally:
            # It has been taken, or has failed: how the two part changes nothing.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    def _connected(self) -> smtplib.SMTP:
        if self._implicit_tls:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(
                self._host, self._port, timeout=self._timeout_s, context=context
            )
        server = smtplib.SMTP(self._host, self._port, timeout=self._timeout_s)
        if self._settings.smtp_starttls:
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        # A header is one line, whatever a subject of ours may come to hold.
        message["Subject"] = " ".join(notice.title.split())
        message["From"] = self._settings.mail_from
        message["To"] = ", ".join(self._settings.mail_to)
        message["Date"] = formatdate()
        # The same for the same notice, so that a mailbox can tell that it came twice.
        domain = self._settings.mail_from.rpartition("@")[2].strip("> ")
        message["Message-ID"] = f"<histq.{notice.id}.{notice.host}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(notice.body)
        return message
