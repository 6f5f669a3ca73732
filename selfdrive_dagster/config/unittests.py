"""A command of unittest, as pytest runs the same tests.

Tests are run one by one by pytest, which knows unittest's classes. Only those are collected, from
the files that unittest would look at. What pytest cannot do alike is refused, not guessed;
`load_tests` is the one thing that cannot be seen here (docs/repair-json.md says so).
"""

from collections.abc import Iterator

CALLS = (("python", "-m", "unittest"), ("python3", "-m", "unittest"))
ONLY_CLASSES = ("-o", "python_functions=", "-o", "python_classes=")
"""Plain functions and classes that are no TestCase are none of unittest's tests."""

KEPT = {"-v": "-v", "--verbose": "-v", "-q": "-q", "--quiet": "-q", "-f": "-x", "--failfast": "-x"}
"""Switches of unittest that mean something to pytest."""
SILENT = frozenset(("-b", "--buffer", "-c", "--catch", "--locals"))
NAMED = {
    "--start-directory": "-s",
    "--pattern": "-p",
    "--top-level-directory": "-t",
}
PATTERN = "test*.py"


def unittest_arguments(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return what pytest gets for a call of unittest, None when it is none or not understood."""
    given = next((words[len(call) :] for call in CALLS if words[: len(call)] == call), None)
    if given is None:
        return None
    discovers = given[:1] == ("discover",)
    values: dict[str, str] = {}
    kept: list[str] = []
    names: list[str] = []
    rest = iter(given[1:] if discovers else given)
    for word in rest:
        key, equals, value = word.partition("=")
        key = NAMED.get(key, key)
        if word in KEPT:
            kept.append(KEPT[word])
        elif key in ("-s", "-p", "-t", "-k") and (discovers or key == "-k"):
            values[key] = value if equals else next(rest, "")
        elif word.startswith("-") and word not in SILENT:
            return None
        elif not word.startswith("-"):
            names.append(word)
    if discovers:
        values |= dict(zip(("-s", "-p", "-t"), names, strict=False))
        names = [values["-s"]] if "-s" in values else []
    chosen = [] if discovers and not names else [*_places(names, discovers)]
    if not values.get("-k", "a").isidentifier():
        return None  # a pattern with stars means something else to pytest
    wanted = ("-k", values["-k"]) if "-k" in values else ()
    files = ("-o", f"python_files={values.get('-p', PATTERN)}")
    return (*kept, *files, *ONLY_CLASSES, *wanted, *chosen)


def _places(names: list[str], folders: bool) -> Iterator[str]:
    """Yield what pytest calls a folder, a file, `package.module` or `module.Class.method`."""
    for name in names:
        if folders or name.endswith(".py"):
            yield name
            continue
        parts = name.split(".")
        first = next((n for n, part in enumerate(parts) if part[:1].isupper()), len(parts))
        module, inside = parts[:first], parts[first:]
        yield "::".join(["/".join(module) + ".py", *inside])
