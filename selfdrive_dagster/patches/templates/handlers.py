"""Handler: catch a sibling class too, or translate to the module's own exception."""

import ast
import builtins
from collections.abc import Iterator

from selfdrive_dagster.patches.facts import parameters
from selfdrive_dagster.patches.ingredients import caught_here, raised_here
from selfdrive_dagster.patches.syntax import dotted, parse_quietly, walk
from selfdrive_dagster.patches.templates.site import SIMPLE, Rewrite, Site

# Classes that the same call may raise as well, by what the standard library documents.
SIBLINGS: dict[str, tuple[str, ...]] = {
    "ValueError": ("OverflowError", "TypeError", "OSError"),
    "OverflowError": ("ValueError", "OSError"),
    "OSError": ("ValueError", "OverflowError"),
    "KeyError": ("IndexError", "AttributeError", "TypeError"),
    "IndexError": ("KeyError", "ValueError"),
    "TypeError": ("ValueError", "AttributeError"),
    "AttributeError": ("TypeError", "KeyError"),
    "UnicodeDecodeError": ("LookupError",),
    "StopIteration": ("ValueError", "IndexError"),
}
# What ordinary code catches and raises, the commonest first.
COMMON = (
    "ValueError", "TypeError", "KeyError", "AttributeError", "IndexError", "StopIteration",
    "ImportError", "NotImplementedError", "RuntimeError", "OSError", "UnicodeDecodeError",
    "ZeroDivisionError", "OverflowError", "LookupError", "NameError", "AssertionError",
)  # fmt: skip
_PAIRS = (["TypeError", "ValueError"], ["KeyError", "IndexError"], ["AttributeError", "TypeError"],
          ["ValueError", "OverflowError"], ["KeyError", "AttributeError"])  # fmt: skip
_LIKELY = 6
_CERTAIN = 0.2
"""What a candidate costs where the class it replaces does not exist: the slip is there."""
_TIMES = ("ValueError", "OverflowError", "OSError")
DOCUMENTED = {
    "fromtimestamp": _TIMES, "utcfromtimestamp": _TIMES, "localtime": _TIMES, "gmtime": _TIMES,
    "ctime": _TIMES, "float": ("ValueError", "OverflowError"),
}  # fmt: skip
"""What calls of the standard library raise for bad values, where it is more than one class."""
HIDDEN = " from None"
_SWALLOWING = ("Exception", "BaseException")


def widen(site: Site) -> Iterator[Rewrite]:
    """Yield the handlers around this statement, made to catch the crash's class too."""
    handlers = _around(site)
    names = _classes(site)
    for handler in handlers:
        if handler.type is None or handler.type in site.module.sealed:
            continue
        for name in names:
            yield from _with_class(site, handler.type, name)


def _around(site: Site) -> list[ast.ExceptHandler]:
    """Return the handlers whose `try` body holds this statement, innermost first."""
    found, inner = [], site.statement
    chain: list[ast.AST] = [site.statement, *site.module.ancestors(site.statement)]
    for up in chain:
        if isinstance(up, ast.Try) and (inner in up.body or up is site.statement):
            found += up.handlers
        if isinstance(up, ast.stmt):
            inner = up
    return found


def _classes(site: Site) -> list[str]:
    """Return class names worth catching: the crash's own, its siblings, the module's."""
    own = [site.exception] if _is_known(site, site.exception) else []
    siblings = [name for known in own for name in SIBLINGS.get(known, ())]
    near = caught_here(site.module, site.statement)[:4]
    return [name for name in dict.fromkeys((*own, *siblings, *near)) if name not in _SWALLOWING]


def _is_known(site: Site, name: str) -> bool:
    found = getattr(builtins, name, None) if name else None
    standard = isinstance(found, type) and issubclass(found, Exception)
    return standard or (bool(name) and name.partition(".")[0] in site.fixed)


def _with_class(site: Site, kind: ast.expr, name: str) -> Iterator[Rewrite]:
    says = f"treats {name} as it treated {site.text(kind)}"
    if isinstance(kind, ast.Tuple):
        held = [dotted(item) for item in kind.elts]
        if name not in held and kind.elts:
            last = site.module.lines.span(kind.elts[-1]).stop
            yield site.swap_text(last, last, f", {name}", says)
    elif dotted(kind) != name:
        yield site.replace(kind, f"({site.text(kind)}, {name})", says)
        yield site.replace(kind, name, f"catches {name} instead", cost=2.0)


def translate(site: Site) -> Iterator[Rewrite]:
    """Yield the statement under `try`, its crash raised again as the module's own exception."""
    if not isinstance(site.statement, SIMPLE) or site.function is None:
        return
    caught = list(dict.fromkeys((*_groups(site), *_alone_or_documented(site))))
    pairs = [
        (rank + place, raised, classes)
        for rank, raised in enumerate(raisable(site))
        for place, classes in enumerate(caught)
        if raised.removeprefix("raise ").partition("(")[0] not in classes.split(", ")
    ]
    for _, raised, classes in sorted(pairs, key=lambda pair: pair[0]):
        group = f"({classes})" if ", " in classes else classes
        says = f"raises {raised.removeprefix('raise ')} where it {site.fails}"
        tail = [f"except {group} as error:", f">{raised.removesuffix(HIDDEN)} from error"]
        if made := site.wrap(site.statement, "try:", tail, says, cost=1.5):
            yield made


def _alone_or_documented(site: Site) -> list[str]:
    """Return what to catch: what is documented, since less leaves a failure that is known to come,
    else the crash's class alone and with those like it."""
    if documented := _documented(site):
        return [", ".join(documented)]
    names = _classes(site)[:3]
    return [", ".join(names[:size]) for size in (1, 2, 3) if len(names) >= size]


def _documented(site: Site) -> tuple[str, ...]:
    """Return all that the standard library says of a call below, if our exception is among it.

    Looked at are the statement's own calls and those of the file's functions that it calls.
    """
    called = _called(site.statement)
    functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = [
        *site.module.all(ast.FunctionDef),
        *site.module.all(ast.AsyncFunctionDef),
    ]
    below = (function for function in functions if function.name in called)
    inside = [name for function in below for name in _called(function)]
    groups = (DOCUMENTED[name] for name in (*called, *inside) if name in DOCUMENTED)
    return next((group for group in groups if site.exception in group), ())


def _called(node: ast.AST) -> list[str]:
    calls = (inner for inner in walk(node) if isinstance(inner, ast.Call))
    return [dotted(call.func).rpartition(".")[2] for call in calls]


def _groups(site: Site) -> list[str]:
    """Return the groups of classes that handlers of this file catch together, ours among them."""
    found = []
    for node in site.module.all(ast.ExceptHandler):
        if isinstance(node.type, ast.Tuple):
            names = [dotted(item) for item in node.type.elts]
            if site.exception in names:
                found.append(", ".join(names))
    return found[:2]


def raisable(site: Site) -> list[str]:
    """Return `raise` statements of this file that can stand here, the nearest first.

    One whose arguments cannot be read here is kept as its class alone.
    """
    given = parameters(site.function) if site.function else []
    foreign = site.module.local_names - {*site.names, *given}
    found = []
    for text in raised_here(site.module, site.statement):
        node = parse_quietly(text).body[0]
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        used = {n.id for n in walk(node.exc) if isinstance(n, ast.Name)}
        kind = dotted(_callee(node.exc))
        if not used & foreign:
            found.append(_uncaused(text))
        elif kind and _is_class(kind):
            found.append(f"raise {kind}()")
    caught = [name for name in caught_here(site.module, site.statement) if _is_class(name)]
    return list(dict.fromkeys((*found, *(f"raise {name}()" for name in caught[:3]))))[:5]


def _uncaused(text: str) -> str:
    """Leave out what an exception comes from, but not that it hides where it comes from."""
    return text if text.endswith(HIDDEN) else text.partition(" from ")[0]


def _is_class(name: str) -> bool:
    return name.rpartition(".")[2][:1].isupper() and name not in (*_SWALLOWING, "StopIteration")


def _callee(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def reclass(site: Site) -> Iterator[Rewrite]:
    """Yield another exception class in a `raise` or in the handlers of this statement."""
    if isinstance(site.statement, ast.Raise) and site.statement.exc is not None:
        callee = _callee(site.statement.exc)
        for place, name in enumerate(_other_classes(site, dotted(callee))):
            cost = 1.0 if place < _LIKELY else 2.0
            yield site.replace(callee, name, f"raises {name} instead", cost=cost)
    elif isinstance(site.statement, ast.Try):
        handlers = site.statement.handlers
        for handler in sorted(handlers, key=lambda one: one.lineno != site.line):
            if handler.type is not None and handler.type not in site.module.sealed:
                yield from _caught(site, handler.type)


def _caught(site: Site, kind: ast.expr) -> Iterator[Rewrite]:
    """Yield other classes for a handler: one by one, and groups that are caught together."""
    items = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    known = all(_is_known(site, dotted(item)) for item in items)
    haste = 1.0 if known else _CERTAIN
    groups = [f"({', '.join(names)})" for names in (*_together(site), *_PAIRS)]
    for item in items:
        for place, name in enumerate(_other_classes(site, dotted(item))):
            says = f"catches {name} in place of {site.text(item)}"
            cost = haste * (1.0 if place < _LIKELY else 2.0)
            yield site.replace(item, name, says, cost=cost)
    for text in dict.fromkeys(groups):
        cost = haste * (1.5 if len(items) > 1 else 2.0)
        yield site.replace(kind, text, f"catches {text} in place of {site.text(kind)}", cost=cost)
    if not known:
        says = "catches every exception where it named none that exists"
        yield site.replace(kind, "Exception", says, cost=3.0)


def _other_classes(site: Site, now: str) -> list[str]:
    """Return the classes that one may have been meant to be, nearest first."""
    known = [name for name in caught_here(site.module, site.statement) if _is_known(site, name)]
    found = dict.fromkeys((*known, *SIBLINGS.get(now, ()), *COMMON))
    return [name for name in found if name not in (now, *_SWALLOWING)]


def _together(site: Site) -> list[list[str]]:
    """Return the groups of classes that handlers of the file catch together."""
    groups = (node.type for node in site.module.all(ast.ExceptHandler))
    named = [[dotted(item) for item in one.elts] for one in groups if isinstance(one, ast.Tuple)]
    return [names for names in named if all(_is_known(site, name) for name in names)]
