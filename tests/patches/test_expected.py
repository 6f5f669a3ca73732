"""Which translations of an exception two witnesses vouch for, and which none does."""

import ast
from pathlib import Path

import pytest

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.claims import is_repair
from selfdrive_dagster.patches.expected import expected_failure
from selfdrive_dagster.patches.ingredients import Repository

TICKETS = """\
class Bad(Exception):
    pass


class BadDate(Bad):
    pass


def opened(text):
    if not text:
        raise BadDate("no date")
    when = int(text)
    return when


def admits(text):
    try:
        return opened(text) > 0
    except Bad:
        return False
"""
CALL = "    when = int(text)\n"


def drafted(kinds: str, raised: str) -> str:
    body = f"    try:\n        when = int(text)\n    except {kinds} as error:\n        {raised}\n"
    return TICKETS.replace(CALL, body)


SAME = 'raise BadDate("no date") from error'
CASES = {
    "both witnesses": (TICKETS, "ValueError", SAME, True),
    "several classes of bad values": (TICKETS, "(ValueError, OverflowError)", SAME, True),
    "a slip in the code": (TICKETS, "TypeError", SAME, False),
    "a slip among bad values": (TICKETS, "(ValueError, AttributeError)", SAME, False),
    "other words": (TICKETS, "ValueError", 'raise BadDate("bad date") from error', False),
    "another class": (TICKETS, "ValueError", 'raise Bad("no date") from error', False),
    "nobody catches it": (
        TICKETS.replace("except Bad:", "except OSError:"), "ValueError", SAME, False,
    ),
    "somebody catches everything": (
        TICKETS.replace("except Bad:", "except Exception:"), "ValueError", SAME, False,
    ),
    "nobody calls it": (
        TICKETS.replace("opened(text) > 0", "bool(text)"), "ValueError", SAME, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_two_witnesses_vouch_for_an_exception_of_ones_own(name: str, tmp_path: Path) -> None:
    text, kinds, raised, vouched = CASES[name]
    (tmp_path / "tickets.py").write_text(text)
    tree = Repository(Product(name="t", root=str(tmp_path), python="", source=("tickets.py",)))
    module = tree.module("tickets.py")
    assert module is not None
    (function,) = [f for f in module.all(ast.FunctionDef) if f.name == "opened"]
    after = ast.parse(drafted(kinds, raised))
    found = expected_failure("translate", module, function, after, tree)
    assert is_repair(found, failing_test=False) is vouched
    assert {one.where for one in found} == (
        {"tickets.py:11", "tickets.py:19"} if vouched else set()
    )
