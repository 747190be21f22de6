"""The wheel: what is in it, and that it works where the checkout is not."""

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from histq.packaged import packaged
from tests.conftest import Histq

ROOT = Path(__file__).parent.parent


def pip(*arguments: str) -> None:
    """Runs pip without looking anything up."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-index"],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_NO_INPUT": "1"},
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built with what is installed."""
    if find_spec("hatchling") is None or find_spec("pip") is None:
        pytest.skip("a wheel is built with hatchling and pip, and one of them is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("histq-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-compile", "--target", str(target), str(wheel))
    return target


def test_the_wheel_carries_what_the_program_reads(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {"histq/schema.sql", "histq/config.example.toml", "histq/py.typed"} <= set(names)
    page = {f"histq/web/page/{path.name}" for path in (ROOT / "histq/web/page").iterdir()}
    assert "histq/web/page/index.html" in page
    assert page <= set(names)


def test_the_wheel_carries_every_module_and_no_tests(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}

    assert names == {path.relative_to(ROOT).as_posix() for path in (ROOT / "histq").rglob("*.py")}


def test_the_texts_in_the_wheel_are_those_of_the_checkout(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("schema.sql", "config.example.toml"):
            assert archive.read(f"histq/{name}") == (ROOT / name).read_bytes()


def test_an_installed_wheel_makes_settings_and_database_without_the_checkout(
    installed: Path, place: Path, environ: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN_INIT, str(ROOT)],
        cwd=place,
        env={**environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == str(installed / "histq" / "__init__.py")
    assert (place / "histq.db").is_file()
    assert set(tomllib.loads((place / "histq.toml").read_text())["sources"]) >= {"binance"}


RUN_INIT = """
import runpy, sys
sys.path = [entry for entry in sys.path if entry != sys.argv[1]]  # an editable install adds it
sys.argv = ["histq", "init"]
try:
    runpy.run_module("histq", run_name="__main__")
except SystemExit as ended:
    assert not ended.code, ended.code
import histq
print(histq.__file__)
"""


def test_the_checkout_finds_its_texts_one_folder_up() -> None:
    assert not (ROOT / "histq" / "schema.sql").exists()
    assert packaged("schema.sql") == (ROOT / "schema.sql").read_text()
    assert packaged("config.example.toml") == (ROOT / "config.example.toml").read_text()


def test_the_help_names_every_exit_code(histq: Histq) -> None:
    ended = histq("--help")

    text = " ".join(ended.out.split())
    assert (ended.code, ended.err) == (0, "")
    for said in (
        *("0 done and complete", "1 unexpected error", "2 usage", "3 ran but incomplete"),
        *("4 nothing to do", "5 configuration or credentials", "6 the source refuses us"),
        *("10 database missing", "11 locked", "12 schema newer", "130/143 stopped by a signal"),
    ):
        assert said in text


def test_the_installed_script_is_the_program() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["scripts"] == {"histq": "histq.__main__:main"}
