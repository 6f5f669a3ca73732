"""From a route as telemetry names it to the function in the repository that answers it.

Routes are read from syntax: tables (`Route("/x", show)`, `add_url_rule`, Django's `path`) and
decorators (`@app.get("/x")`). Prefixes of mounts and routers stand elsewhere, so the longest
written path that ends the route wins. Nothing is imported.
"""

import ast
import re
from collections.abc import Iterator

from selfdrive_dagster.patches.improve.records import Handler
from selfdrive_dagster.patches.syntax import FUNCTIONS, Function, Module, Tree, dotted, last_name

TABLES = ("Route", "APIRoute", "add_route", "add_api_route", "add_url_rule", "path", "url")
VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
DECORATORS = (*VERBS, "route", "api_route", "websocket")
_PARAMETER = re.compile(r"\{[^{}]*\}|<[^<>]*>")


def handler_of(tree: Tree, route: str) -> Handler | None:
    """Return the function that answers `GET /x/{id}`; None where none or several do."""
    method, path = _split(route)
    found: list[tuple[int, Handler]] = []
    for module in tree.modules:
        for written, verbs, function, how in _written(tree, module):
            plain = _plain(written)
            fits = _plain(path) == plain or (plain and _plain(path).endswith(f"/{plain}"))
            if fits and function is not None and (not method or not verbs or method in verbs):
                handler = Handler(
                    path=function.path,
                    function=function.qualname,
                    line=function.first_line,
                    how=f"{how} in {module.path}",
                )
                found.append((len(plain), handler))
    longest = max((length for length, _ in found), default=0)
    best = {handler for length, handler in found if length == longest}
    return best.pop() if len(best) == 1 else None


def _split(route: str) -> tuple[str, str]:
    first, _, rest = route.partition(" ")
    return (first.lower(), rest) if rest else ("", first)


def _plain(path: str) -> str:
    """Return a path without its ends' slashes; parameters are alike, however they are named."""
    return _PARAMETER.sub("{}", path.strip("^$")).strip("/")


_Written = tuple[str, tuple[str, ...], Function | None, str]


def _written(tree: Tree, module: Module) -> Iterator[_Written]:
    for call in module.all(ast.Call):
        name = last_name(dotted(call.func))
        path = call.args[0] if call.args else None
        if not isinstance(path, ast.Constant) or not isinstance(path.value, str):
            continue
        if name in TABLES and len(call.args) > 1:
            yield path.value, _methods(call), _named(tree, module, call.args[1]), name
        elif name in DECORATORS:
            holder = module.parents[call]
            if isinstance(holder, FUNCTIONS) and call in holder.decorator_list:
                function = next((one for one in module.functions if one.node is holder), None)
                verbs = (name,) if name in VERBS else _methods(call)
                yield path.value, verbs, function, f"@{dotted(call.func)}"


def _methods(call: ast.Call) -> tuple[str, ...]:
    listed = next((one.value for one in call.keywords if one.arg == "methods"), None)
    items = getattr(listed, "elts", [])
    return tuple(str(one.value).lower() for one in items if isinstance(one, ast.Constant))


def _named(tree: Tree, module: Module, node: ast.expr) -> Function | None:
    """Return the function that a name means here: its own, or one that was imported."""
    name = dotted(node)
    own = module.function(name)
    if own is not None:
        return own
    home, _, last = name.rpartition(".")
    for source, original, bound in imports_of(module):
        if bound == (home or last):
            wanted = source if home and not original else f"{source}.{original}".strip(".")
            wanted = wanted if home else source
            for other in tree.modules:
                if other.name == wanted and (
                    found := other.function(original if not home else last)
                ):
                    return found
    return None


def imports_of(module: Module) -> Iterator[tuple[str, str, str]]:
    """Yield (module, name in it or "", name here) for each import; relative ones resolved."""
    package = module.name.split(".")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                yield one.name, "", one.asname or one.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((source, one.name, one.asname or one.name) for one in node.names)
