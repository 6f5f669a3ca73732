"""Made-up texts in place of what people wrote, wherever the crash does not need the original.

A reproducer is committed; names, addresses and free text of users should not be. Each text
that reads like a person's words is replaced by one of its shape (`Ada Byron` → `Xxx Xxxxx`)
and kept so if the test still fails for the same reason. Short codes and numbers stay: a
fix may well depend on them, and the reviewer sees the list of what remained.
"""

import ast
import re

import msgspec

from selfdrive_dagster.model import Diagnosis, Product, Sandbox
from selfdrive_dagster.patches.reproduce.draft import Draft
from selfdrive_dagster.patches.reproduce.proving import judge, prove
from selfdrive_dagster.patches.reproduce.writing import quoted
from selfdrive_dagster.patches.text import Edit, Lines, apply_edits

CODE = re.compile(r"[\w.:/+-]{1,24}", re.ASCII)
"""What may be a code, a slug, a path or a number: left as it is."""

MOST_TEXTS = 12


def shrink(draft: Draft, diagnosis: Diagnosis, product: Product, sandbox: Sandbox) -> Draft:
    """Return the draft with as many made-up texts as it bears; itself when it bears none."""
    wanted = [(text, new) for text in _texts(draft) for new in made_up(text)]
    variants = [_variant(draft, n, dict([pair])) for n, pair in enumerate(wanted)]
    if not variants:
        return draft
    proofs = judge(tuple(variants), diagnosis, product, sandbox)
    spare: dict[str, str] = {}
    for (text, new), one in zip(wanted, variants, strict=True):
        if proofs[one.path].node_ids:
            spare.setdefault(text, new)
    if not spare:
        return draft
    shrunk = msgspec.structs.replace(_variant(draft, 0, spare), path=draft.path)
    proof = prove((shrunk,), diagnosis, product, sandbox)[draft.path]
    return shrunk if proof.confirmed else draft


def made_up(text: str) -> tuple[str, ...]:
    """Return texts of the same shape in x, X and 1: all letters replaced, then only ASCII ones."""
    shapes = (
        re.sub(pattern, lambda one: "X" if one[0].isupper() else "x", re.sub(r"\d", "1", text))
        for pattern in (r"[^\W\d_]", "[A-Za-z]")
    )
    return tuple(one for one in dict.fromkeys(shapes) if one != text)


def _texts(draft: Draft) -> tuple[str, ...]:
    """Return the texts from production that read like a person's words, in order."""
    recorded = [ast.literal_eval(one) for one in draft.production_values]
    texts = [one for one in recorded if isinstance(one, str) and not CODE.fullmatch(one)]
    keys = _keys(draft.source)
    return tuple(one for one in texts if one not in keys)[:MOST_TEXTS]


def _keys(source: str) -> set[object]:
    """Return the keys of dictionaries: they belong to the product's language, not to people."""
    return {
        key.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }


def _variant(draft: Draft, number: int, texts: dict[str, str]) -> Draft:
    lines = Lines(draft.source)
    edits = []
    for node in ast.walk(ast.parse(draft.source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in texts:
            span = lines.span(node)
            edits.append(Edit(span.start, span.stop, quoted(texts[node.value])))
    remaining = tuple(one for one in draft.production_values if ast.literal_eval(one) not in texts)
    return msgspec.structs.replace(
        draft,
        path=draft.path.replace(".py", f"_{number}.py"),
        source=apply_edits(draft.source, edits),
        production_values=remaining,
    )
