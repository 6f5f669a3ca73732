"""A test that might reproduce the crash, before anything proved it."""

import ast
import builtins
import re
from pathlib import Path

import msgspec

from selfdrive_dagster.model import Diagnosis, FrameFinding, ObservedInput, Product, Way, digest
from selfdrive_dagster.model.product import is_test_path
from selfdrive_dagster.patches.stand_ins import MADE_UP
from selfdrive_dagster.patches.syntax import (
    Class,
    FunctionNode,
    Tree,
    dotted,
    exception_classes,
    last_name,
)
from selfdrive_dagster.patches.values import Import

_FOREIGN = ("node_modules", "site-packages", "venv", "build", "dist")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a test file; `tried` says in plain words what it does."""

    way: Way
    path: str
    source: str
    target: FrameFinding
    tried: str
    arguments: tuple[ObservedInput, ...] = ()
    production_values: tuple[str, ...] = ()


def sentence_of(diagnosis: Diagnosis) -> str:
    """Return what the test's docstring says. The message of the exception stays out of it:

    it is production data, and the test will be committed.
    """
    inner = diagnosis.frames[0]
    kind = last_name(diagnosis.exception_type)
    return f"{kind} in {inner.function} ({inner.path}), as it happened in production."


def test_name(what: str, recorded: str) -> str:
    """Return a test's name: `test_<what>_survives_the_recorded_call`, ASCII letters only."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", what).strip("_")
    return f"test_{plain}_survives_the_recorded_{recorded}"


def test_path(folder: str, diagnosis: Diagnosis, *parts: str) -> str:
    """Return `<folder>/test_selfdrive_<8 hex>.py`, the same for the same crash and call."""
    inner = diagnosis.frames[0]
    name = digest([diagnosis.exception_type, inner.path, inner.function, *parts])[:8]
    return f"{folder}/test_selfdrive_{name}.py" if folder else f"test_selfdrive_{name}.py"


def test_files(product: Product) -> tuple[str, ...]:
    """Return the product's test modules and conftest files, sorted; hidden folders left out."""
    root = Path(product.root)
    paths = (file.relative_to(root) for file in root.rglob("*.py"))
    return tuple(
        sorted(
            path.as_posix()
            for path in paths
            if is_test_path(path.as_posix())
            and not any(part.startswith(".") or part in _FOREIGN for part in path.parts)
        )
    )


def tests_folder(product: Product) -> str:
    """Return where the product keeps its tests: the folder of most of them, else `tests`."""
    counts: dict[str, int] = {}
    for path in test_files(product):
        if not path.rpartition("/")[2].startswith("test_"):
            continue
        folder = path.rpartition("/")[0]
        counts[folder] = counts.get(folder, 0) + 1
    if not counts:
        return "tests"
    return min(counts, key=lambda folder: (-counts[folder], folder.count("/"), folder))


def own_exceptions(tree: Tree, diagnosis: Diagnosis) -> list[tuple[str, Import]]:
    """Return the exceptions by which the crashing code says no, bases before all.

    Raising one of them is the product's own way; a patch may choose it. They are the product's
    classes that the file knows, and builtin ones that the crashing function itself raises.
    Neither the recorded type is among them nor anything that it inherits from.
    """
    classes = {one.node.name: one for one in exception_classes(tree)}
    recorded = last_name(diagnosis.exception_type)
    forbidden = {recorded, *_ancestors(recorded, classes)}
    module = tree.module(diagnosis.frames[0].path)
    if module is None:
        return []
    words = set(re.findall(r"\w+", module.text))
    known = {name for name in classes if name in words and name not in forbidden}
    roots = sorted(name for name in known if not _ancestors(name, classes) & known)
    own = [(name, Import(classes[name].module, name)) for name in roots if _top(classes, name)]
    function = module.function(diagnosis.frames[0].function)
    return own + [
        (name, Import("builtins", name))
        for name in (_raised_builtins(function.node, recorded) if function else ())
    ]


def _raised_builtins(node: FunctionNode, recorded: str) -> list[str]:
    """Return the builtin exceptions that a function raises by name, none wider than `recorded`."""
    raised = {
        dotted(getattr(one.exc, "func", one.exc))
        for one in ast.walk(node)
        if isinstance(one, ast.Raise)
    }
    kind = getattr(builtins, recorded, Exception)
    found = [name for name in raised if isinstance(getattr(builtins, name, None), type)]
    return sorted(
        name
        for name in found
        if issubclass(getattr(builtins, name), Exception)
        and not issubclass(kind, getattr(builtins, name))
    )


def _top(classes: dict[str, Class], name: str) -> bool:
    return classes[name].qualname == name


def _ancestors(name: str, classes: dict[str, Class]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        made = classes.get(waiting.pop())
        for base in made.bases if made else ():
            bare = last_name(base)
            if bare and bare not in found:
                found.add(bare)
                waiting.append(bare)
    return found


def literals(node: ast.AST) -> tuple[str, ...]:
    """Return every literal below a node, for the reviewer.

    `None`, flags, `""`, 0 and 1 tell nothing of anybody and are left out, and so are stand-ins and
    the paths of the product's own files.
    """
    paths = {
        id(given)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and dotted(call.func) == "Path"
        for given in call.args
    }
    found = [
        ascii(one.value)
        for one in ast.walk(node)
        if isinstance(one, ast.Constant)
        and id(one) not in paths
        and one.value not in (None, True, False, "", 0, 1)
        and one.value not in MADE_UP
    ]
    return tuple(dict.fromkeys(found))
