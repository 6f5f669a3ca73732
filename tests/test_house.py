"""The house as a whole: its arrow, its weight at the door, its words, its package."""

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from fakes.selfdrive_program import ROOT, environment, selfdrive
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from selfdrive_dagster import cli

HEAVY = ("dagster", "sqlalchemy", "anthropic", "duckdb", "polars")
LIGHT_ROOMS = ("model", "telemetry", "issues", "patches", "validation", "config", "cli", "errors")
COMMANDS = [command.name for command in cli.COMMANDS]


def test_the_arrow() -> None:
    """import-linter's contracts: a new room that nobody placed fails as well."""
    linter = Path(sys.executable).parent / "lint-imports"
    told = subprocess.run(
        [linter, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr


NETWORK = {"urllib.request", "urllib.error", "http.client", "http.server", "ssl", "smtplib"}
DOMAIN = ("model", "telemetry", "issues", "patches", "validation", "rollout", "audit")


@pytest.mark.parametrize("room", DOMAIN)
def test_the_domain_opens_no_connection(room: str) -> None:
    """What import-linter cannot say: it knows `urllib` only as a whole, and we parse URLs."""
    trees = [
        ast.walk(ast.parse(path.read_text()))
        for path in (ROOT / "selfdrive_dagster" / room).rglob("*.py")
    ]
    nodes = [node for tree in trees for node in tree]
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    named |= {str(node.module) for node in froms}
    named |= {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
    assert named & NETWORK == set()


def python(code: str, home: Path) -> str:
    """Return what a fresh interpreter prints, without cached state of this one."""
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, cwd=ROOT, env=environment(home), text=True)


WEIGH = f"""
import sys
print("heavy:", *sorted(set({HEAVY!r}) & set(sys.modules)))
"""


def test_what_repair_needs_imports_nothing_heavy(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in LIGHT_ROOMS
        for path in sorted((ROOT / "selfdrive_dagster").glob(f"{room}.py"))
        + sorted((ROOT / "selfdrive_dagster" / room).rglob("*.py"))
    ]
    assert len(modules) > len(LIGHT_ROOMS)
    said = python("".join(f"import {name}\n" for name in modules) + WEIGH, tmp_path)
    assert said.split() == ["heavy:"]


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_starts_at_once(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "from selfdrive_dagster.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
    )
    said = python(code + WEIGH, tmp_path)
    assert "Usage: selfdrive" in said
    assert said.splitlines()[-1].split() == ["heavy:"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_does(name: str, tmp_path: Path) -> None:
    function = next(command.function for command in cli.COMMANDS if command.name == name)
    assert function.__doc__
    said = selfdrive(name, "--help", cwd=tmp_path, COLUMNS="200")
    lines = [line.removeprefix("│ ").lstrip("* ") for line in said.out.splitlines()]
    options = [line for line in lines if line.startswith("--")]
    assert options
    assert all(len(line.strip("│ ").split("  ")) > 1 for line in options)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_knows_every_command(name: str) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = "\n".join(page.read_text() for page in pages if page.is_file())
    assert f"selfdrive {name}" in text


def sources() -> list[Path]:
    rooms = ("selfdrive_dagster", "assets", "tests", "bench")
    found = (path for room in rooms for path in (ROOT / room).rglob("*.py"))
    return sorted(path for path in found if "cases" not in path.parts)


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_test_files_have_names_of_their_own() -> None:
    """pytest imports them by base name alone: two of a kind would shadow each other."""
    names = Counter(path.name for path in sources() if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []


def test_constraints_are_hashed_and_name_no_index() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert pins
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    assert not any("://" in line or line.startswith("-") for line in lines)


def test_constraints_follow_the_project() -> None:
    """A dependency that was added or moved needs `make constraints`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = {**project["optional-dependencies"], "spark": []}  # `make spark` brings its own
    extras = [line for lines in optional.values() for line in lines]
    wanted = [Requirement(line) for line in (*project["dependencies"], *extras)]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split()[0].split("==") for line in lines if line[:1].isalnum())
    wrong = [
        str(requirement)
        for requirement in wanted
        if pins.get(canonicalize_name(requirement.name), "0") not in requirement.specifier
    ]
    assert wrong == []


def test_make_says_what_it_can() -> None:
    told = subprocess.check_output(["make", "help"], cwd=ROOT, text=True)
    for target in ("venv", "test", "slow", "check", "demo", "show", "constraints"):
        assert f"make {target} " in told


def test_the_wheel_holds_the_library_alone(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, checkout)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("selfdrive_dagster", "assets", "sql", "tests", "examples", "bench"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, ignore=ignore)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    options = ["--no-build-isolation", "--wheel-dir", str(tmp_path / "wheels"), str(checkout)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"selfdrive_dagster"}
    packed = {name for name in names if name.startswith("selfdrive_dagster/")}
    assert "selfdrive_dagster/py.typed" in packed
    library = (ROOT / "selfdrive_dagster").rglob("*.py")
    assert {path.relative_to(ROOT).as_posix() for path in library} <= packed
