"""Settings: which source of a value wins, where it came from, and what a wrong one is told."""

import gzip
import json
import re
import tomllib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from histq import config
from histq.config import Loaded, load, template
from histq.errors import Config
from histq.packaged import packaged

SECRET = "k3y-that-nobody-may-see"


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's own configuration goes; nothing is there yet."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    path = config.user_file()
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def folder(tmp_path: Path, user_file: Path) -> Path:
    """The current folder, as far as settings are concerned; the user has none of their own."""
    assert not user_file.exists()
    made = tmp_path / "project"
    made.mkdir()
    return made


def written(folder: Path, text: str) -> Path:
    file = folder / "histq.toml"
    file.write_text(text)
    return file


def shown(loaded: Loaded) -> dict[str, tuple[str, str]]:
    """Key -> (value, origin)."""
    return {key: (value, origin) for key, value, origin in loaded.values()}


def refusal(folder: Path, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(Config) as told:
        load(folder=folder, environ=environ or {})
    return str(told.value)


def keys(tree: Mapping[str, Any], above: str = "") -> set[str]:
    """The dotted path of every value that is no table."""
    found: set[str] = set()
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= keys(value, f"{above}{key}.")
        else:
            found.add(above + key)
    return found


@pytest.mark.parametrize(
    ("levels", "value"),
    [
        pytest.param((), "100", id="default"),
        pytest.param(("user",), "11", id="user configuration"),
        pytest.param(("user", "local"), "12", id="histq.toml"),
        pytest.param(("user", "local", "environment"), "13", id="environment"),
        pytest.param(("user", "local", "environment", "flag"), "14", id="flag"),
        pytest.param(("user", "flag"), "14", id="flag over user configuration"),
        pytest.param(("local", "flag"), "14", id="flag over histq.toml"),
        pytest.param(("user", "environment"), "13", id="environment over user configuration"),
    ],
)
def test_the_nearest_level_wins_and_is_named_as_the_origin(
    levels: tuple[str, ...], value: str, folder: Path, user_file: Path
) -> None:
    local = folder / "histq.toml"
    if "user" in levels:
        user_file.write_text("[queue]\nbatch_size = 11\n")
    if "local" in levels:
        local.write_text("[queue]\nbatch_size = 12\n")
    environ = {"HISTQ_QUEUE__BATCH_SIZE": "13"} if "environment" in levels else {}
    flags = {"queue": {"batch_size": 14}} if "flag" in levels else None

    loaded = load(flags, environ=environ, folder=folder)

    names = {"user": str(user_file), "local": str(local)}
    last = levels[-1] if levels else "default"
    assert shown(loaded)["queue.batch_size"] == (value, names.get(last, last))


def test_each_value_is_taken_from_its_own_level(folder: Path, user_file: Path) -> None:
    user_file.write_text("[queue]\nlease_s = 61\nbatch_size = 11\n")
    local = written(folder, "[queue]\nbatch_size = 12\nmax_retries = 5\n")
    environ = {"HISTQ_QUEUE__MAX_RETRIES": "6"}

    found = shown(load({"queue": {"max_depth": 7}}, environ=environ, folder=folder))

    assert found["queue.lease_s"] == ("61.0", str(user_file))
    assert found["queue.batch_size"] == ("12", str(local))
    assert found["queue.max_retries"] == ("6", "environment")
    assert found["queue.max_depth"] == ("7", "flag")
    assert found["queue.alert_depth"] == ("10000", "default")


def test_an_empty_table_takes_no_value_and_no_origin_away(folder: Path, user_file: Path) -> None:
    user_file.write_text(
        '[database]\npath = "prices.db"\n[queue]\nbatch_size = 11\n'
        '[sources.binance]\nbase_url = "http://x"\n'
    )
    written(folder, template())

    loaded = load(environ={}, folder=folder)

    found = shown(loaded)
    assert found["queue.batch_size"] == ("11", str(user_file))
    assert found["sources.binance.base_url"] == ('"http://x"', str(user_file))
    assert loaded.settings.database.path == user_file.parent / "prices.db"


def test_the_files_that_were_read_are_known(folder: Path, user_file: Path) -> None:
    user_file.write_text("")
    local = written(folder, "")

    loaded = load(environ={}, folder=folder)

    assert loaded.files == [user_file, local]


def test_plain_settings_heed_neither_files_nor_environment(folder: Path, user_file: Path) -> None:
    user_file.write_text("[queue]\nbatch_size = 11\n")
    written(folder, "[queue]\nlease_s = 99\n")

    loaded = load(environ={"HISTQ_QUEUE__MAX_RETRIES": "6"}, folder=folder, plain=True)

    assert {origin for _, origin in shown(loaded).values()} == {"default"}
    assert loaded.files == []


def test_a_named_file_stands_in_for_the_one_of_the_folder(folder: Path) -> None:
    written(folder, "[queue]\nbatch_size = 12\nmax_retries = 5\n")
    named = folder / "other.toml"
    named.write_text("[queue]\nbatch_size = 21\n")

    loaded = load(file=named, environ={}, folder=folder)

    assert loaded.settings.queue.batch_size == 21
    assert loaded.settings.queue.max_retries == 3


def test_the_environment_can_name_the_file_and_the_flag_overrules_it(folder: Path) -> None:
    first, second = folder / "first.toml", folder / "second.toml"
    first.write_text("[queue]\nbatch_size = 21\n")
    second.write_text("[queue]\nbatch_size = 22\n")
    environ = {"HISTQ_CONFIG": str(first)}

    by_environment = load(environ=environ, folder=folder)
    by_flag = load(file=second, environ=environ, folder=folder)

    assert by_environment.settings.queue.batch_size == 21
    assert by_flag.settings.queue.batch_size == 22


def test_a_named_file_that_is_missing_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(Config, match=r"nope\.toml"):
        load(file=folder / "nope.toml", environ={}, folder=folder)


def test_other_variables_of_the_environment_are_no_settings(folder: Path) -> None:
    environ = {"HISTQ_STATE_DIR": "/nowhere", "PATH": "/bin", "HISTQUEUE": "x"}

    loaded = load(environ=environ, folder=folder)

    assert {origin for _, origin in shown(loaded).values()} == {"default"}


def test_the_short_variable_names_the_database(folder: Path) -> None:
    found = shown(load(environ={"HISTQ_DB": "/data/prices.db"}, folder=folder))

    assert found["database.path"] == ('"/data/prices.db"', "environment")


def test_the_long_variable_names_the_database_too(folder: Path) -> None:
    found = shown(load(environ={"HISTQ_DATABASE__PATH": "/data/prices.db"}, folder=folder))

    assert found["database.path"] == ('"/data/prices.db"', "environment")


def test_the_database_of_a_flag_comes_before_the_variable(folder: Path) -> None:
    flags = {"database": {"path": "/data/flag.db"}}

    found = shown(load(flags, environ={"HISTQ_DB": "/data/prices.db"}, folder=folder))

    assert found["database.path"] == ('"/data/flag.db"', "flag")


def test_a_list_comes_from_the_environment_as_json(folder: Path) -> None:
    environ = {"HISTQ_SOURCES__BINANCE__INTERVALS": '["1d", "1m"]'}

    loaded = load(environ=environ, folder=folder)

    assert loaded.settings.sources["binance"].intervals == ["1d", "1m"]


def test_variables_that_contradict_each_other_are_refused(folder: Path) -> None:
    told = refusal(folder, {"HISTQ_QUEUE": "3", "HISTQ_QUEUE__LEASE_S": "4"})

    assert "HISTQ_QUEUE__LEASE_S" in told


@pytest.mark.parametrize(
    ("source", "url"),
    [
        pytest.param("binance", "https://data-api.binance.vision", id="binance"),
        pytest.param("coingecko", "https://api.coingecko.com/api/v3", id="coingecko"),
        pytest.param("cryptocompare", "https://min-api.cryptocompare.com", id="cryptocompare"),
    ],
)
def test_each_source_has_the_base_url_that_is_documented(
    source: str, url: str, folder: Path
) -> None:
    loaded = load(environ={}, folder=folder)

    assert loaded.settings.sources[source].base_url == url


@pytest.mark.parametrize("source", ["binance", "coingecko", "cryptocompare", "demo"])
def test_the_base_url_of_one_source_leaves_the_others_alone(source: str, folder: Path) -> None:
    before = load(environ={}, folder=folder).settings.sources
    environ = {f"HISTQ_SOURCES__{source.upper()}__BASE_URL": "http://127.0.0.1:1"}

    after = load(environ=environ, folder=folder).settings.sources

    assert after[source].base_url == "http://127.0.0.1:1"
    assert {n: s for n, s in after.items() if n != source} == {
        n: s for n, s in before.items() if n != source
    }


@pytest.mark.parametrize(
    ("text", "unknown", "nearest"),
    [
        pytest.param("[queue]\nlease = 3\n", "'queue.lease'", "'lease_s'", id="key"),
        pytest.param("[quue]\nlease_s = 3\n", "'quue'", "'queue'", id="table"),
        pytest.param("[quue]\n", "'quue'", "'queue'", id="empty table"),
        pytest.param(
            '[sources.binance]\nbaseurl = "http://x"\n',
            "'sources.binance.baseurl'",
            "'base_url'",
            id="key of a source",
        ),
        pytest.param(
            "[sources.binanse]\nenabled = true\n", "'binanse'", "'binance'", id="source name"
        ),
        pytest.param("[sources.binanse]\n", "'binanse'", "'binance'", id="empty source"),
        pytest.param(
            '[[tokens]]\nbase = "BTC"\ncoingeko_id = "bitcoin"\n',
            "'tokens.0.coingeko_id'",
            "'coingecko_id'",
            id="key of a token",
        ),
    ],
)
def test_an_unknown_key_in_a_file_is_told_with_the_file_and_the_nearest_one(
    text: str, unknown: str, nearest: str, folder: Path
) -> None:
    file = written(folder, text)

    told = refusal(folder)

    assert told.startswith(f"{file}: ")
    assert unknown in told
    assert f"did you mean {nearest}?" in told
    assert "\n" not in told


def test_an_unknown_key_of_the_user_configuration_is_told_with_that_file(
    folder: Path, user_file: Path
) -> None:
    written(folder, "[queue]\nbatch_size = 12\n")
    user_file.write_text("[queue]\nlease = 3\n")

    told = refusal(folder)

    assert told.startswith(f"{user_file}: ")


@pytest.mark.parametrize(
    ("name", "unknown", "nearest"),
    [
        pytest.param("HISTQ_QUEUE__LEASE", "'HISTQ_QUEUE__LEASE'", "'lease_s'", id="key"),
        pytest.param("HISTQ_QUUE__LEASE_S", "'HISTQ_QUUE'", "'queue'", id="table"),
        pytest.param("HISTQ_SOURCES__BINANSE__ENABLED", "'binanse'", "'binance'", id="source name"),
        pytest.param(
            "HISTQ_SOURCES__BINANCE__API_KYE",
            "'HISTQ_SOURCES__BINANCE__API_KYE'",
            "'api_key'",
            id="key of a source",
        ),
    ],
)
def test_an_unknown_variable_is_told_with_the_environment_and_the_nearest_key(
    name: str, unknown: str, nearest: str, folder: Path
) -> None:
    told = refusal(folder, {name: "1"})

    assert told.startswith("environment: ")
    assert unknown in told
    assert f"did you mean {nearest}?" in told


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        pytest.param("[queue]\nlease_s = 0\n", "queue.lease_s", "0", id="too small"),
        pytest.param("[queue]\nlease_s = nan\n", "queue.lease_s", "nan", id="no number"),
        pytest.param('[queue]\nlease_s = "soon"\n', "queue.lease_s", "soon", id="text"),
        pytest.param("[queue]\nbatch_size = 1.5\n", "queue.batch_size", "1.5", id="fraction"),
        pytest.param("[queue]\nmax_retries = -1\n", "queue.max_retries", "-1", id="negative"),
        pytest.param("[consume]\nconcurrency = 65\n", "consume.concurrency", "65", id="too large"),
        pytest.param("[database]\npath = 3\n", "database.path", "3", id="path"),
        pytest.param("queue = 3\n", "queue", "3", id="table"),
        pytest.param("sources = 3\n", "sources", "", id="sources"),
        pytest.param("[sources]\nbinance = 3\n", "sources.binance", "", id="source"),
        pytest.param(
            '[sources.binance]\nenabled = "maybe"\n', "sources.binance.enabled", "maybe", id="bool"
        ),
        pytest.param(
            '[sources.binance]\nbase_url = "ftp://x"\n',
            "sources.binance.base_url",
            "ftp://x",
            id="base_url",
        ),
        pytest.param(
            '[sources.binance]\nintervals = ["7h"]\n', "sources.binance.intervals", "7h", id="7h"
        ),
        pytest.param(
            "[sources.binance]\nintervals = []\n", "sources.binance.intervals", "[]", id="none"
        ),
        pytest.param(
            '[sources.coingecko]\nplan = "gold"\n', "sources.coingecko.plan", "gold", id="plan"
        ),
        pytest.param('[[tokens]]\nbase = "btc"\n', "tokens.0.base", "btc", id="token"),
        pytest.param('[[tokens]]\nquote = "USD"\n', "tokens.0.base", "", id="token without base"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_file_key_and_value(
    text: str, key: str, value: str, folder: Path
) -> None:
    file = written(folder, text)

    told = refusal(folder)

    assert told.startswith(f"{file}: ")
    assert key in told
    assert value in told
    assert "\n" not in told


def test_a_wrong_value_of_the_environment_is_told_with_it(folder: Path) -> None:
    told = refusal(folder, {"HISTQ_QUEUE__LEASE_S": "soon"})

    assert told.startswith("environment: HISTQ_QUEUE__LEASE_S: ")
    assert "'soon'" in told


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"[queue\n", "no valid TOML", id="broken TOML"),
        pytest.param(b"\xff\xfe[queue]\n", "not UTF-8", id="no UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes, why: str, folder: Path) -> None:
    file = folder / "histq.toml"
    file.write_bytes(content)

    told = refusal(folder)

    assert told.startswith(f"{file}: ")
    assert why in told


KEYS_IN_THE_WRONG_PLACE = [
    pytest.param(f"[sources.binance]\napi_key = {SECRET}\n", id="without quotes"),
    pytest.param(f'[sources.binance]\napi_key = ["{SECRET}"]\n', id="a list"),
    pytest.param(f'[sources.binance]\napi_key = {{ key = "{SECRET}" }}\n', id="a table"),
    pytest.param(f'[sources.binance]\napi_kye = "{SECRET}"\n', id="misspelt"),
    pytest.param(f'[sources.binanse]\napi_key = "{SECRET}"\n', id="source misspelt"),
    pytest.param(f'[[sources.binance]]\napi_key = "{SECRET}"\n', id="a list of tables"),
    pytest.param(f'[sources.binance]\napi_key = "{SECRET}"\nlease = 1\n', id="beside an error"),
    pytest.param(f'[daemon]\ntoken = ["{SECRET}"]\n', id="a list as token"),
    pytest.param(f'[[daemon]]\ntoken = "{SECRET}"\n', id="a list of daemons"),
    pytest.param(f'[[alerts]]\nwebhook_url = "https://{SECRET}"\n', id="a list of receivers"),
    pytest.param(f'alerts = "https://{SECRET}"\n', id="a receiver for a table"),
    pytest.param(f'alerts = ["{SECRET}"]\n', id="a list for a table"),
]


@pytest.mark.parametrize("text", KEYS_IN_THE_WRONG_PLACE)
def test_a_key_shows_in_no_error(text: str, folder: Path) -> None:
    written(folder, text)

    assert SECRET not in refusal(folder)


@pytest.mark.parametrize("text", KEYS_IN_THE_WRONG_PLACE)
def test_a_key_shows_in_no_traceback(text: str, folder: Path) -> None:
    written(folder, text)

    with pytest.raises(Config) as told:
        load(environ={}, folder=folder)

    assert SECRET not in "".join(traceback.format_exception(told.value))


def test_a_key_is_hidden_wherever_settings_are_shown(folder: Path) -> None:
    written(folder, f'[sources.binance]\napi_key = "{SECRET}"\n')

    loaded = load(environ={"HISTQ_SOURCES__COINGECKO__API_KEY": SECRET}, folder=folder)

    assert loaded.settings.sources["binance"].key == SECRET
    for text in (
        repr(loaded.settings),
        str(loaded.settings),
        loaded.settings.model_dump_json(),
        repr(loaded),
        repr(list(loaded.values())),
    ):
        assert SECRET not in text
    found = shown(loaded)
    assert found["sources.binance.api_key"] == ('"hidden"', str(folder / "histq.toml"))
    assert found["sources.coingecko.api_key"] == ('"hidden"', "environment")
    assert found["sources.cryptocompare.api_key"] == ('""', "default")


def test_every_secret_is_known_as_one(folder: Path) -> None:
    written(
        folder,
        f'[alerts]\nwebhook_url = "https://{SECRET}"\napprise_urls = ["json://{SECRET}", "x"]\n'
        f'[sentry]\ndsn = "{SECRET}"\n[sources.binance]\napi_key = "k"\n',
    )

    loaded = load(environ={}, folder=folder)

    found = {f"https://{SECRET}", f"json://{SECRET}", "x", SECRET, "k"}
    assert set(loaded.settings.secrets()) == found
    assert SECRET not in repr(list(loaded.values()))
    assert shown(loaded)["alerts.apprise_urls"][0] == '["hidden", "hidden"]'


def test_a_url_that_logs_in_is_refused_without_being_shown(folder: Path) -> None:
    written(folder, f'[sources.binance]\nbase_url = "https://me:{SECRET}@example.com"\n')

    told = refusal(folder)

    assert "sources.binance.base_url" in told
    assert SECRET not in told


@pytest.mark.parametrize("source", ["sources.binance", "sources.coingecko", "queue", "gaps"])
def test_settings_are_frozen(source: str, folder: Path) -> None:
    settings: Any = load(environ={}, folder=folder).settings
    table, _, name = source.partition(".")
    found = getattr(settings, table)[name] if name else getattr(settings, table)

    with pytest.raises(ValueError, match="frozen"):
        setattr(found, next(iter(type(found).model_fields)), 1)


def test_the_example_holds_every_setting_and_no_other(folder: Path) -> None:
    example = tomllib.loads(packaged("config.example.toml"))

    every = keys(load(environ={}, folder=folder).settings.model_dump())

    assert keys(example) == every
    assert {"sources.binance.api_key", "queue.lease_s", "tokens", "gaps.confirm_after_s"} <= every
    assert len(every) == 1 + 2 + 3 + 8 + 1 + 2 + 1 + 4 + 10 + 1 + 5 * 12 + 14 + 1


def test_every_value_of_the_example_is_the_default(folder: Path) -> None:
    file = written(folder, "")
    default = load(environ={}, folder=folder).settings
    file.write_text(packaged("config.example.toml"))

    example = load(environ={}, folder=folder).settings

    assert example.model_dump() == default.model_dump()


def test_every_setting_of_the_example_is_told_about(folder: Path) -> None:
    comments = "\n".join(
        line for line in packaged("config.example.toml").splitlines() if line.startswith("#")
    )
    shared = {
        key.rpartition(".")[2]
        for key in keys(tomllib.loads(packaged("config.example.toml")))
        if key.startswith("sources.")
    }

    assert {name for name in shared - {"plan"} if not re.search(rf"\b{name}\b", comments)} == set()


def test_the_template_is_toml_with_no_setting_in_force(folder: Path) -> None:
    written(folder, template())

    assert keys(tomllib.loads(template())) == set()
    assert {origin for _, origin in shown(load(environ={}, folder=folder)).values()} == {"default"}


def test_the_template_with_its_comments_taken_off_is_the_example() -> None:
    uncommented = re.sub(r"(?m)^# (?=\[\[tokens\]\]$|[a-z_]+ = )", "", template())

    assert uncommented.rstrip() == packaged("config.example.toml").rstrip()


def test_thirteen_tokens_are_fetched_by_default(folder: Path) -> None:
    tokens = load(environ={}, folder=folder).settings.tokens

    assert [token.base for token in tokens] == (
        [
            "BTC",
            "ETH",
            "SOL",
            "BNB",
            "XRP",
            "ADA",
            "DOGE",
            "TRX",
            "AVAX",
            "LINK",
            "DOT",
            "LTC",
            "BCH",
        ]
    )
    assert {token.quote for token in tokens} == {"USDT"}


def test_each_default_token_has_the_coingecko_id_of_its_coin(folder: Path, realdata: Path) -> None:
    listed = gzip.decompress((realdata / "coingecko/misc/coins_list_20250803.json.gz").read_bytes())
    symbols = {coin["id"]: coin["symbol"].upper() for coin in json.loads(listed)}

    tokens = load(environ={}, folder=folder).settings.tokens

    assert [symbols.get(token.coingecko_id) for token in tokens] == [t.base for t in tokens]


def test_a_list_of_tokens_replaces_the_default_one(folder: Path) -> None:
    written(folder, '[[tokens]]\nbase = "PEPE"\n')

    tokens = load(environ={}, folder=folder).settings.tokens

    assert [(token.base, token.quote, token.coingecko_id) for token in tokens] == [
        ("PEPE", "USDT", "")
    ]


def test_the_default_database_is_in_the_current_folder_without_a_file(folder: Path) -> None:
    loaded = load(environ={}, folder=folder)

    assert loaded.settings.database.path == Path("histq.db")


def test_the_default_database_is_beside_the_file_in_use(folder: Path) -> None:
    file = folder / "elsewhere" / "my.toml"
    file.parent.mkdir()
    file.write_text("")

    loaded = load(file=file, environ={}, folder=folder)

    assert loaded.settings.database.path == folder / "elsewhere" / "histq.db"


def test_a_relative_database_of_a_file_is_relative_to_that_file(folder: Path) -> None:
    written(folder, '[database]\npath = "data/prices.db"\n')

    loaded = load(environ={}, folder=folder)

    assert loaded.settings.database.path == folder / "data" / "prices.db"


@pytest.mark.parametrize("local", [True, False], ids=["with a histq.toml", "without"])
def test_a_relative_database_of_the_user_configuration_is_relative_to_it(
    local: bool, folder: Path, user_file: Path
) -> None:
    user_file.write_text('[database]\npath = "prices.db"\n')
    if local:
        written(folder, "")

    loaded = load(environ={}, folder=folder)

    assert loaded.settings.database.path == user_file.parent / "prices.db"


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        pytest.param({"database": {"path": "prices.db"}}, {}, id="flag"),
        pytest.param(None, {"HISTQ_DB": "prices.db"}, id="environment"),
    ],
)
def test_a_relative_database_of_flag_or_environment_is_relative_to_the_current_folder(
    flags: dict[str, Any] | None, environ: dict[str, str], folder: Path
) -> None:
    written(folder, '[database]\npath = "data/other.db"\n')

    loaded = load(flags, environ=environ, folder=folder)

    assert loaded.settings.database.path == Path("prices.db")


def test_an_absolute_database_stays_where_it_is(folder: Path, tmp_path: Path) -> None:
    written(folder, f'[database]\npath = "{tmp_path}/prices.db"\n')

    loaded = load(environ={}, folder=folder)

    assert loaded.settings.database.path == tmp_path / "prices.db"


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        pytest.param("development", "histq.db", id="development"),
        pytest.param("preview", "histq-preview.db", id="preview"),
        pytest.param("production", "histq-production.db", id="production"),
    ],
)
def test_each_environment_has_a_default_database_of_its_own(
    environment: str, name: str, folder: Path
) -> None:
    anywhere = load(environ={"HISTQ_ENVIRONMENT": environment}, folder=folder)
    written(folder, f'environment = "{environment}"\n')
    beside = load(environ={}, folder=folder)

    assert anywhere.settings.database.path == Path(name)
    assert beside.settings.database.path == folder / name
    assert shown(beside)["environment"] == (f'"{environment}"', str(folder / "histq.toml"))
    assert shown(beside)["database.path"] == (f'"{folder / name}"', "default")


@pytest.mark.parametrize(
    ("text", "environ", "flags", "path"),
    [
        pytest.param('[database]\npath = "histq.db"\n', {}, {}, "{folder}/histq.db", id="file"),
        pytest.param("", {"HISTQ_DB": "histq.db"}, {}, "histq.db", id="environment"),
        pytest.param("", {}, {"database": {"path": "mine.db"}}, "mine.db", id="flag"),
    ],
)
def test_a_database_that_is_named_is_taken_in_every_environment(
    text: str, environ: dict[str, str], flags: dict[str, Any], path: str, folder: Path
) -> None:
    written(folder, text)

    loaded = load(flags, environ={"HISTQ_ENVIRONMENT": "production", **environ}, folder=folder)

    assert str(loaded.settings.database.path) == path.format(folder=folder)


def test_an_environment_that_is_none_of_the_three_is_refused(folder: Path) -> None:
    told = refusal(folder, {"HISTQ_ENVIRONMENT": "prod"})

    assert told.startswith("environment: HISTQ_ENVIRONMENT: ")
    assert "'development', 'preview' or 'production'" in told


@pytest.mark.parametrize(
    ("logs", "threshold"),
    [
        pytest.param({}, "warning", id="text"),
        pytest.param({"format": "json"}, "info", id="json"),
        pytest.param({"format": "json", "level": "error"}, "error", id="as it says"),
        pytest.param({"level": "debug"}, "debug", id="text as it says"),
    ],
)
def test_people_are_told_of_warnings_and_machines_of_batches(
    logs: dict[str, str], threshold: str, folder: Path
) -> None:
    loaded = load({"logs": logs}, environ={}, folder=folder)

    assert loaded.settings.logs.threshold == threshold


@pytest.mark.parametrize(
    "name",
    ["ENVIRONMENT", "DB", "LOG_FORMAT", "LOG_LEVEL", "CONFIG", "STATE_DIR", "PING_URL", "TOKENS"],
)
def test_a_short_variable_that_is_empty_is_not_set(name: str, folder: Path) -> None:
    environ = {f"HISTQ_{name}": ""}

    assert load(environ=environ, folder=folder).settings == load(environ={}, folder=folder).settings
    assert config.state_folder(environ) == config.state_folder({})
    assert config.told(tuple(environ), environ) is None


def test_a_long_variable_that_is_empty_takes_a_setting_away(folder: Path) -> None:
    written(folder, '[daemon]\nbackup = "1d"\n')

    loaded = load(environ={"HISTQ_DAEMON__BACKUP": ""}, folder=folder)

    assert loaded.settings.daemon.backup == ""


@pytest.mark.parametrize("name", ["HISTQ_LOG_FORMAT", "HISTQ_LOG_LEVEL"])
def test_a_wrong_value_is_told_by_the_short_name_of_its_variable(name: str, folder: Path) -> None:
    assert refusal(folder, {name: "loud"}).startswith(f"environment: {name} or HISTQ_LOGS__")


def test_how_to_log_is_heeded_where_settings_are_plain(folder: Path) -> None:
    environ = {"HISTQ_LOG_FORMAT": "json", "HISTQ_LOG_LEVEL": "debug", "HISTQ_QUEUE__LEASE_S": "9"}

    loaded = load(environ=environ, folder=folder, plain=True)

    assert (loaded.settings.logs.format, loaded.settings.logs.level) == ("json", "debug")
    assert loaded.settings.queue.lease_s == 60


def test_the_secrets_of_the_settings_are_known(folder: Path) -> None:
    environ = {"HISTQ_SOURCES__COINGECKO__API_KEY": SECRET}

    assert SECRET in load(environ=environ, folder=folder).settings.secrets()
