"""What a patch may touch and bring in, decided on what it makes of each file, before anything runs.

A patch is judged by its result: every changed file's new text against the base's. What its text
says beside that (headers, words outside hunks, other context) is refused: a patch must be, to
the letter, the diff that `render_diff` makes of its result, so that what people read and what
is hashed is what was judged.

Only Python files that the product already has may change: no new file, no other kind of file,
no test, nothing protected, whatever the settings say. What the base file does is allowed as
often as the base does it; `reach` names what more of is refused.

The rules are an ordered table, and every rule is tried: a reviewer sees all that is wrong at
once. Nothing here asks a model, and nothing a patch says of itself counts.
"""

import tokenize
from collections import Counter
from collections.abc import Callable
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import PurePosixPath

from selfdrive_dagster.model import Check, Product
from selfdrive_dagster.model.product import is_test_path, protecting
from selfdrive_dagster.patches.text import changed_lines, render_diff, rows
from selfdrive_dagster.validation.reach import Friends, Source, reach_of

POLICY = "2026-11.3"
"""Version of these rules; it stands in every report."""

ALWAYS_PROTECTED = (
    ".github/**", ".gitlab-ci.yml", ".ci/**", ".circleci/**", "Jenkinsfile", "Makefile",
    "Dockerfile*", "**/conftest.py", "pytest.ini", "tox.ini", "setup.cfg", "setup.py",
    "pyproject.toml", "*.lock", "requirements*.txt", "constraints*.txt", ".gitattributes",
    ".gitmodules", ".gitignore", "selfdrive.toml", ".selfdrive/**", "**/allowed_signers",
    "**/sitecustomize.py", "**/usercustomize.py", "**/*.pth", "**/migrations/**",
)  # fmt: skip

LONGEST_LINE = 400
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


class Given:
    """A patch, the new text of each file, and the base's text, None where there is none."""

    def __init__(self, patch: str, overlay: dict[str, str | None], product: Product) -> None:
        self.patch, self.overlay, self.product = patch, overlay, product

    @cached_property
    def base(self) -> dict[str, str | None]:
        """The text that each file had."""
        has, read = self.product.has, self.product.read
        return {path: read(path) if has(path) else None for path in self.overlay}

    @cached_property
    def pairs(self) -> tuple[tuple[str, str, str], ...]:
        """Path, old and new text of what is there afterwards."""
        return tuple(
            (path, self.base[path] or "", text)
            for path, text in self.overlay.items()
            if text is not None
        )

    @cached_property
    def lines(self) -> int:
        """How many lines go or come, by the line ends that Python knows."""
        return sum(changed_lines(self.base[p] or "", new or "") for p, new in self.overlay.items())

    @cached_property
    def own(self) -> frozenset[str]:
        """The names under which the product's own code can be imported."""
        paths = [PurePosixPath(path).with_suffix("") for path in self.product.source_files()]
        return frozenset(part for path in paths for part in path.parts)


def check_policy(patch: str, overlay: dict[str, str | None], product: Product) -> Check:
    """Return the check `policy`: protected paths, shape, size and what new code reaches for.

    `overlay` is what applying the patch makes of the files it names.
    """
    given = Given(patch, overlay, product)
    faults = [fault for rule in RULES for fault in rule(given)]
    numbers = {"policy": POLICY, "changed_lines": given.lines, "files": len(overlay)}
    says = "; ".join(faults) or "touches only the product's own code"
    return Check(name="policy", passed=not faults, says=says, numbers=numbers)


def _outside_source(given: Given) -> list[str]:
    own = set(given.product.source_files())
    return [f"{path} is not the product's own code" for path in given.overlay if path not in own]


def _protected(given: Given) -> list[str]:
    patterns = (*ALWAYS_PROTECTED, *given.product.protected)
    return [
        f"{path} is protected by {pattern}"
        for path in given.overlay
        for pattern in protecting(path, patterns)
    ]


def _tests(given: Given) -> list[str]:
    return [f"{path} belongs to the tests" for path in given.overlay if is_test_path(path)]


def _shape(given: Given) -> list[str]:
    """A mode, a preamble, a false header and a second spelling all differ from the rendering."""
    deleted = [f"deletes {path}" for path, text in given.overlay.items() if text is None]
    drawn = "".join(
        render_diff(path, given.base[path], text) for path, text in given.overlay.items()
    )
    foreign = "holds text beside the plain diff of what it does, which nobody would judge"
    return deleted if given.patch == drawn else [*deleted, foreign]


def _size(given: Given) -> list[str]:
    limit = given.product.max_lines
    return [f"changes {given.lines} lines, more than {limit}"] if given.lines > limit else []


def _hidden(given: Given) -> list[str]:
    """Name what a person reading the diff would not see, or not see as Python does."""
    found = []
    for path, old, new in given.pairs:
        more = _unseen(new, old) - _unseen(old, old)
        found += [f"brings the character U+{ord(one):04X} into {path}" for one in sorted(more)]
        longest = max(LONGEST_LINE, *(len(row) for row in rows(old)), 0)
        if any(len(row) > longest for row in rows(new)):
            found.append(f"brings a line of more than {longest} characters into {path}")
        if _coding(old) != _coding(new):
            found.append(f"changes the encoding of {path}")
    return found


def _unseen(text: str, base: str) -> Counter[str]:
    """Count control and format characters; in a file of `\\r\\n` lines those are lines."""
    plain = text.replace("\r\n", "\n") if "\r\n" in base else text
    plain = plain.replace("\n", "").replace("\t", "")
    if plain.isprintable():
        return Counter()
    return Counter(one for one in plain if not one.isprintable())


def _coding(text: str) -> str:
    try:
        return tokenize.detect_encoding(BytesIO(text.encode()).readline)[0]
    except (SyntaxError, ValueError):
        return "one that does not exist"


def _reaches(given: Given) -> list[str]:
    return [fault for pair in given.pairs for fault in _reach_of(*pair, given.own)]


@lru_cache(maxsize=64)
def _reach_of(path: str, old: str, new: str, own: frozenset[str]) -> tuple[str, ...]:
    """Return what a new text reaches for and the old one does not.

    Kept, since a patch is asked for twice: when it was found, and when it is proven.
    """
    try:
        friends, before = _before(old, own)
        more = reach_of(Source(new), friends) - before
    except _UNREADABLE as error:
        return (f"{path} cannot be read as Python: {error}",) if path.endswith(".py") else ()
    return tuple(more)


@lru_cache(maxsize=8)
def _before(old: str, own: frozenset[str]) -> tuple[Friends, Counter[str]]:
    before = Source(old)
    friends = Friends(own, before.roots)
    return friends, reach_of(before, friends)


Rule = Callable[[Given], list[str]]
RULES: tuple[Rule, ...] = (
    _outside_source,
    _protected,
    _tests,
    _shape,
    _size,
    _hidden,
    _reaches,
)
