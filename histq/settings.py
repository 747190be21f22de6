"""Every setting with its type, unit and default; what each means stands in config.example.toml."""

from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from histq import model

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Days = Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)]
Environment = Literal["development", "preview", "production"]

DATABASES: Final[Mapping[Environment, Path]] = {
    "development": Path("histq.db"),
    "preview": Path("histq-preview.db"),
    "production": Path("histq-production.db"),
}
"""Each environment's own, where no path is set."""


class LogSettings(_Table):
    format: Literal["text", "json"] = "text"
    level: Literal["auto", "debug", "info", "warning", "error"] = "auto"

    @property
    def threshold(self) -> str:
        """The level in force: `auto` is warning for people, and info for machines."""
        if self.level == "auto":
            return "info" if self.format == "json" else "warning"
        return self.level


class DatabaseSettings(_Table):
    path: Path = DATABASES["development"]
    allow_network: bool = False
    min_free_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024


class QueueSettings(_Table):
    url: str = ""
    lease_s: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 60.0
    max_retries: Annotated[int, Field(ge=0)] = 3
    batch_size: _Count = 100
    batch_points: _Count = 10_000
    batch_seconds: _Seconds = 1.0
    max_depth: _Count = 5_000_000
    alert_depth: _Count = 10_000


class StoreSettings(_Table):
    url: str = ""


class ConsumeSettings(_Table):
    concurrency: Annotated[int, Field(ge=1, le=64)] = 5
    shutdown_seconds: _Seconds = 30.0


class GapSettings(_Table):
    confirm_after_s: _Seconds = 1800.0


class DaemonSettings(_Table):
    """Schedules are cron expressions in UTC or intervals such as 15m; empty is never."""

    schedule: Annotated[str, Field(min_length=1)] = "*/15 * * * *"
    jitter_s: _Seconds = 30.0
    repair: str = "7 * * * *"
    recheck: str = "37 3 * * *"
    recheck_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    maintain: str = "17 * * * *"
    prune: str = "47 4 * * *"
    backup: str = ""
    backup_folder: str = ""
    backup_keep: _Count = 7
    deadline_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3600.0
    listen: str = ""
    token: SecretStr = SecretStr("")
    hosts: list[str] = []


class RetentionSettings(_Table):
    """Days that each is kept for; 0 keeps it for ever."""

    stats_days: _Days = 90.0
    runs_days: _Days = 365.0
    letters_days: _Days = 0.0
    revisions_days: _Days = 0.0


class AlertSettings(_Table):
    lag_s: _Seconds = 900.0
    webhook_url: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
    smtp_url: str = ""
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_starttls: bool = True
    mail_from: str = ""
    mail_to: list[str] = []
    apprise_urls: list[SecretStr] = []

    @field_validator("webhook_url")
    @classmethod
    def _web_address(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value().strip()
        if url:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
                raise ValueError("is no URL such as https://example.com/hook")
        return SecretStr(url)

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
            raise ValueError("is no URL such as smtp://mail.example.com:587")
        if parts.port == 0 or parts.username is not None:
            raise ValueError("is host and port alone; smtp_user and smtp_password log in")
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str) -> str:
        return _address(value) if value else value

    @field_validator("mail_to")
    @classmethod
    def _recipients(cls, value: list[str]) -> list[str]:
        return [_address(one) for one in value]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.smtp_url and not (self.mail_from and self.mail_to):
            raise ValueError("smtp_url needs mail_from and mail_to")
        return self


def _address(value: str) -> str:
    """Raises ValueError for what is no address, or more than one line."""
    if not value.isprintable() or "@" not in parseaddr(value)[1]:
        raise ValueError("is no address such as ops@example.com")
    return value


class SentrySettings(_Table):
    dsn: SecretStr = SecretStr("")


class SourceSettings(_Table):
    enabled: bool
    base_url: str
    api_key: SecretStr = SecretStr("")
    intervals: Annotated[list[str], Field(min_length=1)]
    concurrency: Annotated[int, Field(ge=1, le=64)]
    requests_per_minute: _Count
    credits_per_day: Annotated[int, Field(ge=0)] = 0
    credits_per_month: Annotated[int, Field(ge=0)] = 0
    max_wait_s: _Seconds = 120.0
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    plan: str = ""
    schedule: str = ""

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)  # its port is a ValueError where it is no number
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("is no URL such as https://api.example.com")
        if parts.username is not None:
            raise ValueError("holds a user name; a key belongs into api_key, which is never shown")
        return value

    @field_validator("api_key")
    @classmethod
    def _one_word(cls, value: SecretStr) -> SecretStr:
        """Without the blanks and line ends that come along when a key is pasted."""
        key = value.get_secret_value().strip()
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ValueError("holds characters that no key has; paste it again")
        return SecretStr(key)

    @property
    def key(self) -> str:
        return self.api_key.get_secret_value()


class TokenSettings(_Table):
    base: Annotated[str, Field(pattern=r"^[A-Z0-9]+$")]
    quote: Annotated[str, Field(pattern=r"^[A-Z0-9]+$")] = "USDT"
    coingecko_id: str = ""

    @property
    def token(self) -> model.Token:
        return model.Token(self.base, self.quote, self.coingecko_id)


DEFAULT_TOKENS: Final = (
    ("BTC", "bitcoin"),
    ("ETH", "ethereum"),
    ("SOL", "solana"),
    ("BNB", "binancecoin"),
    ("XRP", "ripple"),
    ("ADA", "cardano"),
    ("DOGE", "dogecoin"),
    ("TRX", "tron"),
    ("AVAX", "avalanche-2"),
    ("LINK", "chainlink"),
    ("DOT", "polkadot"),
    ("LTC", "litecoin"),
    ("BCH", "bitcoin-cash"),
)


def _default_tokens() -> list[TokenSettings]:
    return [TokenSettings(base=base, coingecko_id=coin) for base, coin in DEFAULT_TOKENS]


class Settings(_Table):
    """All settings, checked. Times are in seconds; see config.example.toml for each."""

    environment: Environment = "development"
    database: DatabaseSettings = DatabaseSettings()
    logs: LogSettings = LogSettings()
    queue: QueueSettings = QueueSettings()
    store: StoreSettings = StoreSettings()
    consume: ConsumeSettings = ConsumeSettings()
    gaps: GapSettings = GapSettings()
    daemon: DaemonSettings = DaemonSettings()
    retention: RetentionSettings = RetentionSettings()
    alerts: AlertSettings = AlertSettings()
    sentry: SentrySettings = SentrySettings()
    sources: dict[str, SourceSettings]
    tokens: list[TokenSettings] = Field(default_factory=_default_tokens)

    def secrets(self) -> tuple[str, ...]:
        """Every value that nobody may see."""
        return tuple(filter(None, _secrets(self.model_dump())))


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _secrets(one)


SECRETS: Final = frozenset(
    name
    for table in _Table.__subclasses__()
    for name, field in table.model_fields.items()
    if field.annotation in (SecretStr, list[SecretStr])
)
"""Names of settings that are never shown."""


def plan_of(settings: SourceSettings) -> str:
    """The plan in force: `auto` is demo with a key, keyless without one."""
    if settings.plan == "auto":
        return "demo" if settings.key else "keyless"
    return settings.plan
