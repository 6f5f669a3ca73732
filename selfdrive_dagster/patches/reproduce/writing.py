"""Writing tests that people like to read: imports, docstrings and calls, formatted like black.

Values from telemetry reach a test only as literals that `repr` made, so nothing in them can
become code, and nothing invisible (control characters, bidirectional marks) stays invisible.
"""

import ast
import re
import sys
import textwrap
import tomllib

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.values import Import

WIDTH = 88
HELPERS = {
    "restored": '''def restored(cls, /, **attributes):
    """Make an object with recorded attributes, without its constructor."""
    made = object.__new__(cls)
    for name, value in attributes.items():
        object.__setattr__(made, name, value)
    return made
''',
}
"""Functions that a test defines when it needs them; an Import without a module asks for one."""
_MARK = re.compile(r"__text_(\d+)__")


def line_width(product: Product) -> int:
    """Return the project's own line length, from black's or ruff's settings, else 88."""
    try:
        tools = tomllib.loads(product.read("pyproject.toml")).get("tool", {})
        found = [tools.get(name, {}).get("line-length") for name in ("black", "ruff")]
    except (OSError, ValueError, AttributeError):
        return WIDTH
    return next((one for one in found if isinstance(one, int) and 60 <= one <= 160), WIDTH)


def quoted(text: str) -> str:
    """Return a text as a literal, in double quotes where that needs no escape."""
    shown = repr(text)
    return f'"{shown[1:-1]}"' if shown[0] == "'" and '"' not in text else shown


def docstring(sentence: str) -> str:
    """Return a sentence as a docstring on one line, escaped where it must be."""
    line = " ".join(sentence.split())
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    if '"' in shown or "\\" in shown:
        return quoted(shown)
    return f'"""{shown}"""'


class _Texts(ast.NodeTransformer):
    """Takes texts out of an expression, so that `ast.unparse` cannot choose their quotes."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, str):
            return node
        self.kept.append(quoted(node.value))
        return ast.Name(f"__text_{len(self.kept) - 1}__", ast.Load())


def inline(node: ast.expr) -> str:
    """Return an expression on one line."""
    texts = _Texts()
    bare = ast.unparse(texts.visit(ast.parse(ast.unparse(node), mode="eval").body))
    return _MARK.sub(lambda found: texts.kept[int(found[1])], bare)


def block(node: ast.expr, indent: int, width: int, *, before: int = 0, after: int = 0) -> str:
    """Return an expression, exploded like black when it does not fit.

    `before` and `after` count the characters that share its first and last line.
    """
    line = inline(node)
    if indent + before + len(line) + after <= width:
        return line
    opening, parts, closing = _parts(node, indent + 4, width)
    if not parts:
        return line
    pad = " " * (indent + 4)
    together = ", ".join(parts)
    if len(parts) == 1 and not isinstance(node, ast.Tuple):
        return f"{opening}\n{pad}{together}\n{' ' * indent}{closing}"
    if isinstance(node, ast.Call) and "\n" not in together and indent + 4 + len(together) <= width:
        return f"{opening}\n{pad}{together}\n{' ' * indent}{closing}"
    inner = "".join(f"{pad}{part},\n" for part in parts)
    return f"{opening}\n{inner}{' ' * indent}{closing}"


def _parts(node: ast.expr, indent: int, width: int) -> tuple[str, list[str], str]:
    """Return how an expression opens, its parts at an indent, and how it closes."""

    def show(part: ast.expr, prefix: str = "") -> str:
        return prefix + block(part, indent, width, before=len(prefix), after=1)

    match node:
        case ast.Call(func=func, args=args, keywords=keywords):
            named = [show(one.value, f"{one.arg}=" if one.arg else "**") for one in keywords]
            return f"{inline(func)}(", [*(show(one) for one in args), *named], ")"
        case ast.List(elts=items):
            return "[", [show(one) for one in items], "]"
        case ast.Tuple(elts=items):
            return "(", [show(one) for one in items], ")"
        case ast.Set(elts=items):
            return "{", [show(one) for one in items], "}"
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return "{", [show(v, f"{inline(k)}: " if k else "**") for k, v in pairs], "}"
        case ast.Await(value=value):
            opening, parts, closing = _parts(value, indent, width)
            return f"await {opening}", parts, closing
    return "", [], ""


def statement(node: ast.expr, indent: int, width: int, *, target: str = "") -> str:
    """Return `expression` or `target = expression` as an indented statement with its newline."""
    prefix = f"{target} = " if target else ""
    return f"{' ' * indent}{prefix}{block(node, indent, width, before=len(prefix))}\n"


def import_lines(imports: frozenset[Import], own: frozenset[str], width: int) -> str:
    """Return sorted import statements in three groups: standard library, others, the product's."""
    groups: tuple[list[str], list[str], list[str]] = ([], [], [])
    modules = sorted({one.module for one in imports if one.module})
    for module in modules:
        top = module.partition(".")[0]
        group = groups[2 if top in own else 0 if top in sys.stdlib_module_names else 1]
        names = sorted({one.name for one in imports if one.module == module and one.name})
        if Import(module) in imports:
            group.append(f"import {module}\n")
        if names:
            group.append(_from_import(module, names, width))
    ordered = ["".join(sorted(group, key=lambda line: line.startswith("from"))) for group in groups]
    return "\n".join(group for group in ordered if group)


def _from_import(module: str, names: list[str], width: int) -> str:
    line = f"from {module} import {', '.join(names)}\n"
    if len(line) - 1 <= width:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"


def finished(source: str, imports: frozenset[Import], notes: tuple[str, ...], width: int) -> str:
    """Return a test file with the helpers it needs, and notes as comments below its docstring.

    A module docstring comes first in `source`.
    """
    module = ast.parse(source)
    wanted = sorted(one.name for one in imports if not one.module)
    lines = source.split("\n")
    if wanted:
        last = max(n for n, one in enumerate(module.body) if n == 0 or _is_import(one))
        at = module.body[last].end_lineno or 1
        helpers = "\n\n".join(f"\n{HELPERS[name].rstrip()}" for name in wanted)
        lines[at:at] = ["", *helpers.split("\n")]
    if notes:
        at = module.body[0].end_lineno or 1
        lines[at:at] = [line for note in notes for line in _comment(note, width)]
    return "\n".join(lines)


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _comment(note: str, width: int) -> list[str]:
    plain = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in note)
    shown = f"{plain[:1].upper()}{plain[1:]}."
    return textwrap.wrap(shown, width, initial_indent="# ", subsequent_indent="#   ")


def snake(name: str) -> str:
    """Return a class name as a variable's."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_") or "value"
