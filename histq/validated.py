"""A tree of settings made Settings, or a line that says what is wrong, and where it came from.

Unknown keys are errors that name the nearest known one.
"""

import difflib
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from histq.errors import Config
from histq.providers import providers
from histq.settings import SECRETS, Settings, SourceSettings

ENVIRONMENT_PREFIX: Final = "HISTQ_"
ALIASES: Final = {
    "HISTQ_DB": ("database", "path"),
    "HISTQ_LOG_FORMAT": ("logs", "format"),
    "HISTQ_LOG_LEVEL": ("logs", "level"),
}
"""Short names of settings in the environment."""
VALUES: Final = ("environment", "tokens")
"""Settings that are in no table."""

Tree = dict[str, Any]
Origins = dict[tuple[str, ...], str]


def validated(tree: Tree, origins: Origins) -> Settings:
    """The settings, with each provider's defaults below what the tree says. Raises Config."""
    tree = _with_source_defaults(tree, origins)
    for name in tree["sources"]:
        if name not in providers():
            origin = _origin_of(origins, ("sources", name))
            raise Config(f"{origin}: no source {name!r}{nearest(name, providers())}")
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        told = "; ".join(_told(found, origins) for found in error.errors())
        raise Config(told) from None  # pydantic's own text shows values, and one may be a key
    for name, source in settings.sources.items():
        _refuse_unknown(name, source, origins)
    for place, url in (("queue", settings.queue.url), ("store", settings.store.url)):
        if url and not url.startswith("sqlite:///"):
            origin = _origin_of(origins, (place, "url"))
            raise Config(
                f"{origin}: {place}.url: {url.partition(':')[0]!r} is no back end that this histq"
                ' has; known: "" (the database itself), sqlite:///path'
            )
    return settings


def _with_source_defaults(tree: Tree, origins: Origins) -> Tree:
    sources = tree.get("sources", {})
    if not isinstance(sources, dict):
        origin = _origin_of(origins, ("sources",))
        raise Config(f"{origin}: sources must be a table: [sources.binance]")
    filled: Tree = {}
    for name, provider in providers().items():
        defaults = provider.defaults._asdict()
        plans = defaults.pop("plans")
        del defaults["cost"], defaults["unit"], defaults["monthly_credits"]
        own = sources.get(name, {})
        if not isinstance(own, dict):
            origin = _origin_of(origins, ("sources", name))
            raise Config(f"{origin}: sources.{name} must be a table: [sources.{name}]")
        filled[name] = {**defaults, "plan": plans[0] if plans else "", **own}
    unknown = {name: value for name, value in sources.items() if name not in filled}
    return {**tree, "sources": {**filled, **unknown}}


def _refuse_unknown(name: str, source: SourceSettings, origins: Origins) -> None:
    """Raises Config for an interval or a plan that the provider does not have."""
    provider = providers()[name]
    for interval in source.intervals:
        if interval not in provider.intervals:
            origin = _origin_of(origins, ("sources", name, "intervals"))
            raise Config(
                f"{origin}: sources.{name}.intervals: {name} has no {interval!r}; it serves"
                f" {', '.join(provider.intervals)}"
            )
    plans = provider.defaults.plans or ("",)
    if source.plan not in plans:
        origin = _origin_of(origins, ("sources", name, "plan"))
        known = ", ".join(filter(None, plans)) or "no plans"
        raise Config(f"{origin}: sources.{name}.plan: {source.plan!r} is none of {known}")


def _told(found: ErrorDetails, origins: Origins) -> str:
    path = tuple(str(part) for part in found["loc"])
    place = ".".join(path)
    if _origin_of(origins, path) == "environment":
        short = [f"{name} or " for name, alias in ALIASES.items() if alias == path]
        place = "".join(short) + ENVIRONMENT_PREFIX + "__".join(path).upper()
    named = tuple(part for part in path if not part.isdigit())
    origin = _origin_of(origins, path) if path else "settings"
    if origin == "default" and named:
        origin = _origin_of(origins, named[:1])
    if found["type"] == "extra_forbidden":
        return f"{origin}: no setting {place!r}{nearest(path[-1], _known_keys(named[:-1]))}"
    said = found["msg"].removeprefix("Value error, ")
    if not path:
        return said
    value = "" if _may_be_secret(path, found["input"]) else f", is {found['input']!r}"
    return f"{origin}: {place}: {said}{value}"


def _may_be_secret(path: tuple[str, ...], value: object) -> bool:
    """Whether the value is one that nobody may see, or may hold one."""
    if isinstance(value, int | float):
        return not SECRETS.isdisjoint(path)
    for_a_table = len(path) == 1 and path[0] not in VALUES
    logs_in = "://" in str(value) and "@" in str(value)
    return for_a_table or isinstance(value, dict) or logs_in or not SECRETS.isdisjoint(path)


def _known_keys(above: tuple[str, ...]) -> list[str]:
    """The keys of the table at that path; below `sources` and `tokens` that of an entry."""
    table: type[BaseModel] = Settings
    if above:
        annotation = Settings.model_fields[above[0]].annotation
        entry = get_args(annotation)[-1:] or (annotation,)
        assert isinstance(entry[0], type)
        assert issubclass(entry[0], BaseModel)
        table = entry[0]
    return list(table.model_fields)


def _origin_of(origins: Origins, path: tuple[str, ...]) -> str:
    """Where the value at `path`, or the first one below it, came from."""
    return next(
        (origin for known, origin in origins.items() if known[: len(path)] == path), "default"
    )


def nearest(name: str, known: Mapping[str, object] | list[str]) -> str:
    """The end of a line that refuses the name: what may have been meant, or what there is."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}"
