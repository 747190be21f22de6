"""Settings: flag > HISTQ_* environment > ./histq.toml > user configuration > default.

Every value knows where it came from.
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import platformdirs
from pydantic import SecretStr

from histq.errors import Config, Usage
from histq.packaged import packaged
from histq.providers import providers
from histq.settings import DATABASES, Settings, SourceSettings
from histq.validated import ALIASES, ENVIRONMENT_PREFIX, Origins, Tree, nearest, validated

FILE_NAME: Final = "histq.toml"
ENVIRONMENT_VARIABLES: Final = ("HISTQ_ENVIRONMENT",)
FORMAT_VARIABLES: Final = ("HISTQ_LOG_FORMAT", "HISTQ_LOGS__FORMAT")
HOW_TO_LOG: Final = (*FORMAT_VARIABLES, "HISTQ_LOG_LEVEL", "HISTQ_LOGS__LEVEL")
OTHER_VARIABLES: Final = ("HISTQ_CONFIG", "HISTQ_STATE_DIR", "HISTQ_PING_URL")


class Loaded:
    """Settings with the origin of each value, and the files that were read."""

    def __init__(self, settings: Settings, origins: Origins, files: list[Path]) -> None:
        self.settings = settings
        self.files = files
        self._origins = origins

    def values(self) -> Iterator[tuple[str, str, str]]:
        """(key, value as TOML would write it, origin) of every setting; secrets hidden."""
        for path, value in leaves(self.settings.model_dump(mode="python")):
            yield ".".join(path), _shown(_hidden(value)), self._origin(path)

    def _origin(self, path: tuple[str, ...]) -> str:
        for length in range(len(path), 0, -1):
            if path[:length] in self._origins:
                return self._origins[path[:length]]
        return "default"


def _hidden(value: object) -> object:
    """The value with secrets in it hidden; an empty one hides nothing."""
    if isinstance(value, SecretStr):
        return "hidden" if value.get_secret_value() else ""
    return [_hidden(one) for one in value] if isinstance(value, list) else value


def _shown(value: object) -> str:
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value)


def user_file() -> Path:
    return platformdirs.user_config_path("histq") / "config.toml"


def template() -> str:
    """The text that `histq init` writes: config.example.toml with every setting commented out."""
    lines = packaged("config.example.toml").splitlines()
    return "".join(f"# {line}\n" if _sets(line) else f"{line}\n" for line in lines)


def _sets(line: str) -> bool:
    """Whether the line is a setting, or the head of a list entry, which may not stay empty."""
    return line.startswith("[[") or (" = " in line and not line.startswith("#"))


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where what all histq processes of this machine share is kept: request budgets."""
    if named := environ.get("HISTQ_STATE_DIR"):
        return Path(named)
    return platformdirs.user_state_path("histq")


def load(
    flags: Tree | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    plain: bool = False,
    read_files: bool = True,
) -> Loaded:
    """The settings in force. `file` stands in for ./histq.toml, and must exist. Raises Config.

    Without `read_files` there are environment and flags alone, with `plain` only flags, and how to
    log. A variable with a short name, such as HISTQ_DB, is not set where it is empty.
    """
    folder = folder or Path.cwd()
    environ = {name: text for name, text in environ.items() if text or "__" in name}
    if plain:
        environ = {name: environ[name] for name in HOW_TO_LOG if name in environ}
    if file is None and "HISTQ_CONFIG" in environ:
        file = Path(environ["HISTQ_CONFIG"])
    local = file or folder / FILE_NAME
    if file is not None and not file.is_file():
        raise Config(f"no configuration file {file}; histq init writes one")
    tree: Tree = {}
    origins: Origins = {}
    readable = (user_file(), local) if read_files and not plain else ()
    files = [path for path in readable if path.is_file()]
    for path in files:
        _overlay(tree, origins, _read(path), str(path))
    _overlay(tree, origins, _from_environment(environ), "environment")
    _overlay(tree, origins, flags or {}, "flag")
    settings = validated(tree, origins)
    if ("database", "path") not in origins:
        _set_database(settings, DATABASES[settings.environment])
    if not settings.database.path.is_absolute():
        _place_database(settings, origins, local if local in files else None)
    return Loaded(settings, origins, files)


def _place_database(settings: Settings, origins: Origins, local: Path | None) -> None:
    """A relative path in a file is relative to that file; the default lies beside ./histq.toml."""
    origin = origins.get(("database", "path"))
    if origin in ("environment", "flag") or (origin is None and local is None):
        return
    base = local.parent if origin is None and local is not None else Path(origin or "").parent
    _set_database(settings, base / settings.database.path)


def _set_database(settings: Settings, path: Path) -> None:
    placed = settings.database.model_copy(update={"path": path})
    object.__setattr__(settings, "database", placed)


def told(names: Sequence[str], environ: Mapping[str, str] = os.environ) -> str | None:
    """What the first of these variables says that is set, for what goes wrong before `load`."""
    return next((environ[name] for name in names if environ.get(name)), None)


def _read(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise Config(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Config(f"{path}: is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise Config(f"{path}: is no valid TOML: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> Tree:
    """HISTQ_SOURCES__BINANCE__BASE_URL as {"sources": {"binance": {"base_url": ...}}}."""
    tree: Tree = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in OTHER_VARIABLES:
            continue
        path = ALIASES.get(name) or _path(name)
        *parents, leaf = path
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
            if not isinstance(branch, dict):
                raise Config(f"environment: {name} contradicts another HISTQ_ variable")
        branch[leaf] = _environment_value(text)
    return tree


def _path(name: str) -> tuple[str, ...]:
    table, *rest = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
    if table == "sources" and rest and rest[0].replace("_", "-") in providers():
        rest[0] = rest[0].replace("_", "-")  # a shell takes no hyphen in the name of a variable
    return table, *rest


def _environment_value(text: str) -> object:
    """Lists and tables are JSON; everything else is text, which the settings convert."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _overlay(tree: Tree, origins: Origins, news: Tree, origin: str) -> None:
    _merge(tree, news)
    for path, _ in leaves(news):
        for known in [k for k in origins if k[: len(path)] == path]:
            del origins[known]
        origins[path] = origin


def _merge(tree: Tree, news: Tree) -> None:
    for key, value in news.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def leaves(
    tree: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every (path, value) that is no table; an empty table is a leaf named "" of itself."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, key)) if value else [((*above, key, ""), value)]
        else:
            yield (*above, key), value


def source_settings(settings: Settings, name: str) -> SourceSettings:
    """The settings of one source. Raises Usage for a name that is none."""
    if name not in settings.sources:
        raise Usage(f"no source {name!r}{nearest(name, settings.sources)}")
    return settings.sources[name]
