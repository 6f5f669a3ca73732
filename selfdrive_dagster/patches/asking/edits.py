"""Edits: from a model's answer to drafts, where each that cannot be applied gets a reason.

The answer is JSON of a fixed schema: drafts, each with search and replace blocks in one file. It
is a stranger's text like any other until the gates have judged it. Does not belong here: trying.
"""

import ast

import msgspec

from selfdrive_dagster.model import Product, Result
from selfdrive_dagster.patches.asking.clean import is_plain, plain
from selfdrive_dagster.patches.asking.conversing import Made
from selfdrive_dagster.patches.asking.keeping import oversteps
from selfdrive_dagster.patches.asking.limits import (
    Crashed,
    Spans,
    is_one_treatment,
    strays,
    unknown_value,
)
from selfdrive_dagster.patches.claims import dissent, introduced, supports, told
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.ingredients import Repository
from selfdrive_dagster.patches.proposers import UNTOLD
from selfdrive_dagster.patches.syntax import Module
from selfdrive_dagster.patches.templates.checker import changed_tokens
from selfdrive_dagster.patches.templates.generate import is_editable
from selfdrive_dagster.patches.text import changed_lines, render_diff

FAMILY = "asked"
MOST_EDITS = 8
MOST_CHARS = 6_000
MOST_INVENTS = 120
MOST_EXPLANATION = 400
FITS = "fits"


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One block: `search` stands exactly once in the file, `replace` takes its place."""

    path: str
    search: str
    replace: str


class Drafted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One draft as the model wrote it."""

    explanation: str
    invents: str
    edits: tuple[Edit, ...]


class Answered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole answer."""

    drafts: tuple[Drafted, ...]


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT: dict[str, object] = {"type": "string"}
_EDITS = {"type": "array", "items": _object({"path": _TEXT, "search": _TEXT, "replace": _TEXT})}
_DRAFT = _object({"explanation": _TEXT, "invents": _TEXT, "edits": _EDITS})
SCHEMA = _object({"drafts": {"type": "array", "items": _DRAFT}})
"""The JSON schema that the answer must follow."""


def read_answer(
    text: str,
    product: Product,
    spans: Spans,
    *,
    generator: str,
    most: int,
    crashed: Crashed | None,
    strangers: bool = True,
) -> Made[Draft]:
    """Return the drafts of an answer's text, at most `most`, none twice.

    What lies outside of `spans` was not suspected by the localiser: no model may change it.
    `strangers` says that the prompt held their text: then no new value may come in. `crashed` are
    the lines of the crash whose telemetry it was: then nothing that did not crash may change
    either. None where nothing crashed.
    """
    try:
        answered = msgspec.json.decode(text.encode("utf-8", "replace"), type=Answered)
    except msgspec.ValidationError as fault:
        return Made(Result.WRONG_SCHEMA, plain(str(fault))[:200])
    except msgspec.DecodeError as fault:
        return Made(Result.MALFORMED, plain(str(fault))[:200])
    drafts: dict[str, Draft] = {}
    fates = []
    repository = Repository(product)
    for one in answered.drafts[:most]:
        draft, fate = _draft(one, repository, spans, generator, crashed, strangers=strangers)
        if draft is not None and draft.patch in drafts:
            draft, fate = None, "is the same as one before"
        if draft is not None:
            drafts[draft.patch] = draft
        fates.append(fate)
    result = Result.ANSWERED if drafts or not answered.drafts else Result.NOTHING_FITS
    says = "" if drafts else "; ".join(fates) or "it drafted nothing"
    words = tuple(_words(one) for one in answered.drafts[:most])
    return Made(result, says, tuple(drafts.values()), tuple(fates), words)


def _words(drafted: Drafted) -> str:
    """Return what a model says of its draft, as one clean line each: its word, no evidence."""
    why, makes_up = (
        " ".join(plain(text).split()) for text in (drafted.explanation, drafted.invents)
    )
    invents = f" It says that it invents: {makes_up[:MOST_INVENTS]}" if makes_up else ""
    return why[:MOST_EXPLANATION] + invents


def _draft(
    drafted: Drafted,
    repository: Repository,
    spans: Spans,
    generator: str,
    crashed: Crashed | None,
    *,
    strangers: bool,
) -> tuple[Draft | None, str]:
    """Return a draft, or None with the reason why it cannot be applied."""
    paths = {edit.path for edit in drafted.edits}
    if len(paths) != 1:
        return None, "changes no file" if not paths else "changes several files"
    path, product = paths.pop(), repository.product
    if path not in spans or not is_editable(path, product) or not product.has(path):
        return None, "changes a file that it may not change"
    old = product.read(path)
    new, fault = _applied(old, drafted.edits)
    fault = fault or _fault(old, new, product) or strays(old, new, spans[path])
    if fault:
        return None, fault
    draft = _made(path, old, new, repository, generator)
    if strangers:
        lines = None if crashed is None else crashed.get(path, ())
        fault = _told_too_much(draft, old, repository, lines)
    return (None, fault) if fault else (draft, FITS)


def _told_too_much(
    draft: Draft, old: str, repository: Repository, crashed: tuple[int, ...] | None
) -> str:
    """Say what a draft does that a stranger may have wanted, "" if there is no room for it."""
    if fault := unknown_value(old, draft.source, repository):
        return fault
    if otherwise := dissent(draft, repository):
        return f"answers otherwise than {otherwise}"
    if crashed is None:
        return ""
    given = [idiom.value for idiom in introduced(draft, repository)] if draft.supports else []
    vouched = {value.removeprefix("return ").rpartition(" = ")[2] for value in given}
    return oversteps(old, draft.source, crashed, vouched)


def _applied(text: str, edits: tuple[Edit, ...]) -> tuple[str, str]:
    """Return a text with all blocks replaced, and "" or why one could not be."""
    if len(edits) > MOST_EDITS:
        return text, "has too many blocks"
    ends = "\r\n" if "\r\n" in text else "\n"
    for edit in edits:
        if len(edit.search) > MOST_CHARS or len(edit.replace) > MOST_CHARS:
            return text, "has a block that is too long"
        search, replace = (
            block.replace("\r\n", "\n").replace("\n", ends) for block in (edit.search, edit.replace)
        )
        count = text.count(search) if search else 0
        if count != 1:
            times = "does not stand" if not count else f"stands {count} times"
            return text, f"searches for a text that {times} in the file"
        text = text.replace(search, replace)
    return text, ""


def _fault(old: str, new: str, product: Product) -> str:
    if old == new:
        return "changes nothing"
    if not is_plain(new) and is_plain(old):
        return "adds hidden characters"
    if changed_lines(old, new) > product.max_lines:
        return f"changes more than {product.max_lines} lines"
    try:
        ast.parse(new.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "is no Python any more"
    return ""


def _made(path: str, old: str, new: str, repository: Repository, generator: str) -> Draft:
    """Return a change as a draft. What it invents is read from its code, never from its words."""
    line = _first_change(old, new)
    function = Module(path, old).function_at(line)
    draft = Draft(
        family=FAMILY,
        kind="replace",
        path=path,
        line=line,
        function=function.qualname if function else "",
        patch=render_diff(path, old, new),
        source=new,
        invented="",
        tokens=changed_tokens(old, new),
        generator=generator,
    )
    vouched = supports(draft, repository.product) if is_one_treatment(old, new) else ()
    invented = told(draft, repository)[:MOST_INVENTS] or UNTOLD
    return msgspec.structs.replace(draft, supports=vouched, invented=invented)


def _first_change(old: str, new: str) -> int:
    """Return the first line that differs, from 1; the last one where the new text only goes on."""
    before, after = old.splitlines(), new.splitlines()
    pairs = enumerate(zip(before, after, strict=False), start=1)
    return next((number for number, (one, other) in pairs if one != other), max(1, len(before)))
