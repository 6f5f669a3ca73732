"""Reported frames, found again in the tree.

A trace may come from another machine (other folders), another revision (moved lines) or a
library that merely looks like ours. Paths are compared from their end; functions and the
recorded source line decide what the path leaves open. Belongs here: where a frame stands now.
Does not belong: what its variables hold.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from selfdrive_dagster.model import Crash, Frame, FrameFinding, RaisedException
from selfdrive_dagster.patches.syntax import ANONYMOUS, Function, Module, Tree

LONGEST_LINE = 200

Placed = tuple[Frame, FrameFinding]


def place(tree: Tree, crash: Crash) -> tuple[RaisedException, tuple[Placed, ...], list[str]]:
    """Choose the exception whose frames the tree knows: the last raised, else its nearest cause."""
    for number, raised in enumerate(reversed(crash.exceptions)):
        placed, notes = _placed(tree, raised)
        if placed:
            if number:
                notes.append(
                    f"The frames are those of the {raised.type} behind the {crash.raised.type}."
                )
            return raised, placed, notes
    notes = _placed(tree, crash.raised)[1]
    notes.append("No reported frame was found in the product's own code.")
    return crash.raised, (), notes


def _placed(tree: Tree, raised: RaisedException) -> tuple[tuple[Placed, ...], list[str]]:
    placed: list[Placed] = []
    notes: list[str] = []
    for frame in reversed(raised.frames):
        module = _module_of(tree, frame)
        if module is None:
            continue
        finding = _finding(module, frame, depth=len(placed) + 1)
        if finding is None:
            notes.append(f"{module.path} has no function {plain(frame.function)} at this revision.")
            continue
        placed.append((frame, finding))
    if any(finding.drifted for _, finding in placed):
        notes.append("The code has moved since the crash; some lines were found again by text.")
    return tuple(placed), notes


def _module_of(tree: Tree, frame: Frame) -> Module | None:
    """Return the file a frame speaks of: the longest common end of the path decides."""
    parts = PurePosixPath(frame.path.replace("\\", "/")).parts
    best: tuple[int, bool, str] | None = None
    for path in tree.paths:
        own = PurePosixPath(tree.importable(path)).parts
        common = _common_end(parts, own)
        whole = common == len(own)
        if common and (_trusted(frame, own) if whole else _confirmed(tree, path, frame)):
            best = max(best or (0, False, ""), (common, whole, path))
    return tree.module(best[2]) if best else None


def _common_end(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count


def _trusted(frame: Frame, own: tuple[str, ...]) -> bool:
    """Say whether a path that ends like ours is ours: a lone `utils.py` may be anybody's."""
    if len(own) > 1:
        return True
    foreign = "site-packages" in frame.path or "dist-packages" in frame.path
    named = frame.module in ("", "__main__", own[0].removesuffix(".py"))
    return frame.in_app is not False and not foreign and named


def _confirmed(tree: Tree, path: str, frame: Frame) -> bool:
    """Say whether a file whose folders differ holds the function and the very line."""
    module = tree.module(path)
    if module is None or frame.in_app is False or not frame.source.strip():
        return False
    return any(
        one.name == frame.function and _lines_like(module, frame.source, one)
        for one in module.functions
    )


def _finding(module: Module, frame: Frame, depth: int) -> FrameFinding | None:
    """Find a frame's line again: where it was, in its function, or elsewhere in the file."""
    for line, drifted in _places(module, frame):
        function = module.function_at(line)
        name = function.qualname if function else "<module>"
        return FrameFinding(
            path=module.path, line=line, function=name, depth=depth, drifted=drifted
        )
    return None


def _places(module: Module, frame: Frame) -> Iterator[tuple[int, bool]]:
    source = frame.source.strip()
    here = module.function_at(frame.line)
    if _same_name(frame.function, here) and (not source or module.line(frame.line) == source):
        yield frame.line, False
    named = [one for one in module.functions if _same_name(frame.function, one)]
    for function in sorted(named, key=lambda one: abs(one.first_line - frame.line)):
        for line in _nearest(_lines_like(module, source, function), frame.line):
            yield line, True
    if source and frame.function not in ("<module>", ""):
        lines = [n for n in range(1, len(module.lines) + 1) if module.line(n) == source]
        if len(lines) == 1:
            yield lines[0], True
    for function in named:
        inside = function.first_line < frame.line <= function.last_line
        yield (frame.line if inside else function.node.body[0].lineno), True


def _same_name(reported: str, function: Function | None) -> bool:
    """Compare names: traces give `total`, `Cart.total`, or the name of a nameless inner code."""
    if function is None:
        return reported == "<module>"
    bare = reported.rpartition(".")[2]
    return bare == function.name or bare in ANONYMOUS


def _lines_like(module: Module, source: str, function: Function) -> list[int]:
    wanted = source.strip()
    if not wanted:
        return []
    lines = range(function.first_line, function.last_line + 1)
    return [line for line in lines if module.line(line) == wanted]


def _nearest(lines: list[int], line: int) -> list[int]:
    return sorted(lines, key=lambda one: abs(one - line))


def plain(text: str) -> str:
    """Return one printable line of bounded length: what a stranger wrote, made harmless."""
    line = re.sub(r"\s+", " ", text).strip()
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    return shown if len(shown) <= LONGEST_LINE else f"{shown[: LONGEST_LINE - 3]}..."
