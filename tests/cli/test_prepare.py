"""init, config, sources, symbols: what they write, show and find."""

import tomllib
from pathlib import Path

import pytest

from histq.db import Database
from tests.conftest import Histq

SECRET = "k3y-that-nobody-may-see"


def test_init_writes_settings_that_set_nothing_and_makes_the_database(
    histq: Histq, place: Path
) -> None:
    ended = histq("init")

    assert (ended.code, ended.err) == (0, "")
    assert "wrote histq.toml" in ended.out
    written = tomllib.loads((place / "histq.toml").read_text())
    assert [table for table in written if table != "sources"] == [
        *(
            "database",
            "logs",
            "queue",
            "store",
            "consume",
            "gaps",
            "daemon",
            "retention",
            "alerts",
            "sentry",
        )
    ]
    assert set(written["sources"]) == {
        *("binance", "binance-archive", "coingecko", "cryptocompare", "demo")
    }
    assert all(table == {} for name, table in written.items() if name != "sources")
    assert all(table == {} for table in written["sources"].values())
    with Database.open(place / "histq.db", create=False) as db:
        assert db.value("select count(*) from runs") == 0


def test_init_refuses_to_overwrite(histq: Histq, place: Path) -> None:
    (place / "histq.toml").write_text("# mine\n")

    ended = histq("init")

    assert ended.code == 2
    assert ended.err == "histq: histq.toml exists already; --force replaces it\n"
    assert [entry.name for entry in place.iterdir()] == ["histq.toml"]
    assert (place / "histq.toml").read_text() == "# mine\n"


def test_init_replaces_when_forced(histq: Histq, place: Path) -> None:
    (place / "histq.toml").write_text("# mine\n")

    ended = histq("init", "--force")

    assert ended.code == 0
    assert "[sources.binance]" in (place / "histq.toml").read_text()


def test_config_show_hides_keys_and_tells_origins(histq: Histq, place: Path) -> None:
    (place / "histq.toml").write_text(f'[sources.binance]\napi_key = "{SECRET}"\n')

    ended = histq(
        "config", "show", "--json", "--db", "x.db", HISTQ_SOURCES__COINGECKO__API_KEY=SECRET
    )

    assert ended.code == 0
    assert ended.document["schema"] == 1
    found = {row["key"]: (row["value"], row["origin"]) for row in ended.document["settings"]}
    assert found["sources.binance.api_key"] == ('"hidden"', str(place / "histq.toml"))
    assert found["sources.coingecko.api_key"] == ('"hidden"', "environment")
    assert found["database.path"] == ('"x.db"', "flag")
    assert found["queue.max_retries"] == ("3", "default")
    assert SECRET not in ended.out + ended.err


def test_config_show_tells_people_each_setting_whole(histq: Histq) -> None:
    ended = histq("config", "show", HISTQ_SOURCES__BINANCE__API_KEY=SECRET)

    lines = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert 'sources.binance.api_key = "hidden"  (environment)' in lines
    assert "sources.cryptocompare.requests_per_minute = 120  (default)" in lines
    assert SECRET not in ended.out


def test_config_path_tells_which_files_were_read(
    histq: Histq, place: Path, environ: dict[str, str]
) -> None:
    (place / "histq.toml").write_text("")

    ended = histq("config", "path", "--json")

    assert ended.code == 0
    assert ended.document["schema"] == 1
    assert ended.document["database"] == str(place / "histq.db")
    own, user = ended.document["files"]
    assert own == {"path": str(place / "histq.toml"), "read": True}
    assert user["path"].startswith(environ["HOME"])
    assert user["read"] is False


def test_config_check_finds_nothing_wrong_with_the_defaults(histq: Histq, place: Path) -> None:
    ended = histq("config", "check", "--json")

    assert ended.code == 0
    assert ended.document == {"schema": 1, "problems": []}
    assert list(place.iterdir()) == []


PROBLEMS = """
[database]
path = "missing/histq.db"

[sources.binance]
api_key = "k3y-that-nobody-may-see"
base_url = "http://prices.example"

[sources.coingecko]
plan = "demo"

[[tokens]]
base = "BTC"

[[tokens]]
base = "BTC"
coingecko_id = "bitcoin"
"""


def test_config_check_finds_problems(histq: Histq, place: Path) -> None:
    (place / "histq.toml").write_text(PROBLEMS)

    ended = histq("config", "check", "--json")

    assert ended.code == 3
    assert ended.document["schema"] == 1
    found = ended.document["problems"]
    assert [problem.partition(":")[0] for problem in found] == [
        *("database.path", "sources.binance", "sources.coingecko", "tokens", "tokens")
    ]
    for problem, said in zip(
        found,
        ("no folder", "in the clear", "plan demo needs an api_key", "2 times", "no coingecko_id"),
        strict=True,
    ):
        assert said in problem
    assert SECRET not in ended.out + ended.err


DAEMON_PROBLEMS = [
    pytest.param('repair = "hourly"', "daemon.repair 'hourly' is neither five fields", id="cron"),
    pytest.param('prune = "0 0 30 2 *"', "daemon.prune '0 0 30 2 *' never comes", id="never"),
    pytest.param('schedule = "61 * * * *"', "daemon.schedule '61 * * * *'", id="a minute"),
    pytest.param('listen = "8787"', "daemon.listen: --listen '8787' is no address", id="address"),
    pytest.param('listen = "0.0.0.0:8787"', "daemon.listen: --listen 0.0.0.0:8787 can", id="open"),
    pytest.param(
        'listen = "127.0.0.1:0"\ntoken = "a b"',
        "daemon.listen: the token of --listen holds characters",
        id="token",
    ),
    pytest.param(
        'backup = "1d"\nbackup_folder = "no/where"',
        "daemon.backup_folder: there is no folder no/where",
        id="backups",
    ),
    pytest.param('hosts = ["http://x/"]', "daemon.hosts: 'http://x/' is no name", id="host"),
]


@pytest.mark.parametrize(("text", "said"), DAEMON_PROBLEMS)
def test_config_check_finds_what_the_daemon_would_refuse(
    text: str, said: str, histq: Histq, place: Path
) -> None:
    (place / "histq.toml").write_text(f"[daemon]\n{text}\n")

    ended = histq("config", "check", "--json")

    assert ended.code == 3
    (found,) = ended.document["problems"]
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sources.binance]\nschedule = "1x"', "sources.binance.schedule '1x' is neither"),
        ('[alerts]\napprise_urls = ["zzz"]', "alerts.apprise_urls: number 1 is no URL"),
    ],
    ids=["schedule of a source", "receiver"],
)
def test_config_check_finds_what_lies_outside_of_its_table(
    text: str, said: str, histq: Histq, place: Path
) -> None:
    (place / "histq.toml").write_text(text)

    ended = histq("config", "check", "--json")

    assert ended.code == 3
    (found,) = ended.document["problems"]
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("config", "check"), "settings are fine", id="config check"),
        pytest.param(("sources",), "https://data-api.binance.vision", id="sources"),
    ],
)
def test_a_person_reads_it_on_stdout(arguments: tuple[str, ...], said: str, histq: Histq) -> None:
    ended = histq(*arguments)

    assert (ended.code, ended.err) == (0, "")
    assert said in ended.out


def test_sources_are_listed_with_what_they_serve_and_lack(histq: Histq) -> None:
    ended = histq("sources", "--json", HISTQ_SOURCES__COINGECKO__API_KEY=SECRET)

    assert ended.code == 0
    assert ended.document["schema"] == 1
    found = {one["source"]: one for one in ended.document["sources"]}
    assert set(found) == {"binance", "binance-archive", "coingecko", "cryptocompare", "demo"}
    assert {name: one["enabled"] for name, one in found.items()} == {
        "binance": True,
        "binance-archive": True,
        "coingecko": True,
        "cryptocompare": False,
        "demo": False,
    }
    assert {name: one["key"] for name, one in found.items()} == {
        "binance": "not needed",
        "binance-archive": "not needed",
        "coingecko": "set",
        "cryptocompare": "needed",
        "demo": "not needed",
    }
    assert found["binance"]["default"] == ["1h"]
    assert "1M" in found["binance"]["serves"]
    assert SECRET not in ended.out + ended.err


def test_symbols_are_listed_as_each_source_calls_them(histq: Histq, place: Path) -> None:
    (place / "histq.toml").write_text(
        '[[tokens]]\nbase = "BTC"\ncoingecko_id = "bitcoin"\n\n[[tokens]]\nbase = "PEPE"\n'
    )

    ended = histq("symbols", "list", "--json")

    assert ended.code == 0
    assert ended.document == {
        "schema": 1,
        "tokens": [
            {
                "base": "BTC",
                "quote": "USDT",
                "coingecko_id": "bitcoin",
                "symbols": {
                    "binance": "BTCUSDT",
                    "coingecko": "BTCUSD",
                    "cryptocompare": "BTCUSD",
                },
            },
            {
                "base": "PEPE",
                "quote": "USDT",
                "coingecko_id": "",
                "symbols": {
                    "binance": "PEPEUSDT",
                    "coingecko": None,
                    "cryptocompare": "PEPEUSD",
                },
            },
        ],
    }
