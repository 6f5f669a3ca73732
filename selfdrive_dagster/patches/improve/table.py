"""The templates for slow paths, in one ordered table, and drafts from a profile.

Each template reads one hot function and yields rewrites of it; a draft is what is left of the file
after one rewrite. Hotter functions come first. Belongs here: the table and the order. Does not
belong: running anything.
"""

import ast
from collections.abc import Callable, Iterator

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.improve.cache import pure_function
from selfdrive_dagster.patches.improve.edits import Rewrite, Spot
from selfdrive_dagster.patches.improve.hoist import steady_call
from selfdrive_dagster.patches.improve.purity import Purity
from selfdrive_dagster.patches.improve.records import Hot, Idea, Target
from selfdrive_dagster.patches.improve.scope import Scope
from selfdrive_dagster.patches.improve.sets import own_list, steady_list
from selfdrive_dagster.patches.syntax import Tree
from selfdrive_dagster.patches.templates.checker import changed_tokens
from selfdrive_dagster.patches.templates.generate import is_editable
from selfdrive_dagster.patches.text import apply_edits, render_diff

Template = Callable[[Spot], Iterator[Rewrite]]

TEMPLATES: tuple[Template, ...] = (own_list, steady_list, steady_call, pure_function)
"""What changes least about a program's behaviour comes first; a cache keeps memory."""

SHARE = 0.08
"""Of the samples: what a function takes with all that it calls, for a rewrite to be worth it."""
FUNCTIONS = 12


def ideas(hot: tuple[Hot, ...], tree: Tree, product: Product) -> Iterator[Idea]:
    """Yield drafts for the hot functions that may be edited, none twice."""
    purity = Purity(tree)
    seen: set[str] = set()
    for one in hot[:FUNCTIONS]:
        spot = _spot(one, tree, purity)
        if spot is None or one.total < SHARE or not is_editable(one.path, product):
            continue
        for template in TEMPLATES:
            for rewrite in template(spot):
                idea = _idea(spot, rewrite)
                if idea is not None and idea.draft.patch not in seen:
                    seen.add(idea.draft.patch)
                    yield idea


def _spot(hot: Hot, tree: Tree, purity: Purity) -> Spot | None:
    module = tree.module(hot.path)
    function = module.function(hot.function) if module else None
    if module is None or function is None:
        return None
    return Spot(module=module, function=function, scope=Scope(module, function.node), purity=purity)


def _idea(spot: Spot, rewrite: Rewrite) -> Idea | None:
    old = spot.module.text
    new = apply_edits(old, rewrite.edits)
    try:
        ast.parse(new.removeprefix("\ufeff"))
    except SyntaxError:
        return None
    path = spot.module.path
    draft = Draft(
        family=rewrite.family,
        kind="replace",
        path=path,
        line=rewrite.line,
        function=spot.function.qualname,
        patch=render_diff(path, old, new),
        source=new,
        invented="",
        tokens=changed_tokens(old, new),
    )
    target = Target(
        path=path,
        function=spot.function.qualname,
        keys=rewrite.keys,
        elements=rewrite.elements,
        deterministic=rewrite.deterministic,
    )
    return Idea(draft=draft, target=target, says=rewrite.says, assumes=rewrite.assumes)
