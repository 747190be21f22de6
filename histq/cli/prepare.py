"""init, config, sources, symbols."""

from pathlib import Path
from typing import Annotated

import typer

from histq.cli.groups import Usual, UsualButDb, spread
from histq.cli.options import Db, Quiet, Verbose
from histq.errors import Stopped, Usage

PANEL = "Set up"
FOUND_SOMETHING = 3

Force = Annotated[bool, typer.Option("--force", help="Replace an existing histq.toml.")]

symbols_app = typer.Typer(no_args_is_help=True, help="Tokens, and what the sources call them.")
config_app = typer.Typer(no_args_is_help=True, help="Settings: what is in force, and from where.")


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL, epilog="histq init")(init)
    app.add_typer(config_app, name="config", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL, epilog="histq sources")(sources)
    app.add_typer(symbols_app, name="symbols", rich_help_panel=PANEL)


def init(
    force: Force = False, db: Db = None, quiet: Quiet = False, verbose: Verbose = False
) -> None:
    """Write a commented histq.toml here, and make the database."""
    from histq.cli.session import Session
    from histq.config import FILE_NAME, template

    file = Path(FILE_NAME)
    if file.exists() and not force:
        raise Usage(f"{file} exists already; --force replaces it")
    session = Session("init", db=db, quiet=quiet, verbose=verbose, read_files=False)
    session.open(create=True).close()
    try:
        file.write_text(template())
    except OSError as error:
        raise Usage(f"cannot write {file}: {error.strerror}") from error
    session.out.print(f"wrote {file}; every setting in it is a comment that shows the default")
    session.out.print(
        f"made {session.opener.path}; fill it with: histq sync BTCUSDT --from 30d",
        markup=False,
        soft_wrap=True,
    )


@config_app.command("show", epilog="histq config show")
@spread
def config_show(*, usual: Usual) -> None:
    """Every setting in force, and where it came from. Keys are hidden."""
    session = usual.session("config show")
    values = list(session.loaded.values())
    if session.json:
        session.document({"settings": [{"key": k, "value": v, "origin": o} for k, v, o in values]})
        return
    for key, value, origin in values:
        style = "dim" if origin == "default" else None
        line = f"{key} = {value}  ({origin})"
        session.out.print(line, style=style, soft_wrap=True)


@config_app.command("path", epilog="histq config path")
@spread
def config_path(*, usual: UsualButDb) -> None:
    """Where settings are read from, and which of these files exist."""
    from histq.config import FILE_NAME, user_file

    session = usual.session("config path")
    places = [usual.config or Path.cwd() / FILE_NAME, user_file()]
    found = [{"path": str(path), "read": path in session.loaded.files} for path in places]
    if session.json:
        session.document({"files": found, "database": str(session.opener.path)})
        return
    for place in found:
        session.out.print(
            f"{place['path']}  {'read' if place['read'] else 'absent'}",
            soft_wrap=True,
        )


@config_app.command("check", epilog="histq config check")
@spread
def config_check(*, usual: Usual) -> None:
    """Find what is wrong with the settings, or will be. Exit 3 when something is."""
    from histq.cli.checks import problems

    session = usual.session("config check")
    found = problems(session.settings)
    if session.json:
        session.document({"problems": found})
    else:
        for line in found:
            session.out.print(line, style="yellow", soft_wrap=True)
        read = ", ".join(map(str, session.loaded.files)) or "defaults only"
        session.out.print(f"{len(found)} problems" if found else f"settings are fine ({read})")
    raise typer.Exit(FOUND_SOMETHING if found else 0)


@spread
def sources(*, usual: UsualButDb) -> None:
    """The sources, what they serve and how they are set up."""
    from histq.cli import render
    from histq.config import state_folder
    from histq.http import open_budget
    from histq.providers import providers
    from histq.settings import plan_of

    session = usual.session("sources")
    found: list[dict[str, object]] = []
    for name, source in session.settings.sources.items():
        provider = providers()[name]
        missing_key = bool(provider.key_hint) and not source.key
        found.append(
            {
                "source": name,
                "enabled": source.enabled and not missing_key,
                "serves": list(provider.intervals),
                "default": source.intervals,
                "requests_per_minute": source.requests_per_minute,
                "credits": open_budget(provider, source, state_folder()).balances(),
                "key": "set" if source.key else "needed" if missing_key else "not needed",
                "base_url": provider.base_url(source.base_url, plan_of(source)),
            }
        )
    if session.json:
        session.document({"sources": found})
        return
    columns = ("a minute", "credits left", "default", "serves", "base_url")
    rows = render.table("source", "enabled", "key", *columns)
    for one in found:
        rows.add_row(
            str(one["source"]),
            "yes" if one["enabled"] else "no",
            str(one["key"]),
            str(one["requests_per_minute"]),
            render.credits_left(one["credits"] if isinstance(one["credits"], list) else []),
            " ".join(map(str, one["default"] if isinstance(one["default"], list) else [])),
            " ".join(map(str, one["serves"] if isinstance(one["serves"], list) else [])),
            str(one["base_url"]),
        )
    session.out.print(rows)


@symbols_app.command("list", epilog="histq symbols list")
@spread
def symbols_list(*, usual: UsualButDb) -> None:
    """The configured tokens, and what each source calls them."""
    from histq.cli import render
    from histq.pipeline.targets import enabled
    from histq.providers import providers

    session = usual.session("symbols list")
    names = enabled(session.settings)
    found = []
    for token in session.settings.tokens:
        markets = {name: providers()[name].market(token.token) for name in names}
        found.append(
            {
                "base": token.base,
                "quote": token.quote,
                "coingecko_id": token.coingecko_id,
                "symbols": {name: market and market.symbol for name, market in markets.items()},
            }
        )
    if session.json:
        session.document({"tokens": found})
        return
    rows = render.table("token", "coingecko_id", *names)
    for one in found:
        own = one["symbols"]
        assert isinstance(own, dict)
        rows.add_row(
            f"{one['base']}/{one['quote']}",
            str(one["coingecko_id"] or "-"),
            *(own[name] or "-" for name in names),
        )
    session.out.print(rows)


@symbols_app.command("search", epilog="histq symbols search BTC")
@spread
def symbols_search(
    ticker: Annotated[str, typer.Argument(metavar="TICKER", help="As in BTC; case is ignored.")],
    *,
    usual: UsualButDb,
) -> None:
    """The CoinGecko ids of a ticker, all of them: many tickers name several coins."""
    from histq.cli import render
    from histq.client import open_client
    from histq.config import source_settings, state_folder
    from histq.providers import Searchable, providers
    from histq.stop import Stop

    ticker = ticker.strip()
    if not ticker:
        raise Usage("no ticker; write one like BTC")
    session = usual.session("symbols search")
    provider = providers()["coingecko"]
    assert isinstance(provider, Searchable)
    settings = source_settings(session.settings, provider.name)
    stop = Stop().on_signals()
    client = open_client(provider, settings, state_folder(), stop=stop)
    try:
        coins = client.find(ticker, provider)
    except Stopped:
        raise typer.Exit(stop.exit_code) from None
    finally:
        client.close()
    if not coins:
        raise Usage(
            f"CoinGecko lists no coin with the ticker {ticker!r}; write it alone, as in BTC"
        )
    if session.json:
        session.document({"coins": [coin._asdict() for coin in coins]})
        return
    rows = render.table("coingecko_id", "ticker", "name")
    rows.columns[-1].no_wrap = False  # so that ids stay whole: they are to be copied
    for coin in coins:
        rows.add_row(*coin)
    session.out.print(rows)
    if len(coins) > 1:
        session.out.print(
            f"{len(coins)} coins share this ticker; put the coingecko_id of the one you mean in"
            " [[tokens]]",
            soft_wrap=True,
        )
