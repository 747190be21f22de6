"""Options that go together: one parameter of a command, several on the command line."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from histq.cli.options import ConfigFile, Db, Intervals, Json, Quiet, Sources, Symbols, Verbose

if TYPE_CHECKING:
    from histq.cli.session import Session
    from histq.model import Series
    from histq.pipeline.backends import Backends
    from histq.pipeline.ledgers import Ledger


class Usual(NamedTuple):
    """What nearly every command takes."""

    db: Db = None
    config: ConfigFile = None
    json: Json = False
    quiet: Quiet = False
    verbose: Verbose = False

    def session(
        self,
        command: str,
        *,
        flags: Mapping[str, Any] | None = None,
        plain: bool = False,
        stays: bool = False,
        dated: bool = False,
    ) -> "Session":
        from histq.cli.session import Session

        return Session(
            command,
            db=self.db,
            file=self.config,
            json=self.json,
            quiet=self.quiet,
            verbose=self.verbose,
            flags=flags,
            plain=plain,
            stays=stays,
            dated=dated,
        )


class UsualButDb(NamedTuple):
    """The same for a command that opens no database."""

    config: ConfigFile = None
    json: Json = False
    quiet: Quiet = False
    verbose: Verbose = False

    def session(self, command: str) -> "Session":
        return Usual(None, *self).session(command)


class Which(NamedTuple):
    """Which series are meant; all without a word."""

    symbols: Symbols = None
    source: Sources = None
    interval: Intervals = None

    def ledgers(self, session: "Session", backends: "Backends") -> "list[Ledger]":
        """Raises Usage where there is no such series."""
        from histq.pipeline.ledgers import ledgers

        named = (names or () for names in self)
        return ledgers(backends.store, session.settings, *named)

    def series(self, session: "Session", backends: "Backends") -> "list[Series]":
        """Raises as `ledgers`."""
        return [ledger.series for ledger in self.ledgers(session, backends)]


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command as the command line has it: each field of its groups an option of its own."""
    signature = inspect.signature(command)
    groups = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if _is_group(parameter)
    }

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field: given.pop(field) for field in group._fields})
        return command(**given)

    fields = [field for one in signature.parameters.values() for field in _fields(one)]
    run.__signature__ = signature.replace(parameters=fields)  # type: ignore[attr-defined]
    return run


def _is_group(parameter: inspect.Parameter) -> bool:
    return hasattr(parameter.annotation, "_fields")


def _fields(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    group = parameter.annotation
    found = inspect.signature(group).parameters.values() if _is_group(parameter) else [parameter]
    return (field.replace(kind=inspect.Parameter.KEYWORD_ONLY) for field in found)
