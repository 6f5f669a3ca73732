"""Names of frames: what a function is called, whichever SDK, release or wrapper reported it.

Belongs here: reading one frame. Does not belong: what a stack of them means (`fingerprint`).
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from selfdrive_dagster.model import Frame

_NOT_OURS = (
    "/site-packages/",
    "/dist-packages/",
    "/node_modules/",
    "/lib/python2",
    "/lib/python3",
)
_MINIFIED = re.compile(r"(?:[.-]min|[.-][0-9a-f]{6,})[.]m?js$", re.ASCII)
_DIGITS = re.compile(r"[0-9a-f]{6,}", re.ASCII)

WRAPPERS = frozenset(
    {
        "wrapper", "wrapped", "_wrapper", "_wrapped", "inner", "_inner", "decorated", "decorator",
        "async_wrapper", "sync_wrapper", "inner_wrapper", "wrapper_function", "_wrapped_view",
    }
)  # fmt: skip
"""Functions that only stand around others: decorators come and go, the bug stays."""

COMPREHENSIONS = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"})
"""Frames that some interpreters have and others inline (PEP 709)."""


class Site(msgspec.Struct, frozen=True):
    """A place in the code that survives edits: no line number."""

    module: str
    function: str

    def __str__(self) -> str:
        """Return `module.function`."""
        return f"{self.module}.{self.function}"


def is_in_app(frame: Frame, source: Sequence[str] = ()) -> bool:
    """Say whether a frame is the product's own code.

    The operator's source folders decide where they are given, so that two SDKs that mark
    frames differently agree; then what the SDK said; then where the file lies.
    """
    path = frame.path.replace("\\", "/")
    if _folders(source):
        return _below(path, _folders(source)) is not None and not _is_installed(path)
    if frame.in_app is not None:
        return frame.in_app
    return bool(path) and not _is_installed(path)


def site_of(frame: Frame, source: Sequence[str] = ()) -> Site:
    """Return where a frame stands: importable module and plain function name."""
    return Site(_module(frame, source), _function(frame.function))


def is_minified(frame: Frame) -> bool:
    """Say whether the name is a minifier's, so that the next release calls it otherwise."""
    return _MINIFIED.search(frame.path) is not None and len(_function(frame.function)) <= 2


def telling(frames: Iterable[Frame], source: Sequence[str] = ()) -> list[Frame]:
    """Return the frames that tell a place: no minified name, no wrapper but one that raises."""
    usable = [f for f in frames if not is_minified(f) and f.function not in COMPREHENSIONS]
    last = usable[-1:]
    return [f for f in usable[:-1] if site_of(f, source).function not in WRAPPERS] + last


def _is_installed(path: str) -> bool:
    return path.startswith("<") or any(mark in f"/{path}" for mark in _NOT_OURS)


def _below(path: str, source: Sequence[str]) -> str | None:
    """Return the path from the source folder's own name on, None if it lies in none.

    The last match counts: `/shop/app/shop/cart.py` is `shop/cart.py` of the folder `shop`.
    """
    parts = path.split("/")
    for folder in source:
        wanted = folder.strip("/").split("/")
        size = len(wanted)
        for at in range(len(parts) - size, -1, -1):
            if parts[at : at + size] == wanted:
                return "/".join(parts[at + size - 1 :])
    return None


def _folders(source: Sequence[str]) -> tuple[str, ...]:
    """Return the folders that say something: the tree's top holds everything."""
    named = tuple(folder.removeprefix("./") for folder in source)
    return () if any(folder in ("", ".") for folder in named) else named


def _module(frame: Frame, source: Sequence[str]) -> str:
    path = frame.path.replace("\\", "/")
    below = None if _is_installed(path) else _below(path, _folders(source))
    if below is not None:
        return _dotted(below)
    return frame.module or _dotted(_importable(path))


def _importable(path: str) -> str:
    """Return the part of a path that import statements name, as well as a path alone tells."""
    for mark in _NOT_OURS:
        _, found, tail = path.rpartition(mark)
        if found:
            return tail.partition("/")[2] if mark.startswith("/lib/python") else tail
    return "/".join(path.lstrip("/").split("/")[-2:])


def _dotted(path: str) -> str:
    stem = re.sub(r"[.](py|pyc|m?js|ts|rb|java|go)$", "", path)
    stem = _DIGITS.sub("", stem) if _MINIFIED.search(path) else stem
    return stem.removesuffix("/__init__").strip("/").replace("/", ".")


def _function(name: str) -> str:
    """Return the bare name: `Cart.total`, `total` and `Cart.<locals>.total` are one."""
    return name.rpartition(".")[2] or name
