"""`doctor`: what may stand in histq's way on this machine, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from histq.errors import HistqError, Stopped

FAILED_EXIT: Final = 3


class Health(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works, and may not for long
    FAILED = "failed"


class Check(msgspec.Struct, frozen=True):
    """What was looked at, and found. `advice` is empty where nothing is to be done."""

    check: str
    health: Health
    found: str
    advice: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    checks: list[Check]
    warnings: int
    failed: int

    @property
    def exit_code(self) -> int:
        return FAILED_EXIT if self.failed else 0


Probe = tuple[str, Callable[[], Iterable[Check]]]
"""The name of what is looked at, and the look. It may raise anything."""


def examine(probes: Iterable[Probe], tell: Callable[[Check], None]) -> Diagnosis:
    """Looks at everything, whatever goes wrong on the way; `tell` gets each check as it comes."""
    checks = []
    for name, probe in probes:
        for check in _looked(name, probe):
            checks.append(check)
            tell(check)
    return Diagnosis(
        checks,
        warnings=sum(check.health is Health.WARNING for check in checks),
        failed=sum(check.health is Health.FAILED for check in checks),
    )


def _looked(name: str, probe: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from probe()
    except Stopped:
        raise
    except HistqError as error:
        yield Check(name, Health.FAILED, str(error))
    except OSError as error:
        yield Check(name, Health.FAILED, str(error), "look at the permissions and at the disk")
    except Exception as error:  # whatever the state, the rest is looked at
        found = f"unexpected {type(error).__name__}: {error}"
        yield Check(name, Health.FAILED, found, "report it: that is a fault of histq")
