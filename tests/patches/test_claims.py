"""REPAIR needs a test, a sibling idiom with the same value, or two independent oracles."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from selfdrive_dagster.model import Claim, Product, Support
from selfdrive_dagster.patches.claims import claim_of, supports
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.text import render_diff


def draft_of(
    tmp_path: Path, family: str, before: str, after: str, elsewhere: str = ""
) -> tuple[Draft, Product]:
    """Return a draft that turns `before` into `after`, in a product with `elsewhere`."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "cart.py").write_text(before, encoding="utf-8")
    (tmp_path / "shop" / "other.py").write_text(elsewhere, encoding="utf-8")
    product = Product(name="shop", root=str(tmp_path), python="", source=("shop",))
    draft = Draft(
        family=family,
        kind="replace",
        path="shop/cart.py",
        line=2,
        function="f",
        patch=render_diff("shop/cart.py", before, after),
        source=after,
        invented="returns None where it raised KeyError",
        tokens=1,
    )
    return draft, product


GET = ("def f(p):\n    return p['limit']\n", "def f(p):\n    return p.get('limit', 20)\n")
GUARD = (
    "class A:\n    def total(self, xs):\n        return max(xs)\n",
    "class A:\n    def total(self, xs):\n        if not xs:\n            return 0\n"
    "        return max(xs)\n",
)
HANDLER = (
    "def f(s):\n    return convert(s)\n",
    "def f(s):\n    try:\n        return convert(s)\n    except (OSError, ValueError) as error:\n"
    "        raise BadToken('no') from error\n",
)
SINGLE = (HANDLER[0], HANDLER[1].replace("(OSError, ValueError)", "ValueError"))
INDEX = (
    "class A:\n    def f(self):\n        return self.ok and self.mark[0] == '*'\n",
    "class A:\n    def f(self):\n"
    "        return self.ok and len(self.mark) > 0 and self.mark[0] == '*'\n",
)

AGREEING = {
    "the same key and value in two functions": (
        "default", *GET,
        "def g(q):\n    return q.get('limit', 20)\n\n\ndef h(q):\n    return q.get('limit', 20)\n",
    ),
    "the same guard in two siblings of the same name": (
        "guard", *GUARD,
        "class B:\n    def total(self, xs):\n        if not xs:\n            return 0\n"
        "class C:\n    def total(self, xs):\n        if not xs:\n            return 0\n",
    ),
    "same pair of classes around the same callee": (
        "translate", *HANDLER,
        "def g(s):\n    try:\n        x = lib.convert(s)\n    except (ValueError, OSError):\n"
        "        raise BadToken('no')\n    return x\n",
    ),
    "one class around the same callee": (
        "translate", *SINGLE,
        "def g(s):\n    try:\n        convert(s)\n"
        "    except ValueError as e:\n        raise BadToken('no') from e\n",
    ),
    "a handler that only catches more, whatever its words": (
        "widen",
        SINGLE[1],
        HANDLER[1],
        "def g(s):\n    try:\n        return convert(s)\n"
        "    except (ValueError, OSError):\n        raise BadToken('other words')\n",
    ),
    "same test before the same index": (
        "condition", *INDEX,
        "class A:\n    def g(self):\n        if len(self.mark) > 0 and self.mark[0] == '-':\n"
        "            pass\n",
    ),
}  # fmt: skip

# In one file: what the whole file is before, and after the draft.
TABLE = "ZONES = load()\n\n\ndef f(c):\n    return {0}\n\n\ndef g(c):\n    return {1}\n"
TABLE_BOUND = TABLE.replace("def g(c):", "def g(c, ZONES):")
PARAMETER = (
    "def f(xs: list[int]) -> int:\n{0}    return max(xs)\n\n\n"
    "def g(xs: list[int]) -> {1}:\n    if not xs:\n        return {2}\n    return sum(xs)\n"
)
EMPTY = "    if not xs:\n        return 0\n"
RECORD = "def f(b):\n    return {0}, b.get('text') or {1}\n"
THIRD = "\n\ndef h(xs: list[int]) -> int:\n    if not xs:\n        return 0\n    return xs[0]\n"
ATTRIBUTE = (
    "class A:\n    def f(self):\n        return {0} + 1\n\n"
    "    def g(self):\n        return (self.rate or 3) + 2\n"
)
NO_ROWS = "        if not self.rows:\n            return {0}\n"
NONE = (
    "class A:\n    def f(self):\n{0}        return max(self.rows)\n\n"
    "    def g(self):\n        if not self.rows:\n            return None\n"
    "        return min(self.rows)\n"
)
INVERSE = NONE.replace("None", "0.0")
WIDENED = (
    "def f(s):\n    try:\n        return float(s)\n    except {0}:\n        return 0.0\n\n\n"
    "def g(s):\n    x = 1\n    # A sibling.\n    try:\n        return float(s) + x\n"
    "    except (ValueError, TypeError):\n        return 0.0\n"
)
CALLED = (
    "def rate(name):\n    return load(name)\n\n\ndef f(name):\n{0}\n\n\n"
    "def g(name):\n    try:\n        return rate(name)\n"
    "    except KeyError:\n        return 0.0\n"
)
RATED = "    try:\n        return rate(name)\n    except KeyError:\n        {0}"
DISSENT = THIRD.replace("def h", "def i").replace("return 0", "return -1")
PARSED = "    try:\n        return float({0})\n    except ValueError:\n        return 0.0"
TWO_TRIES = (
    "def f(a, b):\n    try:\n        note(a)\n    except ValueError:\n        return 0.0\n{0}\n\n\n"
    "def g(a):\n" + PARSED.format("a") + "\n"
)
ASKED = "ZONES.get(c, 'world')"

KIN = {
    "a lookup in the same table of the module": (
        "default", TABLE.format("ZONES[c]", ASKED), TABLE.format(ASKED, ASKED), 9,
    ),
    "two guards of the same annotated parameter": (
        "guard", PARAMETER.format("", "int", 0) + THIRD,
        PARAMETER.format(EMPTY, "int", 0) + THIRD, 6,
    ),
    "an attribute of the same class": (
        "default", ATTRIBUTE.format("self.rate"), ATTRIBUTE.format("(self.rate or 3)"), 6,
    ),
    "a guard that says there is none, on an attribute of the same class": (
        "guard", NONE.format(""), NONE.format(NO_ROWS.format("None")), 6,
    ),
    "an answer that the widened handler gave before": (
        "widen", WIDENED.format("ValueError"), WIDENED.format("(ValueError, TypeError)"), 11,
    ),
    "the same call of a function that the product defines": (
        "catch", CALLED.format("    return rate(name)"), CALLED.format(RATED.format("return 0.0")),
        10,
    ),
}  # fmt: skip
STRANGERS = {
    "another key of the same record": (
        "default", RECORD.format("b.get('title')", "''"),
        RECORD.format("b.get('title') or ''", "''"),
    ),
    "one guard of the same annotated parameter": (
        "guard", PARAMETER.format("", "int", 0), PARAMETER.format(EMPTY, "int", 0),
    ),
    "a number for an attribute: it answers for the method": (
        "guard", INVERSE.format(""), INVERSE.format(NO_ROWS.format("0.0")),
    ),
    "two that agree and a third that dissents": (
        "guard", PARAMETER.format("", "int", 0) + THIRD + DISSENT,
        PARAMETER.format(EMPTY, "int", 0) + THIRD + DISSENT,
    ),
    "the same call with other arguments": (
        "catch", CALLED.format("    return rate(key)"),
        CALLED.format(RATED.format("return 0.0").replace("(name)", "(key)")),
    ),
    "an answer that another try of the function gave": (
        "catch", TWO_TRIES.format("    return float(b)"),
        TWO_TRIES.format(PARSED.format("b")),
    ),
    "a parameter that is called like the table": (
        "default", TABLE_BOUND.format("ZONES[c]", ASKED), TABLE_BOUND.format(ASKED, ASKED),
    ),
    "siblings that disagree": (
        "default", TABLE.format("ZONES[c]", f"ZONES.get(c, 'home'), {ASKED}"),
        TABLE.format(ASKED, f"ZONES.get(c, 'home'), {ASKED}"),
    ),
    "another type of result": (
        "guard", PARAMETER.format("", "float", 0), PARAMETER.format(EMPTY, "float", 0),
    ),
    "another value for another key": (
        "default", RECORD.format("b.get('title')", "'-'"),
        RECORD.format("b.get('title') or ''", "'-'"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KIN.values(), ids=KIN.keys())
def test_kin_in_the_same_file_support_a_repair(
    case: tuple[str, str, str, int], tmp_path: Path
) -> None:
    family, before, after, line = case
    [support] = supports(*draft_of(tmp_path, family, before, after))
    assert support.where == f"shop/cart.py:{line}"


@pytest.mark.parametrize("case", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_like_spelling_alone_is_no_kin(case: tuple[str, str, str], tmp_path: Path) -> None:
    assert supports(*draft_of(tmp_path, *case)) == ()


MARKED = """\
class Writer:
    def put(self, text):
        if (
            text
            and {0}self.written[-1] == {1}self.mark[0]
        ):
            text = " " + text
        return text
"""
ONE_CONDITION = {
    "one is asked": ("self.written and ", "self.mark and ", True),
    "spelled in another way": ("self.written and ", "len(self.mark) > 0 and ", True),
    "none is asked": ("", "self.mark and ", False),
    "asked for more than one": ("self.written and ", "len(self.mark) > 1 and ", False),
}


@pytest.mark.parametrize("name", ONE_CONDITION)
def test_a_condition_that_asks_of_one_text_vouches_for_the_other(name: str, tmp_path: Path) -> None:
    asked, asks, vouched = ONE_CONDITION[name]
    before = MARKED.format(asked, "")
    after = MARKED.format(f"{asked}{asks}", "")
    found = supports(*draft_of(tmp_path, "condition", before, after))
    assert [support.where for support in found] == ["shop/cart.py:4"] * vouched


# Wrong patches that one lookalike once carried to CERTIFIED: before, after, the lookalike.
FIRST = "def {0}(raw: str) -> {1}:\n    {2}\n"
CAUGHT = "try:\n        return {0}(raw)\n    except ValueError:\n        return {1}"
OVER = "def {0}(xs: list[float]) -> float:\n{1}    return {2}\n"
NO_XS = "    if not xs:\n        return 0.0\n"
WRONG = {
    "a transfer of nothing, after a discount of nothing": (
        "catch",
        FIRST.format("parse_transfer", "float", "return float(raw)"),
        FIRST.format("parse_transfer", "float", CAUGHT.format("float", "0.0")),
        FIRST.format("parse_discount", "float", CAUGHT.format("float", "0.0")),
    ),
    "a quota of nothing, after a count of nothing": (
        "catch",
        FIRST.format("parse_quota", "int", "return int(raw)"),
        FIRST.format("parse_quota", "int", CAUGHT.format("int", "0")),
        FIRST.format("parse_count", "int", CAUGHT.format("int", "0")),
    ),
    "a cheapest of nothing, after a fee of nothing": (
        "guard",
        OVER.format("cheapest", "", "min(xs)"),
        OVER.format("cheapest", NO_XS, "min(xs)"),
        OVER.format("fee", NO_XS, "sum(xs) * 0.1"),
    ),
    "a success rate, after its inverse": (
        "guard",
        OVER.format("success_rate", "", "sum(xs) / len(xs)"),
        OVER.format("success_rate", NO_XS, "sum(xs) / len(xs)"),
        OVER.format("failure_rate", NO_XS, "1 - sum(xs) / len(xs)"),
    ),
}


@pytest.mark.parametrize("modules", [1, 2])
@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_one_lookalike_vouches_for_no_value(
    case: tuple[str, str, str, str], modules: int, tmp_path: Path
) -> None:
    family, before, after, lookalike = case
    if modules == 1:
        before, after, elsewhere = f"{before}\n\n{lookalike}", f"{after}\n\n{lookalike}", ""
    else:
        elsewhere = lookalike
    draft, product = draft_of(tmp_path, family, before, after, elsewhere)
    assert supports(draft, product) == ()


def test_two_functions_that_agree_vouch_for_a_value(tmp_path: Path) -> None:
    family, before, after, lookalike = WRONG["a quota of nothing, after a count of nothing"]
    elsewhere = f"{lookalike}\n\n{lookalike.replace('parse_count', 'parse_size')}"
    [support] = supports(*draft_of(tmp_path, family, before, after, elsewhere))
    assert support.where == "shop/other.py:2"


DISAGREEING = {
    "one lookup of the same key": ("default", *GET, "def g(q):\n    return q.get('limit', 20)\n"),
    "one guard in a sibling of the same name": (
        "guard", *GUARD,
        "class B:\n    def total(self, xs):\n        if not xs:\n            return 0\n",
    ),
    "same key, another value": ("default", *GET, "def g(q):\n    return q.get('limit', 10)\n"),
    "another key, same value": ("default", *GET, "def g(q):\n    return q.get('offset', 20)\n"),
    "another way": ("default", *GET, "def g(q):\n    return q.pop('limit', 20)\n"),
    "nothing elsewhere": ("default", *GET, ""),
    "a family that copies code": ("ingredient", *GET, "def g(q):\n    return q.get('limit', 20)\n"),
    "another answer to the same test": (
        "guard", *GUARD,
        "class B:\n    def total(self, xs):\n        if not xs:\n            return None\n",
    ),
    "the same guard in a function of another name and class": (
        "guard", *GUARD,
        "class B:\n    def render(self, xs):\n        if not xs:\n            return 0\n",
    ),
    "another exception raised": (
        "translate", *HANDLER,
        "def g(s):\n    try:\n        convert(s)\n"
        "    except (ValueError, OSError):\n        raise Gone()\n",
    ),
    "the same class raised with other words": (
        "translate", *HANDLER,
        "def g(s):\n    try:\n        convert(s)\n"
        "    except (ValueError, OSError):\n        raise BadToken('rating', 'choose stars')\n",
    ),
    "words about another thing, around a callee that anything may call": (
        "translate",
        "def price(s):\n    return int(s)\n",
        "def price(s):\n    try:\n        return int(s)\n    except (OSError, ValueError) as e:\n"
        "        raise Bad('donation') from e\n",
        "def donation(s):\n    try:\n        return int(s)\n"
        "    except (ValueError, OSError) as e:\n        raise Bad('donation') from e\n",
    ),
    "a guard whose words are about another thing": (
        "guard",
        GUARD[0],
        GUARD[1].replace("return 0", "raise Bad('cart')"),
        "class B:\n    def total(self, xs):\n        if not xs:\n            raise Bad('cart')\n",
    ),
    "one class around another callee": (
        "translate", *SINGLE,
        "def g(s):\n    try:\n        read(s)\n    except ValueError:\n        raise BadToken()\n",
    ),
    "a huge invention": (
        "guard",
        GUARD[0],
        GUARD[1].replace("return 0", "return 10**9"),
        "class B:\n    def total(self, xs):\n        if not xs:\n            return 0\n",
    ),
    "one idiom agrees, another is made up": (
        "default",
        "def f(p):\n    return p['limit'], p['sort']\n",
        "def f(p):\n    return p.get('limit', 20), p.get('sort', 'up')\n",
        "def g(q):\n    return q.get('limit', 20)\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", AGREEING.values(), ids=AGREEING.keys())
def test_a_sibling_idiom_supports_a_repair(case: tuple[str, str, str, str], tmp_path: Path) -> None:
    draft, product = draft_of(tmp_path, *case)
    found = supports(draft, product)
    assert [support.kind for support in found] == ["sibling_idiom"]
    assert found[0].where.startswith("shop/other.py:")


@pytest.mark.parametrize("case", DISAGREEING.values(), ids=DISAGREEING.keys())
def test_when_in_doubt_there_is_no_support(case: tuple[str, str, str, str], tmp_path: Path) -> None:
    draft, product = draft_of(tmp_path, *case)
    assert supports(draft, product) == ()
    assert claim_of(draft, failing_test=False) == (
        Claim.MITIGATION,
        "returns None where it raised KeyError",
    )


def support(kind: str) -> Support:
    return Support(kind=kind, where="shop/other.py:1", says="")


@pytest.mark.parametrize(
    ("kinds", "failing_test", "claim"),
    [
        ((), False, Claim.MITIGATION),
        ((), True, Claim.REPAIR),
        (("sibling_idiom",), False, Claim.REPAIR),
        (("failing_test",), False, Claim.REPAIR),
        (("history",), False, Claim.MITIGATION),
        (("history", "history"), False, Claim.MITIGATION),
        (("history", "documentation"), False, Claim.REPAIR),
    ],
)
def test_what_evidence_allows(
    kinds: tuple[str, ...], failing_test: bool, claim: Claim, tmp_path: Path
) -> None:
    draft, _ = draft_of(tmp_path, "default", *GET)
    told = replace(draft, supports=tuple(support(kind) for kind in kinds))
    made, invented = claim_of(told, failing_test)
    assert made is claim
    assert (invented == "") == (claim is Claim.REPAIR)
