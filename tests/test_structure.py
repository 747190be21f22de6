"""The shape of the program: who may import whom, and how long a file may be."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import histq

PACKAGE = Path(histq.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
MOST_LINES = 350

# Lowest first. What stands on one floor does not import its neighbours.
FLOORS = (
    ("errors",),
    ("locks", "host", "stop", "model", "mounts", "packaged", "logs"),
    ("place", "ledger", "page", "findings", "dates"),
    ("db",),
    (
        *("providers", "queues", "stores", "plan", "gaps", "importing", "export", "compare"),
        "health",
    ),
    ("settings", "budget", "chart", "parquet"),
    ("validated",),
    ("config",),
    ("http",),
    ("client",),
    ("pipeline", "demo"),
    ("alerts", "web"),
    ("daemon",),
    ("cli",),
    ("__main__",),
)
FLOOR = {unit: number for number, units in enumerate(FLOORS) for unit in units}


def unit(module: str) -> str:
    """The top-level module or folder that a file belongs to: queues/sqlite.py is of queues."""
    return module.partition("/")[0].removesuffix(".py")


def imported(module: str) -> Iterator[str]:
    """Every module that the file imports, wherever in it: sqlite_utils.utils.sqlite3."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_units(module: str) -> set[str]:
    """The units of histq that the file imports, its own left out."""
    names = (name.split(".") for name in imported(module))
    found = {parts[1] for parts in names if parts[0] == "histq" and len(parts) > 1}
    return found - {unit(module), "__version__"}


def test_every_module_has_its_floor() -> None:
    assert {unit(module) for module in MODULES} - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__init__.py"])
def test_a_module_imports_only_what_stands_below_it(module: str) -> None:
    above = {name for name in own_units(module) if FLOOR[name] >= FLOOR[unit(module)]}

    assert above == set()


def test_the_package_itself_imports_nothing_of_its_own() -> None:
    assert own_units("__init__.py") == set()


@pytest.mark.parametrize("folder", ["providers", "queues", "stores"])
def test_a_plug_in_folder_imports_no_other(folder: str) -> None:
    modules = [module for module in MODULES if unit(module) == folder]

    others = {name for module in modules for name in own_units(module)}

    assert len(modules) > 1
    assert others & {"providers", "queues", "stores"} == set()


def test_one_folder_imports_sqlite_and_takes_the_one_that_sqlite_utils_takes() -> None:
    found = {
        (unit(module), name)
        for module in MODULES
        for name in imported(module)
        if "sqlite" in name and not name.startswith("histq.")
    }

    assert found == {("db", "sqlite_utils"), ("db", "sqlite_utils.utils.sqlite3")}


@pytest.mark.parametrize("module", MODULES)
def test_no_statement_numbers_its_parameters(module: str) -> None:
    # Python 3.12 and newer look up the name of each one that they bind: stores/sqlite.py.
    text = (PACKAGE / module).read_text()

    assert re.findall(r"[(, ]\?(?:\d|\{)", text) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_one_room(module: str) -> None:
    lines = (PACKAGE / module).read_text().splitlines()

    assert len(lines) <= MOST_LINES
