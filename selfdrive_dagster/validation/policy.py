"""What a patch may touch and bring in, decided on its text before anything runs.

The rules are an ordered table, and every rule is tried: a reviewer sees all that is wrong at
once. Nothing here asks a model, and nothing a patch says of itself counts.
"""

import re
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import PurePosixPath

from selfdrive_dagster.model import Check, Product
from selfdrive_dagster.model.product import is_test_path

POLICY = "2026-11"
"""Version of these rules; it stands in every report."""

ALWAYS_PROTECTED = (
    ".github/**", ".gitlab-ci.yml", ".ci/**", ".circleci/**", "Jenkinsfile", "Makefile",
    "Dockerfile*", "**/conftest.py", "pytest.ini", "tox.ini", "setup.cfg", "setup.py",
    "pyproject.toml", "*.lock", "requirements*.txt", "constraints*.txt", ".gitattributes",
    ".gitmodules", ".gitignore", "selfdrive.toml", "**/allowed_signers", "**/sitecustomize.py",
    "**/usercustomize.py", "**/*.pth", "**/migrations/**",
)  # fmt: skip

REACHES_OUT = re.compile(
    r"\b(?:os\.\w|sys\.(?:modules|settrace|exit)|subprocess|socket|ctypes|importlib|pickle|marshal|"
    r"shutil|eval\s*\(|exec\s*\(|compile\s*\(|__import__|globals\s*\(|open\s*\(|base64|"
    r"PYTEST_|pytest|unittest|inspect\.|settrace|__code__|__class__\s*=|gc\.|signal\.)"
)
SWALLOWS = re.compile(r"except\s*(?:BaseException|Exception)?\s*(?:as\s+\w+)?\s*:")


def check_policy(patch: str, overlay: dict[str, str | None], product: Product) -> Check:
    """Return the check `policy`: protected paths, shape, size and what added lines reach for."""
    faults = [fault for rule in RULES for fault in rule(patch, overlay, product)]
    numbers = {"policy": POLICY, "changed_lines": _changed_lines(patch), "files": len(overlay)}
    says = "; ".join(faults) or "touches only the product's own code"
    return Check(name="policy", passed=not faults, says=says, numbers=numbers)


def _outside_source(_patch: str, overlay: dict[str, str | None], product: Product) -> list[str]:
    own = set(product.source_files())
    return [f"{path} is not the product's own code" for path in overlay if path not in own]


def _protected(_patch: str, overlay: dict[str, str | None], product: Product) -> list[str]:
    patterns = (*ALWAYS_PROTECTED, *product.protected)
    return [
        f"{path} is protected by {pattern}"
        for path in overlay
        for pattern in patterns
        if matches(path, pattern)
    ]


def _tests(_patch: str, overlay: dict[str, str | None], _product: Product) -> list[str]:
    return [f"{path} belongs to the tests" for path in overlay if is_test_path(path)]


def _shape(patch: str, overlay: dict[str, str | None], _product: Product) -> list[str]:
    modes = re.findall(r"^(?:old|new|deleted file|new file) mode .*$", patch, re.MULTILINE)
    deleted = [path for path, text in overlay.items() if text is None]
    return [f"changes a mode: {mode}" for mode in modes] + [f"deletes {path}" for path in deleted]


def _size(patch: str, _overlay: dict[str, str | None], product: Product) -> list[str]:
    lines = _changed_lines(patch)
    limit = product.max_lines
    return [f"changes {lines} lines, more than {limit}"] if lines > limit else []


def _reaches_out(patch: str, _overlay: dict[str, str | None], _product: Product) -> list[str]:
    removed = "\n".join(_lines(patch, "-"))
    found = (match.group() for line in _lines(patch, "+") for match in REACHES_OUT.finditer(line))
    return [f"brings in {word!r}" for word in dict.fromkeys(found) if word not in removed]


def _swallows(patch: str, _overlay: dict[str, str | None], _product: Product) -> list[str]:
    added = [line.strip() for line in _lines(patch, "+") if SWALLOWS.search(line)]
    kept = [line.strip() for line in _lines(patch, "-")]
    return [f"swallows every exception: {line}" for line in added if line not in kept]


Rule = Callable[[str, dict[str, str | None], Product], list[str]]
RULES: tuple[Rule, ...] = (
    _outside_source,
    _protected,
    _tests,
    _shape,
    _size,
    _reaches_out,
    _swallows,
)


def matches(path: str, pattern: str) -> bool:
    """Say whether a glob names a path; `**/` also stands for no folder at all."""
    plain = pattern.removeprefix("**/")
    return (
        fnmatch(path, pattern)
        or fnmatch(path, plain)
        or ("/" not in pattern and fnmatch(PurePosixPath(path).name, pattern))
    )


def _changed_lines(patch: str) -> int:
    return len(_lines(patch, "+")) + len(_lines(patch, "-"))


def _lines(patch: str, sign: str) -> list[str]:
    header = sign * 3
    return [
        line[1:]
        for line in patch.splitlines()
        if line.startswith(sign) and not line.startswith(header)
    ]
