"""What the house promises of itself: short functions, pinned tests, a typed wheel, a complete README."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from pytest_llmserve.checks import CHECKS

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "pytest_llmserve").rglob("*.py"))
LONGEST_FUNCTION = 60
LONGEST_FILE = 350


def functions_over(limit, source):
    """Names of the functions whose source is longer than `limit` lines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return [node.name for node in found if node.end_lineno - node.lineno + 1 > limit]


def test_long_functions_are_found():
    """The measure itself: at the limit is well, one line over is not."""
    source = "def a():\n" + "    x = 1\n" * 2 + "async def b():\n" + "    x = 1\n" * 3
    assert functions_over(3, source) == ["b"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    """A function fits a screen, a file a sitting."""
    source = path.read_text(encoding="utf-8")
    assert functions_over(LONGEST_FUNCTION, source) == []
    assert source.count("\n") <= LONGEST_FILE


def lock_lines():
    """The lock without comments."""
    lines = (ROOT / "requirements" / "test.txt").read_text().splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_lock_pins_every_version():
    """Each line is name==version, with nothing but a marker after it."""
    pinned = re.compile(r"[a-z0-9][a-z0-9.-]*==[0-9][A-Za-z0-9.+!]*( ; .+)?")
    assert [line for line in lock_lines() if not pinned.fullmatch(line)] == []


def test_lock_names_no_host():
    """No URL, index or path in the lock: it works wherever packages come from."""
    text = (ROOT / "requirements" / "test.txt").read_text()
    assert re.findall(r"\w+://\S+|--(?:extra-)?index-url|--find-links|file:", text) == []


def test_lock_covers_what_pyproject_asks_for():
    """Every dependency of the plugin and of its tests is in the lock."""
    wanted = [*project()["project"]["dependencies"], *project()["dependency-groups"]["test"]]
    names = {re.match(r"[A-Za-z0-9-]+", requirement)[0] for requirement in wanted}
    locked = {line.split("==")[0] for line in lock_lines()}
    assert names - locked == set()


def test_users_get_ranges():
    """The plugin pins nothing in its users' environments."""
    extras = project()["project"]["optional-dependencies"].values()
    requirements = [*project()["project"]["dependencies"], *(r for extra in extras for r in extra)]
    assert [r for r in requirements if ">=" not in r] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel users install, built offline."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_is_typed(wheel):
    """py.typed is in it, so users' type checkers read our hints."""
    assert "pytest_llmserve/py.typed" in wheel.namelist()


def test_wheel_holds_the_schemas(wheel):
    """Whoever installs the package can check its files."""
    schemas = {f"pytest_llmserve/schema/{path.name}" for path in (ROOT / "docs" / "schema").glob("*.json")}
    assert len(schemas & set(wheel.namelist())) == len(schemas) >= 3


def test_wheel_holds_the_package_and_nothing_else(wheel):
    """Every source file, and no tests or benchmarks."""
    inside = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in inside} == {"pytest_llmserve"}
    assert {str(path.relative_to(ROOT)) for path in SOURCES} <= set(inside)


def test_wheel_registers_the_plugin(wheel):
    """pytest finds the plugin by its entry point."""
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "[pytest11]\nllmserve = pytest_llmserve.plugin" in wheel.read(name).decode()


@pytest.mark.parametrize("marker", CHECKS)
def test_readme_documents_every_check(marker):
    """A marker that README does not name does not exist for users."""
    assert re.search(rf"\b{marker}\b", (ROOT / "README.md").read_text(encoding="utf-8"))


def test_ci_runs_the_tests_as_the_readme_says():
    """The last command of CI is the one newcomers are told."""
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("make test")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
