"""Edits touch their span and nothing else; diffs apply exactly or not at all."""

import ast
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.patches.text import (
    Edit,
    Lines,
    apply_edits,
    apply_patch,
    changed_lines,
    render_diff,
    shared,
)

SPANS = {
    "tabs": "if x:\n\tvalue = a\n",
    "crlf": "x = 1\r\nvalue = a\r\n",
    "lone carriage return": "x = 1\rvalue = a\r",
    "form feed in a comment": "x = 1  # \x0c page\nvalue = a\n",
    "multi-byte before": "é = 'ü€😀'; value = a\n",
    "byte order mark": "\ufeffvalue = a\n",
    "semicolons": "x = 1; value = a; y = 2\n",
    "one-line suite": "if x: value = a\n",
    "parenthesised": "value = (\n    a  # why\n)\n",
    "no newline at the end": "value = a",
}


@pytest.mark.parametrize("text", SPANS.values(), ids=SPANS.keys())
def test_a_node_is_replaced_and_all_else_stays(text: str) -> None:
    tree = ast.parse(text.removeprefix("\ufeff"))
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "a")
    span = Lines(text).span(node)
    assert text[span] == "a"
    assert apply_edits(text, [Edit(span.start, span.stop, "bb")]) == text.replace(
        "= a", "= bb"
    ).replace("    a ", "    bb ")


def test_overlapping_edits_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        apply_edits("abcdef", [Edit(0, 3, "x"), Edit(2, 4, "y")])


_texts = st.lists(
    st.sampled_from(["a", "b", "c", "", "\t", "é\r", "- x", "+ y", "\\ z", "--- q", "\x0c"])
).flatmap(lambda lines: st.sampled_from(["\n".join(lines), "\n".join([*lines, ""])]))


@given(old=_texts, new=_texts)
def test_rendered_diffs_apply_to_what_they_came_from(old: str, new: str) -> None:
    patch = render_diff("pkg/mod.py", old, new)
    if old == new:
        assert patch == ""
    else:
        assert apply_patch(lambda _path: old, patch) == {"pkg/mod.py": new}


def holding(text: str | None) -> Callable[[str], str]:
    def read(path: str) -> str:
        if text is None:
            raise FileNotFoundError(path)
        return text

    return read


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle here")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("a\nb", "a\nb\n"),
        ("a\r\nb\r\n", "a\r\nB\r\n"),
        ("\n".join("abcdefghijklmnopqrstuvwxyz"), "\n".join("abXdefghijklmnopqrstuvYz")),
        (None, "new\n"),
        ("gone\n", None),
    ],
)
def test_git_applies_what_we_render(tmp_path: Path, old: str | None, new: str | None) -> None:
    target = tmp_path / "f.py"
    if old is not None:
        target.write_bytes(old.encode())
    patch = render_diff("f.py", old, new)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=patch.encode(), check=True)
    assert (target.read_bytes().decode() if target.exists() else None) == new
    assert apply_patch(holding(old), patch) == {"f.py": new}


def test_context_must_fit_exactly() -> None:
    patch = render_diff("m.py", "a\nb\nc\n", "a\nB\nc\n")
    with pytest.raises(BadInput, match=r"Hunk 1 of m\.py"):
        apply_patch(lambda _path: "\na\nb\nc\n", patch)


HOSTILE = {
    "junk": "hello\n",
    "nothing": "",
    "truncated": "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n a\n",
    "climbs out": render_diff("../x.py", "a\n", "b\n"),
    "absolute": "--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-a\n+b\n",
    "git's own folder": render_diff(".git/config", "a\n", "b\n"),
    "twice": render_diff("x.py", "a\n", "b\n") * 2,
    "link": "diff --git a/l b/l\nnew file mode 120000\n" + render_diff("l", None, "/etc\n"),
}


@pytest.mark.parametrize("patch", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_patches_are_refused(patch: str) -> None:
    with pytest.raises(BadInput):
        apply_patch(lambda _path: "a\n", patch)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(BadInput, match=r"lost\.py"):
        apply_patch(holding(None), render_diff("lost.py", "a\n", "b\n"))


@pytest.mark.parametrize("old", ["", "a\n"])
def test_a_file_that_is_there_is_not_created(old: str) -> None:
    with pytest.raises(BadInput, match=r"creates x\.py, which is there already"):
        apply_patch(holding(old), render_diff("x.py", None, "b\n"))


def test_a_file_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_bytes(b"# caf\xe9\n")
    with pytest.raises(BadInput, match=r"x\.py, which is not UTF-8"):
        apply_patch(
            lambda path: (tmp_path / path).read_text("utf-8"), render_diff("x.py", "a\n", "b\n")
        )


LINES = {
    "one changed": ("a\nb\nc\n", "a\nB\nc\n", 2),
    "all new": ("", "a\nb\n", 2),
    "all gone": ("a\nb\n", "", 2),
    "carriage returns": ("a\n", "a\n" + "b\r" * 200, 200),
    "another line end": ("a\n", "a\r\n", 2),
    "a form feed is no line end": ("a\n", "a\x0cb\n", 2),
    "two that look like headers": ("-- a\n", "++ b\n++ c\n", 3),
    "nothing": ("a\n", "a\n", 0),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_are_counted_as_python_counts_them(name: str) -> None:
    old, new, count = LINES[name]
    assert changed_lines(old, new) == count


@given(st.text("ab", max_size=40), st.text("ab", max_size=40))
def test_what_two_texts_share_is_their_longest_common_beginning(one: str, other: str) -> None:
    count = shared(one, other)
    assert one[:count] == other[:count]
    assert not (one[count:] and other[count:]) or one[count] != other[count]
