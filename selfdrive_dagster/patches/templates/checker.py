"""The gate between a rewrite and a draft: it compiles, it is new, it brings in nothing bad.

Only the outermost function around an edit is parsed again, so that a draft costs the size
of a function and not of a file; the rest of the file is the same text as before.
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
    """The smallest run of lines that can be parsed alone: an outermost function or the file."""

    def __init__(self, module: Module, function: FunctionNode | None) -> None:
        self.start, self.stop = 0, len(module.text)
        self.place = ("", "")
        if function is not None:
            holder = module.class_of(function)
            self.place = (holder.name if holder else "", "")
            self.start = module.lines.starts[first_line(function) - 1]
            self.stop = module.lines.bounds(function.end_lineno or function.lineno)[1]
        self.tree = parse(module.text[self.start : self.stop])
        self.essence = essence(compiled(self.tree))
        self.calls = forbidden(self.tree)
        self.shell = int(_is_shell(self.tree))

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


def parse(text: str) -> ast.Module:
    """Parse a segment. Raises SyntaxError, ValueError or RecursionError."""
    # A method is indented: a class header above it makes it a text of its own.
    shell = f"class {_SHELL}:\n" if text[:1] in (" ", "\t", "\f") else ""
    return parse_quietly(shell + text.removeprefix("\ufeff"))


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
    for node in ast.walk(tree):
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
        self._segments: dict[tuple[str, int], Segment | None] = {}
        self._seen: set[tuple[str, int, tuple[object, ...]]] = set()

    def draft(self, family: str, site: Site, rewrite: Rewrite) -> Draft | None:
        """Return the draft of a rewrite, None when it is broken, forbidden, nonsense or not new."""
        segment = self._segment(site, rewrite)
        if segment is None:
            return None
        module = site.module
        try:
            source = apply_edits(module.text, rewrite.edits)
            tree = parse(source[segment.start : segment.stop + len(source) - len(module.text)])
            doing = essence(compiled(tree))
        except (SyntaxError, ValueError, RecursionError):
            return None
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

    def _segment(self, site: Site, rewrite: Rewrite) -> Segment | None:
        """Return the segment that holds all edits, None when the file itself cannot compile."""
        module = site.module
        segment = self._parsed(module, outermost(module, site.statement))
        held = segment and all(
            segment.start <= edit.start and edit.end <= segment.stop for edit in rewrite.edits
        )
        return segment if held else self._parsed(module, None)

    def _parsed(self, module: Module, function: FunctionNode | None) -> Segment | None:
        key = (module.path, function.lineno if function else 0)
        if key not in self._segments:
            try:
                self._segments[key] = Segment(module, function)
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


def changed_tokens(old: str, new: str) -> int:
    """Count the tokens that differ between two spellings, equal ends left out; at least 1."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return max(1, len(before) + len(after))
