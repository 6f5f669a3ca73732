"""The gate between a rewrite and a draft: it compiles, it is new, it brings in nothing bad.

Only what holds an edit is parsed again: the statement of a function's body, where nothing else is
asked of a draft, or the outermost function, so that a draft does not cost the size of a file. The
rest is the same text as before.
"""

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from types import CodeType

from selfdrive_dagster.model import Support
from selfdrive_dagster.patches.claims import sibling_idioms
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.expected import expected_failure
from selfdrive_dagster.patches.idioms import Idiom, idioms_in
from selfdrive_dagster.patches.ingredients import Repository
from selfdrive_dagster.patches.syntax import (
    FUNCTIONS,
    FunctionNode,
    Module,
    first_line,
    parse_quietly,
    walk,
)
from selfdrive_dagster.patches.templates.nonsense import nonsense
from selfdrive_dagster.patches.templates.site import Rewrite, Site
from selfdrive_dagster.patches.text import apply_edits, render_diff

FORBIDDEN_ROOTS = frozenset((
    "os", "sys", "subprocess", "shutil", "socket", "ctypes", "importlib", "pickle", "builtins",
    "signal", "multiprocessing", "threading", "pty", "marshal", "inspect", "gc",
))  # fmt: skip
FORBIDDEN_CALLS = frozenset((
    "eval", "exec", "open", "compile", "__import__", "globals", "locals", "vars", "setattr",
    "delattr", "breakpoint", "input", "exit", "quit", "unlink", "rmtree", "rmdir", "system",
    "popen", "kill", "write_text", "write_bytes", "remove_file",
))  # fmt: skip
_WATCHED = re.compile(
    rf"\b({'|'.join(sorted(FORBIDDEN_ROOTS | FORBIDDEN_CALLS))}|import)\b|except\s*:"
)
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Segment:
    """The smallest run of lines that can be parsed alone: `holder`, or the file where it is None.

    A `holder` is a function outside of functions or a statement in the body of one.
    """

    def __init__(self, module: Module, holder: ast.stmt | None) -> None:
        self.start, self.stop = 0, len(module.text)
        self.place = ("", "")
        if holder is not None:
            owner = module.class_of(holder)
            self.place = (owner.name if owner else "", "")
            self.start = module.lines.starts[first_line(holder) - 1]
            self.stop = module.lines.bounds(holder.end_lineno or holder.lineno)[1]
        text = module.text[self.start : self.stop]
        self.head = _head(module, holder) if text[:1] in (" ", "\t", "\f") else ""
        self.tree = self.parse(text)
        self.essence = essence(compiled(self.tree))
        self.calls = forbidden(self.tree)
        self.shell = int(_is_shell(self.tree))

    def parse(self, text: str) -> ast.Module:
        """Parse a new text of it. Raises SyntaxError, ValueError or RecursionError."""
        return parse_quietly(self.head + text.removeprefix("\ufeff"))

    @cached_property
    def before(self) -> tuple[Idiom, ...]:
        """The idioms of the base."""
        return tuple(self.idioms(self.tree))

    @cached_property
    def nonsense(self) -> Counter[str]:
        """The nonsense of the base, which is nobody's fault here."""
        return nonsense(self.tree)

    def idioms(self, tree: ast.Module) -> Iterator[Idiom]:
        """Yield the idioms of this segment, or of a new text of it."""
        return idioms_in(tree.body[0] if _is_shell(tree) else tree, self.place)


_SHELL = "_Segment"


def _is_shell(tree: ast.Module) -> bool:
    return bool(tree.body) and getattr(tree.body[0], "name", "") == _SHELL


def _head(module: Module, holder: ast.stmt | None) -> str:
    """Return the line that makes an indented text one of its own: a class's or a function's."""
    if holder is None or isinstance(holder, FUNCTIONS):
        return f"class {_SHELL}:\n"
    late = "async " if isinstance(module.function_of(holder), ast.AsyncFunctionDef) else ""
    return f"{late}def {_SHELL}():\n"


def compiled(tree: ast.Module) -> CodeType:
    """Compile a segment. Raises SyntaxError for what parses and is no Python all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(tree, "<draft>", "exec", dont_inherit=True)


def essence(code: CodeType) -> tuple[object, ...]:
    """Return what code does, positions left out: equal essences behave alike.

    Trees with equal `ast.dump` have equal essences, and so have some that differ only in
    spelling: trivial compiler equivalence (Papadakis and others, ICSE 2015) costs less than
    dumping a tree and drops more.
    """
    constants = tuple(
        essence(held) if isinstance(held, CodeType) else (type(held), repr(held))
        for held in code.co_consts
    )
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_name, code.co_code, code.co_exceptiontable, constants, shape, names


def forbidden(tree: ast.AST) -> Counter[str]:
    """Count what a draft must not add: calls and names of forbidden modules and built-ins."""
    found: Counter[str] = Counter()
    for node in walk(tree):
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_ROOTS | FORBIDDEN_CALLS:
            found[node.id] += 1
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_CALLS:
            found["." + node.attr] += 1
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            found["bare except"] += 1
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found["import"] += 1
    return found


def _brings_in(rewrite: Rewrite, tree: ast.Module, segment: Segment) -> bool:
    """Say whether a rewrite adds something forbidden; most show at a glance that they do not."""
    suspect = any(_WATCHED.search(edit.new) for edit in rewrite.edits)
    return suspect and bool(forbidden(tree) - segment.calls)


class Checker:
    """Turns rewrites into drafts, once each. Holds what was already drafted.

    Without `vouching` nobody looks for evidence in the repository, which takes as long as all
    else: where a failing test speaks for every draft it is needed for survivors alone.
    """

    def __init__(self, repository: Repository, *, vouching: bool = True) -> None:
        self._repository = repository
        self._vouching = vouching
        self._segments: dict[tuple[str, ast.stmt | None], Segment | None] = {}
        self._seen: set[tuple[str, int, tuple[object, ...]]] = set()

    def draft(self, family: str, site: Site, rewrite: Rewrite) -> Draft | None:
        """Return the draft of a rewrite, None when it is broken, forbidden, nonsense or not new."""
        for segment in self._segments_around(site, rewrite):
            if (read := self._read(segment, site.module, rewrite)) is not None:
                return self._checked(family, site, rewrite, segment, *read)
        return None

    def _read(
        self, segment: Segment, module: Module, rewrite: Rewrite
    ) -> tuple[str, ast.Module, tuple[object, ...]] | None:
        """Return the file's new text, the segment's new tree and what it does; None if broken."""
        try:
            source = apply_edits(module.text, rewrite.edits)
            stop = segment.stop + len(source) - len(module.text)
            tree = segment.parse(source[segment.start : stop])
            return source, tree, essence(compiled(tree))
        except (SyntaxError, ValueError, RecursionError):
            return None

    def _checked(
        self,
        family: str,
        site: Site,
        rewrite: Rewrite,
        segment: Segment,
        source: str,
        tree: ast.Module,
        doing: tuple[object, ...],
    ) -> Draft | None:
        module = site.module
        key = (module.path, segment.start, doing)
        if doing == segment.essence or key in self._seen or _brings_in(rewrite, tree, segment):
            return None
        self._seen.add(key)
        if nonsense(tree, _new_lines(segment, source, rewrite)) - segment.nonsense:
            return None
        return Draft(
            family=family,
            kind=rewrite.kind,
            path=module.path,
            line=site.line,
            function=module.qualname(site.function),
            patch=render_diff(module.path, module.text, source),
            source=source,
            invented=rewrite.invented,
            tokens=sum(changed_tokens(module.text[e.start : e.end], e.new) for e in rewrite.edits),
            supports=self._support(family, site, segment, tree) if self._vouching else (),
        )

    def _support(
        self, family: str, site: Site, segment: Segment, tree: ast.Module
    ) -> tuple[Support, ...]:
        path, after = site.module.path, segment.idioms(tree)
        vouched = sibling_idioms(family, path, segment.before, after, self._repository)
        return vouched or expected_failure(
            family, site.module, site.function, tree, self._repository
        )

    def _segments_around(self, site: Site, rewrite: Rewrite) -> Iterator[Segment]:
        """Yield the segments that hold all edits, the smallest first, those alone that compile."""
        module = site.module
        outer = outermost(module, site.statement)
        inner = () if self._vouching or outer is None else statements_of(module, outer, site)
        parsed = [self._parsed(module, one) for one in (*inner, outer) if one is not None]
        holding = [
            one
            for one in parsed
            if one and all(one.start <= e.start and e.end <= one.stop for e in rewrite.edits)
        ]
        whole = None if holding else self._parsed(module, None)
        yield from [whole] if whole else holding

    def _parsed(self, module: Module, holder: ast.stmt | None) -> Segment | None:
        key = (module.path, holder)
        if key not in self._segments:
            try:
                self._segments[key] = Segment(module, holder)
            except (SyntaxError, ValueError, RecursionError):
                self._segments[key] = None
        return self._segments[key]


def _new_lines(segment: Segment, source: str, rewrite: Rewrite) -> range:
    """Return the lines of a draft's segment that its edits may have changed."""
    grown = sum(len(edit.new) - (edit.end - edit.start) for edit in rewrite.edits)
    first = source.count("\n", segment.start, min(edit.start for edit in rewrite.edits))
    last = source.count("\n", segment.start, max(edit.end for edit in rewrite.edits) + grown)
    return range(first + 1 + segment.shell, last + 2 + segment.shell)


def outermost(module: Module, statement: ast.stmt) -> FunctionNode | None:
    """Return the outermost function around a statement, None at the top of a file."""
    chain = [statement, *module.ancestors(statement)]
    outer = [up for up in chain if isinstance(up, FUNCTIONS)]
    return outer[-1] if outer and module.indent(outer[-1]) is not None else None


def statements_of(module: Module, outer: FunctionNode, site: Site) -> tuple[ast.stmt, ...]:
    """Return a site's own statement and the one of the function's body that holds it, where they
    stand on lines of their own."""
    chain = (site.statement, *module.ancestors(site.statement))
    top = next((one for one in chain if one in outer.body), None)
    both = dict.fromkeys((site.statement, top))
    return tuple(
        one for one in both if isinstance(one, ast.stmt) and module.indent(one) is not None
    )


def changed_tokens(old: str, new: str) -> int:
    """Count the tokens that differ between two spellings, equal ends left out; at least 1."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return max(1, len(before) + len(after))
