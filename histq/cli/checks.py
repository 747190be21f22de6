"""What `config check` looks at: settings that are valid, and still will not do what was meant."""

from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from histq.alerts.channels import open_channels
from histq.errors import Config
from histq.place import refuse_impossible
from histq.providers import providers
from histq.settings import Settings, plan_of


def problems(settings: Settings) -> list[str]:
    """A sentence each, with what to do."""
    return [
        *_database(settings),
        *_sources(settings),
        *_daemon(settings),
        *_alerts(settings),
        *_tokens(settings),
    ]


def _database(settings: Settings) -> list[str]:
    try:
        refuse_impossible(settings.database.path, create=True)
    except Config as error:
        return [f"database.path: {error}"]
    return []


def _sources(settings: Settings) -> list[str]:
    found = []
    if not any(source.enabled for source in settings.sources.values()):
        found.append("sources: none is enabled, so histq fetch has nobody to ask")
    for name, source in settings.sources.items():
        provider, plan = providers()[name], plan_of(source)
        if (
            source.enabled
            and not source.key
            and name != "cryptocompare"
            and plan in ("demo", "paid")
        ):
            found.append(f"sources.{name}: plan {plan} needs an api_key, and none is set")
        if source.key and plan == "keyless":
            found.append(f"sources.{name}: api_key is set, but plan keyless does not send it")
        host = urlsplit(provider.base_url(source.base_url, plan)).hostname or ""
        if name == "coingecko" and plan == "demo" and host.startswith("pro-api"):
            found.append(f"sources.{name}: a demo key does not work at {host}; set plan to paid")
        if source.key and urlsplit(source.base_url).scheme == "http" and not _loopback(host):
            found.append(f"sources.{name}: base_url is http, so the key travels in the clear")
    return found


def _daemon(settings: Settings) -> list[str]:
    from histq.daemon.page import refuse_address
    from histq.daemon.schedule import wrong_schedules
    from histq.web.address import wrong_hosts

    daemon = settings.daemon
    found = [str(error) for error in wrong_schedules(settings)]
    folder = daemon.backup_folder
    if daemon.backup and folder and not Path(folder).is_dir():
        found.append(f"daemon.backup_folder: there is no folder {folder}, so no backup can be made")
    found += [
        f"daemon.hosts: {name!r} is no name of a host, such as prices.example.com"
        for name in wrong_hosts(daemon.hosts)
    ]
    try:
        refuse_address(settings)
    except Config as error:
        found.append(f"daemon.listen: {error}")
    return found


def _alerts(settings: Settings) -> list[str]:
    alerts, found = settings.alerts, []
    try:
        open_channels(alerts)
    except Config as error:
        found.append(str(error))
    hook = urlsplit(alerts.webhook_url.get_secret_value())
    if hook.scheme == "http" and not _loopback(hook.hostname or ""):
        found.append("alerts.webhook_url: it is http, so what opens it travels in the clear")
    post = urlsplit(alerts.smtp_url)
    clear = post.scheme == "smtp" and not alerts.smtp_starttls
    if clear and alerts.smtp_user and not _loopback(post.hostname or ""):
        found.append("alerts: smtp_starttls is false, so smtp_password travels in the clear")
    return found


def _loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _tokens(settings: Settings) -> list[str]:
    found = []
    counts = Counter((token.base, token.quote) for token in settings.tokens)
    for (base, quote), times in counts.items():
        if times > 1:
            found.append(f"tokens: {base}/{quote} is listed {times} times")
    for base in dict.fromkeys(token.base for token in settings.tokens):
        coins = {t.coingecko_id for t in settings.tokens if t.base == base and t.coingecko_id}
        if len(coins) > 1:
            found.append(
                f"tokens: {base} is {' and '.join(sorted(coins))} at CoinGecko, which would be one"
                f" series {base}USD; only the first is fetched"
            )
    if settings.sources["coingecko"].enabled:
        for token in settings.tokens:
            if not token.coingecko_id:
                found.append(
                    f"tokens: {token.base}/{token.quote} has no coingecko_id, so CoinGecko is not"
                    " asked for it"
                )
    if not settings.tokens:
        found.append("tokens: none, so histq fetch without symbols has nothing to ask for")
    return found
