"""Jump: `break`, `continue`, `return` and `pass` for one another, or one where there was none."""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.syntax import FUNCTIONS
from selfdrive_dagster.patches.templates.site import SIMPLE, Rewrite, Site

# What a jump may have been meant to be, likeliest first.
JUMPS: dict[type[ast.stmt], tuple[str, ...]] = {
    ast.Break: ("continue", "pass", "return"),
    ast.Continue: ("break", "pass", "return"),
    ast.Pass: ("continue", "break", "return"),
    ast.Return: ("continue", "break"),
}


def jump(site: Site) -> Iterator[Rewrite]:
    """Yield another jump; inside a loop one more after the last statement of a block."""
    node = site.statement
    span = site.module.lines.span(node)
    for place, word in enumerate(JUMPS.get(type(node), ())):
        if word == "return" or is_in_loop(site):
            says = f"says `{word}` where it said `{site.text(node).splitlines()[0]}`"
            yield site.swap_text(span.start, span.stop, word, says, cost=1.0 + place / 2)
    if isinstance(node, SIMPLE) and is_in_loop(site) and site.module.block_of(node)[-1] is node:
        for word in ("break", "continue"):
            if made := site.after(node, [word], f"goes on with `{word}`", cost=2.0):
                yield made


def is_in_loop(site: Site) -> bool:
    """Say whether a statement stands in a loop of its own function."""
    for up in site.module.ancestors(site.statement):
        if isinstance(up, (ast.For, ast.AsyncFor, ast.While)):
            return True
        if isinstance(up, (*FUNCTIONS, ast.ClassDef)):
            return False
    return False
