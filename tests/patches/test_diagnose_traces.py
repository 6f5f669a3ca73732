"""Where a trace stands in the tree, who brought it, and what is said when little is known."""

from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest
from reproduce_cases import NoHistory, crash_of, diagnosis_of, product_of

from selfdrive_dagster.model import Commit, Crash, Frame, Product, RaisedException
from selfdrive_dagster.patches import diagnose

CART = """
    import math


    def total(items):
        return sum(price(item) for item in items)


    def price(item):
        rounded = math.floor(item["price"])
        return rounded


    class Cart:
        def total(self, items):
            return total(items)
"""


@pytest.fixture
def product(tmp_path: Path) -> Product:
    for path, text in {
        "src/shop/__init__.py": "",
        "src/shop/cart.py": dedent(CART).lstrip(),
        "src/app.py": "def main():\n    pass\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return Product(name="shop", root=str(tmp_path), python="", source=("src/shop", "src/app.py"))


def crash(*frames: Frame, kind: str = "KeyError", value: str = "'price'") -> Crash:
    raised = RaisedException(type=kind, value=value, frames=frames)
    return Crash(event_id="e", source="test", exceptions=(raised,), timestamp=WHEN)


WHEN = datetime(2026, 11, 20, tzinfo=UTC)
PRICE = Frame(
    path="/srv/app/src/shop/cart.py",
    function="price",
    line=9,
    source='    rounded = math.floor(item["price"])',
)
TOTAL = Frame(path="/srv/app/src/shop/cart.py", function="total", line=5)


def test_frames_are_found_innermost_first(product: Product) -> None:
    found = diagnose(product, NoHistory(), crash=crash(TOTAL, PRICE))
    assert [(one.path, one.line, one.function, one.depth) for one in found.frames] == [
        ("src/shop/cart.py", 9, "price", 1),
        ("src/shop/cart.py", 5, "total", 2),
    ]
    assert found.sentence == (
        "KeyError: 'price' in price (src/shop/cart.py:9), "
        "reached through total (src/shop/cart.py:5)"
    )
    assert found.exception_type == "KeyError"
    assert "no variables" in found.notes[0]


@pytest.mark.parametrize(
    ("frame", "line", "drifted"),
    [
        ({}, 9, False),
        ({"line": 30}, 9, True),
        ({"line": 4}, 9, True),
        ({"line": 9, "source": ""}, 9, False),
        ({"line": 300, "source": ""}, 9, True),
        ({"source": "    return rounded"}, 10, True),
        ({"function": "cost"}, 9, True),
        ({"path": "shop/cart.py"}, 9, False),
        ({"path": "C:\\app\\shop\\cart.py"}, 9, False),
        ({"path": "/venv/site-packages/shop/cart.py", "in_app": False}, 9, False),
        ({"path": "/elsewhere/renamed/cart.py", "in_app": True}, 9, False),
    ],
)
def test_a_frame_is_found_again(
    product: Product, frame: dict[str, object], line: int, drifted: bool
) -> None:
    found = diagnose(product, NoHistory(), crash=crash(msgspec.structs.replace(PRICE, **frame)))
    [finding] = found.frames
    assert (finding.line, finding.function, finding.drifted) == (line, "price", drifted)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(path="/venv/site-packages/flask/app.py", function="main", line=1),
        Frame(path="/srv/flask/app.py", function="main", line=1, module="flask.app"),
        Frame(path="/srv/other/cart.py", function="price", line=9),
        Frame(path="<frozen runpy>", function="price", line=9),
        Frame(path="", function="", line=0),
    ],
)
def test_what_only_looks_like_ours_is_not(product: Product, frame: Frame) -> None:
    found = diagnose(product, NoHistory(), crash=crash(frame))
    assert found.frames == ()
    assert found.suspicions == ()
    assert found.notes == ("No reported frame was found in the product's own code.",)
    assert found.sentence.endswith("raised outside of the product's own code")


def test_a_function_that_is_gone_is_told(product: Product) -> None:
    gone = Frame(path="/srv/shop/cart.py", function="discount", line=3, source="return 0")
    found = diagnose(product, NoHistory(), crash=crash(TOTAL, gone))
    assert [one.function for one in found.frames] == ["total"]
    assert "src/shop/cart.py has no function discount at this revision." in found.notes


def test_nameless_code_counts_as_the_function_around_it(product: Product) -> None:
    inner = Frame(path="/srv/shop/cart.py", function="<genexpr>", line=5)
    found = diagnose(product, NoHistory(), crash=crash(inner))
    assert found.frames[0].function == "total"


def test_a_method_is_told_from_a_function_of_its_name(product: Product) -> None:
    method = Frame(path="/srv/shop/cart.py", function="total", line=15)
    found = diagnose(product, NoHistory(), crash=crash(method))
    assert found.frames[0].function == "Cart.total"


def test_the_cause_is_used_where_the_last_exception_has_no_frame_of_ours(product: Product) -> None:
    cause = RaisedException(type="KeyError", frames=(PRICE,))
    outer = Frame(path="/venv/site-packages/anyio/group.py", function="run", line=1)
    last = RaisedException(type="ExceptionGroup", frames=(outer,))
    both = Crash(event_id="e", source="test", exceptions=(cause, last))
    found = diagnose(product, NoHistory(), crash=both)
    assert found.exception_type == "KeyError"
    assert "The frames are those of the KeyError behind the ExceptionGroup." in found.notes


def test_a_hostile_message_stays_one_printable_line(product: Product) -> None:
    nasty = crash(PRICE, value="a\n\x1b[2J\u202eevil " + "x" * 10_000)
    found = diagnose(product, NoHistory(), crash=nasty)
    assert found.sentence.isprintable()
    assert len(found.sentence) < 400


def test_files_that_do_not_parse_are_left_out(product: Product) -> None:
    (Path(product.root) / "src/shop/broken.py").write_text("def (:\n")
    found = diagnose(product, NoHistory(), crash=crash(PRICE))
    assert len(found.frames) == 1


class Blame:
    """Version control with one commit a line."""

    def __init__(self, **when: str) -> None:
        self.when = {int(line.removeprefix("line")): day for line, day in when.items()}

    def blame(self, path: str, line: int) -> Commit | None:
        day = self.when.get(line)
        if day is None:
            return None
        return Commit(sha=f"sha{line}", when=f"{day}T10:00:00+01:00", author="Ann", summary="x")

    def changes(self, path: str, limit: int) -> tuple[Commit, ...]:
        return ()

    def show(self, revision: str, path: str) -> str | None:
        return None


@pytest.mark.parametrize(
    ("history", "sha", "reason"),
    [
        (Blame(line9="2026-11-01", line10="2026-10-01"), "sha9", "last wrote src/shop/cart.py:9"),
        (Blame(line9="2026-10-01", line10="2026-11-01"), "sha10", "last changed price in"),
        (Blame(line9="2026-10-01", line10="2026-12-24"), "sha9", "last wrote"),
    ],
)
def test_the_suspect_is_the_newest_change_before_the_crash(
    product: Product, history: Blame, sha: str, reason: str
) -> None:
    suspect = diagnose(product, history, crash=crash(PRICE)).suspect
    assert suspect is not None
    assert suspect.commit.sha == sha
    assert suspect.reason.startswith(reason)


def test_nobody_is_suspected_of_what_came_later(product: Product) -> None:
    assert diagnose(product, Blame(line9="2026-12-24"), crash=crash(PRICE)).suspect is None


def test_what_came_after_the_issue_was_first_seen_did_not_bring_it(product: Product) -> None:
    """The telling crash is the newest; the issue may be older than the last change there."""
    history = Blame(line9="2026-11-10")
    assert diagnose(product, history, crash=crash(PRICE)).suspect is not None
    since = datetime(2026, 11, 1, tzinfo=UTC)
    assert diagnose(product, history, crash=crash(PRICE), since=since).suspect is None


def test_inputs_of_a_real_event_are_told(tmp_path: Path) -> None:
    product = product_of("rebound_parameter", tmp_path)
    found = diagnosis_of("rebound_parameter", product)
    told = [(one.function, one.name, one.expression, one.unknown) for one in found.inputs]
    assert told == [
        ("initials", "text", None, "was changed before the raise"),
        ("monogram", "text", "'  Ann  Lee '", ""),
    ]
    assert found.crash == crash_of("rebound_parameter")


def test_failing_tests_alone_give_a_diagnosis(product: Product) -> None:
    found = diagnose(product, NoHistory(), crash=None, failing_tests=("tests/test_a.py::test_x",))
    assert found.sentence == "1 test of shop fails: tests/test_a.py::test_x"
    assert found.frames == ()
    assert "No line of the product was seen" in found.notes[0]
