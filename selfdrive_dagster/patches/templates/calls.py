"""Call shape and encoding: arguments added or dropped, a sibling method of the same type."""

import ast
import difflib
from collections.abc import Iterator

from selfdrive_dagster.patches.facts import parameters
from selfdrive_dagster.patches.ingredients import attributes_of
from selfdrive_dagster.patches.syntax import FunctionNode, dotted
from selfdrive_dagster.patches.templates.defaults import insert_argument
from selfdrive_dagster.patches.templates.names import STANDARD, attribute, members
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_READING = ("open", "read_text", "write_text")
_TEXT = ("encode", "decode")


def arguments(site: Site) -> Iterator[Rewrite]:
    """Yield calls with an argument more or less."""
    for node in site.nodes(ast.Call):
        if site.facts.clues.get("unexpected"):
            yield from _dropped(site, node)
        yield from _added(site, node)
    for node in site.nodes(ast.Call):
        yield from _dropped(site, node)


def _dropped(site: Site, node: ast.Call) -> Iterator[Rewrite]:
    unexpected = site.facts.clues.get("unexpected", "")
    items: list[tuple[ast.expr | ast.keyword, str]] = [
        *((keyword, keyword.arg or "**") for keyword in node.keywords),
        *((argument, site.text(argument)) for argument in node.args),
    ]
    ordered = sorted(items, key=lambda item: item[1] != unexpected)
    for item, name in ordered:
        if item not in site.module.sealed and not isinstance(item, ast.GeneratorExp):
            cost = 1.0 if name == unexpected or not unexpected else 3.0
            yield _without(site, node, item, cost)


def _without(site: Site, node: ast.Call, item: ast.expr | ast.keyword, cost: float) -> Rewrite:
    """Remove an argument with the comma that follows it, else the one before."""
    text, span = site.module.text, site.module.lines.span(item)
    close = site.module.lines.span(node).stop - 1
    start, stop = span.start, span.stop
    rest = text[stop:close]
    before = text[:start].rstrip()
    if rest.lstrip().startswith(","):
        stop = stop + rest.index(",") + 1
        stop += len(text[stop:close]) - len(text[stop:close].lstrip())
    elif before.endswith(","):
        start = len(before) - 1
    return site.swap_text(start, stop, "", f"leaves out the argument `{site.text(item)}`", cost)


def _added(site: Site, node: ast.Call) -> Iterator[Rewrite]:
    """Yield arguments that the callee knows and the caller has under the same name."""
    missing = site.facts.clues.get("missing", "")
    given = {keyword.arg for keyword in node.keywords}
    wanted = [
        *([missing] if missing else []),
        *_open_parameters(site, node),
        *_siblings(site, node),
    ]
    for name in [name for name in dict.fromkeys(wanted) if name not in given]:
        for value in _values_for(site, node, name):
            says = f"passes `{name}={value}`"
            yield insert_argument(
                site, node, f"{name}={value}", says, 1.0 if value != "None" else 2.0
            )


def _callee(site: Site, node: ast.Call) -> FunctionNode | None:
    """Find the function or constructor of this file that a call names."""
    name = dotted(node.func).rpartition(".")[2]
    for holder in site.module.all(ast.ClassDef):
        if holder.name == name:
            built = [item for item in holder.body if isinstance(item, ast.FunctionDef)]
            return next((item for item in built if item.name == "__init__"), None)
    return next((one.node for one in site.module.functions if one.name == name), None)


def _open_parameters(site: Site, node: ast.Call) -> list[str]:
    """Return the callee's parameters that this call leaves to their defaults."""
    found = _callee(site, node)
    if found is None or any(isinstance(argument, ast.Starred) for argument in node.args):
        return []
    names = [name for name in parameters(found) if name not in ("self", "cls")]
    starred = {arg.arg for arg in (found.args.vararg, found.args.kwarg) if arg}
    return [name for name in names[len(node.args) :] if name not in starred]


def _siblings(site: Site, node: ast.Call) -> list[str]:
    """Return keywords that other calls of the same callee in this file pass."""
    name = dotted(node.func)
    return [
        keyword.arg
        for other in site.module.all(ast.Call)
        if name and other is not node and dotted(other.func) == name
        for keyword in other.keywords
        if keyword.arg
    ]


def _values_for(site: Site, node: ast.Call, name: str) -> Iterator[str]:
    if name in site.names:
        yield name
    owned = attributes_of(site.module, "self", node)
    for own in (name, f"_{name}"):
        if own in owned:
            yield f"self.{own}"
    if name == site.facts.clues.get("missing"):
        yield from [other for other in site.names if other != name][:3]
        yield "None"


def methods(site: Site) -> Iterator[Rewrite]:
    """Yield sibling methods of the runtime type: `.time()` may be meant as `.timetz()`."""
    for node in site.nodes(ast.Attribute):
        if isinstance(site.module.parents[node], ast.Call):
            kind = site.type_of(node.value)
            owners = [kind] if kind in STANDARD else _owners(node.attr) if not kind else []
            found = [name for owner in owners for name in members(owner) if name != node.attr]
            for name in _alike(node.attr, list(dict.fromkeys(found)))[:6]:
                yield attribute(site, node, name)


def _owners(method: str) -> list[str]:
    return [name for name, kind in STANDARD.items() if hasattr(kind, method)][:3]


def _alike(name: str, others: list[str]) -> list[str]:
    """Return the similar names, those that extend or shorten this one first."""
    extended = [other for other in others if name in other or other in name]
    close = difflib.get_close_matches(name, others, n=5, cutoff=0.5)
    extended.sort(key=lambda other: (not other.startswith(name), abs(len(other) - len(name))))
    return list(dict.fromkeys((*extended, *close)))


def encoding(site: Site) -> Iterator[Rewrite]:
    """Yield text calls told their encoding, or how to treat what does not fit it."""
    for node in site.nodes(ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
        keywords = {keyword.arg for keyword in node.keywords}
        if name in _READING and "encoding" not in keywords:
            yield insert_argument(site, node, 'encoding="utf-8"', "reads and writes UTF-8")
        if name in (*_READING, *_TEXT) and "errors" not in keywords and len(node.args) < 2:
            for way in ("replace", "ignore", "surrogateescape", "backslashreplace"):
                lead = "" if node.args or name in _READING else '"utf-8", '
                says = f"treats undecodable text by `{way}`"
                yield insert_argument(site, node, f'{lead}errors="{way}"', says, cost=1.5)
        if name in _TEXT and node.args and isinstance(node.args[0], ast.Constant):
            for other in ("utf-8", "latin-1", "utf-8-sig"):
                if node.args[0].value != other:
                    yield site.replace(node.args[0], f'"{other}"', f"takes the text as {other}")
