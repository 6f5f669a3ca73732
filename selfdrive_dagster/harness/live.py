"""Swap a function's code while the product is imported.

A candidate usually changes one function. Compiling the patched file and assigning the new
code object to the living function costs a millisecond; importing the product again costs a
second. What cannot be swapped (module level, class bodies, decorators, changed closures)
is said to be `Cold`, and the caller starts a fresh process instead.
"""

from __future__ import annotations

import gc
import os
import types
from collections.abc import Iterator

from .fragments import Edit, Layout, compile_pair

COMPREHENSIONS = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")
CO_NEWLOCALS = 0x2  # set on function code, not on module or class bodies


class Cold(Exception):
    """The change reaches beyond living functions: a fresh process must import it."""


def changed_functions(
    old: types.CodeType, new: types.CodeType
) -> list[tuple[types.CodeType, types.CodeType]]:
    """Pair the outermost functions whose code differs. Raises Cold where a body differs.

    Line numbers do not count: a patch shifts everything below it.
    """
    if _is_function(old):
        return [] if _same(old, new, deep=True) else [(old, new)]
    if not _same(old, new, deep=False):
        raise Cold(f"{old.co_qualname} itself changed")
    pairs: list[tuple[types.CodeType, types.CodeType]] = []
    for before, after in zip(_children(old), _children(new), strict=True):
        pairs += changed_functions(before, after)
    return pairs


def changed_code(
    old: types.CodeType, new: types.CodeType
) -> Iterator[tuple[types.CodeType, types.CodeType]]:
    """Pair the innermost functions whose own code differs, closures and lambdas among them."""
    for before, after in changed_functions(old, new):
        yield from _innermost(before, after)


def _innermost(
    old: types.CodeType, new: types.CodeType
) -> Iterator[tuple[types.CodeType, types.CodeType]]:
    inside = [(a, b) for a, b in _nested_pairs(old, new) if not _same(a, b, deep=True)]
    direct = [(a, b) for a, b in inside if a in _children(old)]
    # A comprehension is no function of its own: nobody calls it but the code around it.
    own = any(a.co_name in COMPREHENSIONS for a, _ in direct) or not direct
    direct = [(a, b) for a, b in direct if a.co_name not in COMPREHENSIONS]
    if own or not _same(old, new, deep=False):
        yield old, new
    for before, after in direct:
        yield from _innermost(before, after)


Alive = dict[tuple[str, int], list[types.FunctionType]]


def living(path: str) -> Alive:
    """Return the living functions of a file by (qualified name, first line).

    Costs a walk over every object; a zygote walks once, before it forks.
    """
    wanted = os.path.abspath(path)
    found: Alive = {}
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and thing.__code__.co_filename == wanted:
            code = thing.__code__
            found.setdefault((code.co_qualname, code.co_firstlineno), []).append(thing)
    return found


Swapped = list[tuple[types.FunctionType, types.CodeType]]


def swap(base: Layout, edit: Edit, alive: Alive) -> Swapped:
    """Give the living functions of a file their new code; return what was swapped, for `restore`.

    Code that compiles to what it was (`+1` for `1`) needs no swap. Raises Cold if anything but
    living functions changed, or none of them is alive; then all is as it was.
    """
    old, new = compile_pair(base, edit)
    pairs = changed_functions(old, new)
    swapped: Swapped = []
    for before, after in pairs:
        for inner_old, inner_new in [(before, after), *_nested_pairs(before, after)]:
            for function in alive.get((inner_old.co_qualname, inner_old.co_firstlineno), ()):
                held = function.__code__
                try:
                    function.__code__ = inner_new
                except ValueError as error:  # another number of free variables
                    restore(swapped)
                    raise Cold(str(error)) from error
                swapped.append((function, held))
    if pairs and not swapped:
        raise Cold("no living function carries the change")
    return swapped


def restore(swapped: Swapped) -> None:
    """Give functions the code back that they had."""
    for function, held in reversed(swapped):
        function.__code__ = held


def _is_function(code: types.CodeType) -> bool:
    return bool(code.co_flags & CO_NEWLOCALS)


def _children(code: types.CodeType) -> list[types.CodeType]:
    return [const for const in code.co_consts if isinstance(const, types.CodeType)]


def _nested_pairs(
    old: types.CodeType, new: types.CodeType
) -> Iterator[tuple[types.CodeType, types.CodeType]]:
    """Pair functions nested in a changed one by name: closures made at import live on."""
    after = {code.co_qualname: code for code in _children(new)}
    for before in _children(old):
        if before.co_qualname in after and _is_function(before):
            yield before, after[before.co_qualname]
            yield from _nested_pairs(before, after[before.co_qualname])


def _same(old: types.CodeType, new: types.CodeType, *, deep: bool) -> bool:
    if _shape(old) != _shape(new):
        return False
    before, after = _children(old), _children(new)
    if [code.co_name for code in before] != [code.co_name for code in after]:
        return False
    return not deep or all(_same(a, b, deep=True) for a, b in zip(before, after, strict=True))


def _shape(code: types.CodeType) -> tuple[object, ...]:
    consts = tuple(
        (type(const), _told(const))
        for const in code.co_consts
        if not isinstance(const, types.CodeType)
    )
    return (
        code.co_code,
        consts,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_posonlyargcount,
        code.co_flags,
    )


def _told(const: object) -> str:
    """Return a constant as text; two sets of the same members may come in different orders."""
    return repr(sorted(map(repr, const)) if isinstance(const, frozenset) else const)
