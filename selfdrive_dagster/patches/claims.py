"""Who may claim REPAIR: a failing test, a sibling idiom, or two independent oracles.

A guard that returns nonsense also stops a crash, so a value that nothing in the project
supports is a mitigation, however small the patch. A sibling idiom must agree in way,
subject *and* value, somewhere else in the same repository; when in doubt there is none.
One lookalike vouches for a form, never for an invented value: a value needs a sibling that
treats the very same thing, or two functions that agree while none dissents.
Belongs here: claims and their evidence. Does not belong: running anything.
"""

import ast
import builtins
from collections import Counter
from collections.abc import Iterable, Iterator

from selfdrive_dagster.model import Claim, Product, Support
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.idioms import Idiom, idioms_in, needle, raised_class
from selfdrive_dagster.patches.ingredients import Repository, idioms_of

# Families that choose a value or a branch; copies of code (donors, ingredients) agree with
# their original by construction, which is no evidence.
SUPPORTABLE = frozenset(
    ("default", "guard", "catch", "translate", "widen", "condition", "handed_in", "asked")
)

FAILING_TEST = "failing_test"
SIBLING_IDIOM = "sibling_idiom"


def supports(draft: Draft, product: Product) -> tuple[Support, ...]:
    """Return the evidence in the repository for the value a draft chose, `()` when none."""
    repository = Repository(product)
    before = repository.module(draft.path)
    try:
        after = ast.parse(draft.source.removeprefix("\ufeff"))
    except SyntaxError:
        return ()
    if before is None:
        return ()
    return sibling_idioms(draft.family, draft.path, idioms_of(before), idioms_in(after), repository)


def sibling_idioms(
    family: str, path: str, before: Iterable[Idiom], after: Iterable[Idiom], repository: Repository
) -> tuple[Support, ...]:
    """Return one support for every idiom that a change introduces, or `()`.

    A change that introduces several idioms needs support for each: one that agrees does not
    vouch for another that is made up.
    """
    if family not in SUPPORTABLE:
        return ()
    there = tuple(before)
    known = Counter((idiom.place, idiom.key) for idiom in there)
    now = tuple(after)
    introduced = [idiom for idiom in now if _is_new(idiom, known)]
    beside = tuple(idiom for idiom in now if idiom not in introduced)
    gone = [idiom for idiom in there if known[idiom.place, idiom.key] > 0]
    found = [
        _support(idiom, path, repository, beside, any(_is_widened(old, idiom) for old in gone))
        for idiom in introduced
    ]
    agreeing = tuple(support for support in found if support)
    return agreeing if len(agreeing) == len(introduced) else ()


def introduced(draft: Draft, repository: Repository) -> tuple[Idiom, ...]:
    """Return the idioms that a draft brings into its file."""
    before = repository.module(draft.path)
    there = idioms_of(before) if before else ()
    known = Counter((idiom.place, idiom.key) for idiom in there)
    after = idioms_in(ast.parse(draft.source.removeprefix("\ufeff")))
    return tuple(idiom for idiom in after if _is_new(idiom, known))


def dissent(draft: Draft, repository: Repository) -> str:
    """Say which sibling answers otherwise than a draft does, "" where none is known to."""
    for idiom in introduced(draft, repository):
        for where, other in _others(idiom, draft.path, repository):
            near = _is_near(idiom, other, draft.path == where)
            if near and _dissents(idiom, draft.path, (where, other), _invents(idiom)):
                return f"{_words(other)} at {where}:{other.line}"
    return ""


def told(draft: Draft, repository: Repository) -> str:
    """Say in words what a draft makes up, as its code tells it; "" where no idiom does."""
    return "; ".join(_words(idiom) for idiom in introduced(draft, repository) if _invents(idiom))


_Where = tuple[tuple[str, str], tuple[str, str, str]]


def _is_new(idiom: Idiom, known: Counter[_Where]) -> bool:
    known[idiom.place, idiom.key] -= 1
    return known[idiom.place, idiom.key] < 0


def _is_widened(old: Idiom, new: Idiom) -> bool:
    """Say whether a handler gave this very answer before, and only catches more now."""
    same = (old.kind, old.place, old.callees, old.value) == ("handler", *_essence(new))
    return same and set(old.subject.split(", ")) < set(new.subject.split(", "))


def _essence(idiom: Idiom) -> tuple[tuple[str, str], frozenset[str], str]:
    return idiom.place, idiom.callees, idiom.value


_Found = tuple[str, Idiom]


def _support(
    idiom: Idiom, path: str, repository: Repository, beside: tuple[Idiom, ...], kept: bool
) -> Support | None:
    """Return one support. `beside` are idioms that stay as they are, `kept` says that the same
    handler's answer stood there before."""
    near = [
        (where, other)
        for where, other in _others(idiom, path, repository)
        if _is_near(idiom, other, path == where)
    ]
    invents = not kept and _invents(idiom)
    if any(_dissents(idiom, path, one, invents) for one in near):
        return None  # siblings that disagree vouch for nobody
    agreeing = [
        (where, other)
        for where, other in near
        if _same_answer(idiom, other, kept)
        and (kept or not _is_worded(idiom) or _is_told_of(idiom, other, path == where))
    ]
    enough = _enough(idiom, path, agreeing, repository) if invents else agreeing
    enough = [*enough, *_in_one_condition(idiom, beside, path, repository)]
    for where, other in enough:
        says = f"the same treatment stands there: {_words(other)}"
        return Support(kind=SIBLING_IDIOM, where=f"{where}:{other.line}", says=says)
    return None


def _enough(
    idiom: Idiom, path: str, agreeing: list[_Found], repository: Repository
) -> list[_Found]:
    """Return the siblings that vouch for an invented value: of the same thing, or several."""
    same = [one for one in agreeing if _is_same_thing(idiom, one, path, repository)]
    functions = {(where, other.place) for where, other in agreeing} - {(path, idiom.place)}
    return same or (agreeing if len(functions) > 1 else [])


def _dissents(idiom: Idiom, path: str, found: _Found, invents: bool) -> bool:
    """Say whether a sibling in another function gives another value.

    Where nothing is invented, only kin in the same file can say that the form is wrong.
    """
    where, other = found
    if other.value == idiom.value or (where, other.place) == (path, idiom.place):
        return False
    return invents or (where == path and _is_kin(idiom, other))


def _invents(idiom: Idiom) -> bool:
    """Say whether an idiom answers with a value; a test or an exception of one's own does not."""
    if idiom.kind == "index_test" or idiom.value == "raise":
        return False
    _, raises, name = raised_class(idiom.value).partition("raise ")
    return not raises or name in _BUILTIN


def _is_same_thing(idiom: Idiom, found: _Found, path: str, repository: Repository) -> bool:
    """Say whether both values stand in for the very same thing: see `Idiom.thing`."""
    where, other = found
    if idiom.thing != other.thing or not idiom.thing:
        return False
    if idiom.kind == "handler":
        return _is_own(idiom.thing.partition("(")[0].rpartition(".")[2], path, repository)
    return where == path


def _is_own(name: str, path: str, repository: Repository) -> bool:
    """Say whether a product defines exactly one function of this name."""
    modules = tuple(repository.mentioning(f"def {name}", path))
    plain = [node.name for module in modules for node in module.all(ast.FunctionDef)]
    waiting = [node.name for module in modules for node in module.all(ast.AsyncFunctionDef)]
    return (plain + waiting).count(name) == 1


def _is_near(idiom: Idiom, other: Idiom, same_file: bool) -> bool:
    """Say whether a sibling is close enough to agree or to dissent."""
    same_thing = same_file and idiom.thing == other.thing != ""
    return same_thing or (same_file and _is_kin(idiom, other)) or _agrees(idiom, other, same_file)


def _others(idiom: Idiom, path: str, repository: Repository) -> Iterator[tuple[str, Idiom]]:
    """Yield the idioms of the repository with the same way and subject."""
    for where, other in repository.idioms(needle(idiom.subject), path):
        if (other.kind, other.subject) == (idiom.kind, idiom.subject):
            yield where, other


def _in_one_condition(
    idiom: Idiom, beside: tuple[Idiom, ...], path: str, repository: Repository
) -> Iterator[_Found]:
    """Yield what the same condition tests before it reads, as this idiom does.

    Who asks whether one text is empty before reading its first character, and does not ask of the
    next one, forgot it.
    """
    same = [
        other
        for other in beside
        if (other.kind, other.place, other.line) == (idiom.kind, idiom.place, idiom.line)
        and _asks_if_empty(other)
    ]
    module = repository.module(path)
    if not same or not _asks_if_empty(idiom) or module is None:
        return
    for other in idioms_in(module.tree):  # a draft's own lines count from its function's first
        if any((other.key, other.place) == (one.key, one.place) for one in same):
            yield path, other


def _asks_if_empty(idiom: Idiom) -> bool:
    base = idiom.subject.partition("[")[0]
    return idiom.kind == "index_test" and idiom.value in (base, f"len({base}) > 0")


def _same_answer(new: Idiom, other: Idiom, kept: bool) -> bool:
    """Compare values. What is raised counts with its words, unless they only catch more now."""
    if kept:
        return raised_class(new.value) == raised_class(other.value)
    return new.value == other.value


def _is_worded(idiom: Idiom) -> bool:
    """Say whether an idiom raises with words: they may name what the sibling is about."""
    return idiom.value.startswith("raise ") and bool({"'", '"'} & set(idiom.value))


def _is_told_of(new: Idiom, other: Idiom, same_file: bool) -> bool:
    """Say whether words fit both: one function, or the same call of a function with a name.

    `int` fails for a price as it does for a donation; the words of one are wrong for the other.
    """
    shared = {name for name in new.callees & other.callees if not name[:1].isupper()}
    return (same_file and new.place == other.place) or bool(shared - _BUILTIN)


_BUILTIN = frozenset(dir(builtins))


def _is_kin(new: Idiom, other: Idiom) -> bool:
    """Say whether two idioms of one file are alike beyond their spelling: see `Idiom.kin`."""
    return new.kin == other.kin != "" and new.place != other.place


def _agrees(new: Idiom, other: Idiom, same_file: bool) -> bool:
    """Say whether an idiom with the same way and subject is close enough to count."""
    (holder, function), (other_holder, other_function) = new.place, other.place
    same_class = same_file and holder != "" and holder == other_holder
    same_name = function != "" and function == other_function
    if new.kind == "lookup_or":  # another key of one record is another thing
        return False
    if new.kind == "handler":
        several = "," in new.subject
        return bool(new.callees & other.callees) or (several and (same_class or same_file))
    if new.kind == "guard":
        return same_class or same_name
    if new.kind in ("or", "default") and "." not in new.subject:
        return same_class or same_name
    if new.kind in ("get", "pop", "setdefault") and "[" in new.subject:
        return same_class or same_name
    return True


def _words(idiom: Idiom) -> str:
    return f"`{idiom.subject}` {_VERBS.get(idiom.kind, 'gives')} `{idiom.value}`"


_VERBS = {"guard": "leads to", "handler": "is answered by", "index_test": "is guarded by"}


def is_repair(given: Iterable[Support], failing_test: bool) -> bool:
    """Say whether evidence allows the claim REPAIR.

    `failing_test` says that a test of the product, not made by us, demands the behaviour.
    """
    kinds = {support.kind for support in given}
    return failing_test or bool(kinds & {FAILING_TEST, SIBLING_IDIOM}) or len(kinds) >= 2


def claim_of(draft: Draft, failing_test: bool) -> tuple[Claim, str]:
    """Return what a draft may claim, and the behaviour it invents (`""` for a repair)."""
    if is_repair(draft.supports, failing_test):
        return Claim.REPAIR, ""
    return Claim.MITIGATION, draft.invented
