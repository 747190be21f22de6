"""--ping-url: tells a cron monitor how a command goes, and changes nothing about it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

PingUrl = Annotated[
    str | None,
    typer.Option(
        "--ping-url",
        metavar="URL",
        envvar="HISTQ_PING_URL",
        help="Tell this cron monitor of start, success and failure, as healthchecks.io has it.",
        show_default=False,
    ),
]
Given = Mapping[str, Any]


def watched(
    command: Callable[..., None], when: Callable[[Given], bool] = lambda given: True
) -> Callable[..., None]:
    """The command with --ping-url; `when` says by its options whether this run is to be told of."""

    @functools.wraps(command)
    def run(*, ping_url: str | None = None, **given: Any) -> None:
        if not ping_url or not when(given):
            return command(**given)
        from histq.alerts.ping import Ping

        with Ping(_checked(ping_url), command.__name__, exit_code):
            return command(**given)

    signature = inspect.signature(command)
    asked = inspect.Parameter(
        "ping_url", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=PingUrl
    )
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), asked]
    )
    return run


def exit_code(error: BaseException | None) -> int:
    """With what the program ends where the command ends with this error."""
    if error is None or isinstance(error, BrokenPipeError):  # somebody has read enough
        return 0
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return 130
    code = getattr(error, "exit_code", 1)  # ours, and those of Typer
    return code if isinstance(code, int) else 1


def _checked(url: str) -> str:
    """Raises BadParameter; the URL is not repeated, for it is a key."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise typer.BadParameter("--ping-url is no URL such as https://hc-ping.com/your-uuid")
    return url
