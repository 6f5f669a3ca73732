"""What strangers may have told a model: only what crashed changes, and it answers with nothing."""

import textwrap

import pytest

from selfdrive_dagster.patches.asking.keeping import oversteps

OLD = """\
NOTHING = 0
LIMIT = 9


def pay(user, asked, items):
    if user.blocked or user.name in BLOCKED:
        return NOTHING
    share = asked // items
    if share > LIMIT:
        raise ValueError("too much")
    note(user, share)
    return share
"""
SHARE, BLOCKED, NOTE, LAST = "    share = asked // items\n", 6, 11, 12
CHECK = '    if share > LIMIT:\n        raise ValueError("too much")\n'
GUARD = "    if user.blocked or user.name in BLOCKED:\n"

KEPT = {
    "a guard before": (8, SHARE, "    if items == 0:\n        return 0\n" + SHARE),
    "a named nothing": (8, SHARE, "    if items == 0:\n        return NOTHING\n" + SHARE),
    "an exception": (8, SHARE, "    if not items:\n        raise TypeError('none')\n" + SHARE),
    "one of two": (8, SHARE, "    share = asked // items if items else 0\n"),
    "both ways": (
        8, SHARE, "    if items:\n        share = asked // items\n    else:\n        share = 0\n"
    ),
    "a handler": (
        8, SHARE, "    try:\n    " + SHARE + "    except ZeroDivisionError:\n        return 0\n"
    ),
    "a value made fit": (8, SHARE, "    items = int(items or 0)\n" + SHARE),
    "a text made fit": (8, SHARE, "    share = asked // int(items)\n"),
    "a wider refusal": (
        BLOCKED, GUARD, "    if user is None or user.blocked or user.name in BLOCKED:\n"
    ),
    "what was read": (9, SHARE, "    share = asked // items if items else 0\n"),
    "nothing instead of a raise": (10, 'raise ValueError("too much")', "return 0"),
    "a permission asked first": (
        LAST, "    return share\n", "    return user is not None and share\n"
    ),
    "a call within a handler that leaves": (
        NOTE, "    note(user, share)\n",
        "    try:\n        note(user, share)\n    except KeyError:\n        return None\n",
    ),
}  # fmt: skip
ANSWERS, CHANGES, ADDS, LEAVES = "answers with", "did not crash", "adds", "leaves out"
TOO_MUCH = {
    "what was asked": (8, SHARE, "    if not items:\n        return asked\n" + SHARE, ANSWERS),
    "yes": (8, SHARE, "    if not items:\n        return True\n" + SHARE, ANSWERS),
    "a limit": (8, SHARE, "    if not items:\n        return LIMIT\n" + SHARE, ANSWERS),
    "the other one": (8, SHARE, "    share = asked // items if items else asked\n", ANSWERS),
    "or the other": (8, SHARE, "    share = asked // (items or asked)\n", ANSWERS),
    "more than was read": (9, SHARE, "    share = asked // items if items else asked\n", ANSWERS),
    "what nobody read": (6, SHARE, "    share = asked // items if items else 0\n", CHANGES),
    "less of the sum": (8, SHARE, "    share = asked\n", ANSWERS),
    "more of the world": (8, SHARE, "    share = asked // items + user.credit\n", ANSWERS),
    "a handler that gives": (
        8, SHARE,
        "    try:\n    " + SHARE + "    except ZeroDivisionError:\n        share = asked\n",
        ANSWERS,
    ),
    "a check gone": (8, CHECK, "", CHANGES),
    "the raise itself": (10, "raise ValueError(\"too much\")", "pass", LEAVES),
    "another raise for some": (
        10, "raise ValueError(\"too much\")", "if user:\n            raise KeyError()", LEAVES
    ),
    "a check turned": (8, "    if share > LIMIT", "    if share > LIMIT and items", CHANGES),
    "a check skipped": (
        8, SHARE + CHECK,
        "    share = 0\n    if items:\n    " + SHARE
        + "        if share > LIMIT:\n            raise ValueError(\"too much\")\n",
        CHANGES,
    ),
    "a check that may fail": (
        8, SHARE + CHECK,
        "    try:\n    " + SHARE
        + "        if share > LIMIT:\n            raise ValueError(\"too much\")\n"
        "    except ArithmeticError:\n        share = 0\n",
        CHANGES,
    ),
    "a narrower refusal": (
        BLOCKED, GUARD, "    if user and (user.blocked or user.name in BLOCKED):\n", LEAVES
    ),
    "less of a refusal": (BLOCKED, GUARD, "    if user.name in BLOCKED:\n", LEAVES),
    "no refusal": (BLOCKED, GUARD + "        return NOTHING\n", "", LEAVES),
    "no note": (NOTE, "    note(user, share)\n", "", LEAVES),
    "a note at times": (
        NOTE, "    note(user, share)\n", "    if user:\n        note(user, share)\n", ADDS
    ),
    "a wider permission": (
        LAST, "    return share\n", "    return user is None or share\n", ANSWERS
    ),
    "another effect": (8, SHARE, "    print(user)\n" + SHARE, ADDS),
    "an import": (8, SHARE, "    import os\n" + SHARE, ADDS),
    "a secret told": (
        8, SHARE, "    if not items:\n        raise ValueError(seal(user))\n" + SHARE, ADDS
    ),
    "a test that does": (8, SHARE, "    if drop(user):\n        return 0\n" + SHARE, ADDS),
    "a state": (8, SHARE, "    user.items = 0\n" + SHARE, ANSWERS),
    "a loop": (8, SHARE, "    while not items:\n        pass\n" + SHARE, ADDS),
    "a default": (8, "def pay(user, asked, items):", "def pay(user, asked, items=1):", CHANGES),
}  # fmt: skip


@pytest.mark.parametrize(("line", "search", "replace"), KEPT.values(), ids=KEPT)
def test_a_treatment_of_what_crashed_is_free(line: int, search: str, replace: str) -> None:
    assert oversteps(OLD, changed(OLD, search, replace), (line,), ()) == ""


@pytest.mark.parametrize(("line", "search", "replace", "why"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_a_stranger_may_want_is_too_much(
    line: int, search: str, replace: str, why: str
) -> None:
    assert why in oversteps(OLD, changed(OLD, search, replace), (line,), ())


def test_a_value_that_a_sibling_vouches_for_may_be_given() -> None:
    new = changed(OLD, SHARE, "    if not items:\n        return LIMIT\n" + SHARE)
    assert oversteps(OLD, new, (8,), ("LIMIT",)) == ""


HANDLED = """\
def price(text):
    try:
        return int(text)
    except ValueError as error:
        raise Refused(text) from error
"""


@pytest.mark.parametrize(
    ("new", "fate"),
    [
        ("except (ValueError, TypeError) as error:\n        raise Refused(text) from error", ""),
        ("except Exception as error:\n        raise Refused(text) from error", ""),
        (
            "except TypeError as error:\n        raise Refused(text) from error",
            "which did not crash",
        ),
        ("except (ValueError, TypeError) as error:\n        return text", "which did not crash"),
        (
            "except TypeError:\n        return None\n"
            "    except ValueError as error:\n        raise Refused(text) from error",
            "",
        ),
        (
            "except TypeError:\n        return text\n"
            "    except ValueError as error:\n        raise Refused(text) from error",
            "answers with `return text`",
        ),
    ],
    ids=["wider", "widest", "another", "another answer", "one more", "one that gives"],
)
def test_a_handler_may_catch_more_where_it_refuses(new: str, fate: str) -> None:
    old = "except ValueError as error:\n        raise Refused(text) from error"
    told = oversteps(HANDLED, changed(HANDLED, old, new), (3,), ())
    assert fate in told if fate else told == ""


def test_docstrings_and_comments_may_change() -> None:
    new = OLD.replace("    if user.blocked", '    """Pay."""  # so\n    if user.blocked')
    assert oversteps(OLD, new, (8,), ()) == ""


def test_a_line_in_a_method_and_in_a_loop_is_found() -> None:
    old = textwrap.dedent(
        """\
        class Till:
            def total(self, rows):
                for row in rows:
                    self.sum += row["cents"]
                return self.sum
        """
    )
    new = changed(old, 'row["cents"]', 'row.get("cents", 0)')
    assert oversteps(old, new, (4,), ()) == ""
    assert "return self.sum" in oversteps(old, new.replace("return self.sum", "return 0"), (4,), ())


def changed(old: str, search: str, replace: str) -> str:
    assert old.count(search) == 1
    return old.replace(search, replace)
