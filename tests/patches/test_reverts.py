"""A suspect commit is taken back whole or in part, only where its lines still stand."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.model import Commit, Diagnosis, Product, SuspectCommit, Suspicion
from selfdrive_dagster.patches.proposers import HandedIn, Templates
from selfdrive_dagster.patches.reverts import Reverts, hunks, taken_back, with_reverts
from selfdrive_dagster.patches.text import apply_patch

FIRST = """def price(cents):
    return cents


def fee(cents):
    if cents > 100:
        return 5
    return 1
"""
SECOND = FIRST.replace("return cents\n", "return cents * 2\n").replace("> 100", "> 10")
NOW = "import math\n\n\n" + SECOND + "\n\nTOP = math.pi\n"
BAD = Commit(sha="b" * 40, summary="Change prices", author="a", when="2026-01-02T00:00:00+00:00")


class Told(msgspec.Struct):
    """A history of texts by revision: of one file, or none."""

    texts: dict[str, str]
    newest: tuple[Commit, ...] = ()

    def blame(self, path: str, line: int) -> Commit | None:
        return None

    def changes(self, path: str, limit: int) -> tuple[Commit, ...]:
        return self.newest[:limit]

    def show(self, revision: str, path: str) -> str | None:
        return self.texts.get(revision)


HISTORY = Told({f"{BAD.sha}~1": FIRST, BAD.sha: SECOND}, (BAD,))


def diagnosis(*, suspect: bool = True) -> Diagnosis:
    return Diagnosis(
        revision="",
        sentence="",
        crash=None,
        failing_tests=("t.py::t",),
        frames=(),
        suspicions=(Suspicion(path="till.py", line=9, function="fee", score=1.0, why="fails"),),
        inputs=(),
        suspect=SuspectCommit(commit=BAD, reason="wrote it") if suspect else None,
        exception_type="",
    )


@pytest.fixture
def product(tmp_path: Path) -> Product:
    (tmp_path / "till.py").write_text(NOW)
    return Product(name="till", root=str(tmp_path), python="", source=("till.py",))


@pytest.mark.parametrize("suspect", [True, False])
def test_the_suspected_hunk_comes_first_and_the_whole_last(product: Product, suspect: bool) -> None:
    drafts = list(Reverts(HISTORY).propose(diagnosis(suspect=suspect), product, limit=9))
    near, far, whole = (draft.source for draft in drafts)
    assert near == NOW.replace("> 10:", "> 100:")
    assert far == NOW.replace(" * 2", "")
    assert whole == near.replace(" * 2", "")
    assert [draft.function for draft in drafts] == ["fee", "price", "fee"]
    for draft in drafts:
        assert apply_patch(product.read, draft.patch) == {"till.py": draft.source}


NOTHING = {
    "the first commit": ({BAD.sha: NOW}, NOW),
    "what was written over since": ({f"{BAD.sha}~1": "x = 1\n", BAD.sha: "x = 2\n"}, "x = 3\n"),
    "danger": (
        {f"{BAD.sha}~1": "import os\nos.remove(a)\nx = 1\n", BAD.sha: "import os\nx = 1\n"},
        "import os\nx = 1\n",
    ),
    "no Python": ({f"{BAD.sha}~1": "x = (\n", BAD.sha: "x = 1\n"}, "x = 1\n"),
    "only words": ({f"{BAD.sha}~1": "x = 1  # one\n", BAD.sha: "x = 1\n"}, "x = 1\n"),
    "too much": ({f"{BAD.sha}~1": "x = 1\n" * 60, BAD.sha: "x = 2\n"}, "x = 2\n"),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_is_taken_back(name: str, product: Product) -> None:
    texts, now = NOTHING[name]
    (Path(product.root) / "till.py").write_text(now)
    assert list(Reverts(Told(texts, (BAD,))).propose(diagnosis(), product, limit=9)) == []


LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n"]), max_size=8)


@given(LINES, LINES)
def test_a_commit_that_nobody_wrote_over_is_taken_back_exactly(
    before: list[str], after: list[str]
) -> None:
    old, new = "".join(before), "".join(after)
    assert taken_back(new, hunks(old, new, new)) == old


def test_reverts_go_with_the_built_in_proposer_only() -> None:
    assert [one.name for one in with_reverts((Templates(),), HISTORY)] == ["revert", "builtin"]
    assert [one.name for one in with_reverts((HandedIn(()),), HISTORY)] == ["drafts"]
