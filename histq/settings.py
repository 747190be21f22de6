"""Every setting with its type, unit and default; what each means stands in config.example.toml."""

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from histq import model

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Days = Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)]


class DatabaseSettings(_Table):
    path: Path = Path("histq.db")
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


class RetentionSettings(_Table):
    """Days that each is kept for; 0 keeps it for ever."""

    stats_days: _Days = 90.0
    runs_days: _Days = 365.0
    letters_days: _Days = 0.0
    revisions_days: _Days = 0.0


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

    database: DatabaseSettings = DatabaseSettings()
    queue: QueueSettings = QueueSettings()
    store: StoreSettings = StoreSettings()
    consume: ConsumeSettings = ConsumeSettings()
    gaps: GapSettings = GapSettings()
    daemon: DaemonSettings = DaemonSettings()
    retention: RetentionSettings = RetentionSettings()
    sources: dict[str, SourceSettings]
    tokens: list[TokenSettings] = Field(default_factory=_default_tokens)


def plan_of(settings: SourceSettings) -> str:
    """The plan in force: `auto` is demo with a key, keyless without one."""
    if settings.plan == "auto":
        return "demo" if settings.key else "keyless"
    return settings.plan
