"""What a line that raised tells of an object whose state nobody sent."""

import pytest

from selfdrive_dagster.model import Diagnosis, FrameFinding
from selfdrive_dagster.patches.reproduce.inferred import inferred
from selfdrive_dagster.patches.syntax import Module

TOLD = {
    "an empty text": ("IndexError", "string index out of range", "self.mark[0]", [("mark", '""')]),
    "from behind": ("IndexError", "", "self.rows[-1]", [("rows", "[]")]),
    "two of them": (
        "IndexError", "", "self.rows[0] + self.mark[0]", [("rows", "[]"), ("mark", '""')],
    ),
    "None has no attribute": (
        "AttributeError", "'NoneType' object has no attribute 'name'", "self.owner.name",
        [("owner", "None")],
    ),
    "None cannot be read": (
        "TypeError", "'NoneType' object is not subscriptable", "self.owner[1]",
        [("owner", "None")],
    ),
    "nothing to divide by": ("ZeroDivisionError", "", "1 / self.share", [("share", "0")]),
    "an index that is a name": ("IndexError", "", "self.mark[place]", []),
    "an attribute of another type": ("IndexError", "", "self.share[0]", []),
    "not of self": ("IndexError", "", "place[0]", []),
    "another attribute is missing": (
        "AttributeError", "'NoneType' object has no attribute 'name'", "self.owner.age", [],
    ),
    "a bad value": ("ValueError", "", "int(self.mark)", []),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_the_exception_tells_of_attributes(name: str) -> None:
    kind, words, expression, wanted = TOLD[name]
    text = (
        "class Till:\n"
        "    def __init__(self):\n"
        "        self.mark = 'x'\n        self.rows = [1]\n        self.share = 3\n"
        "    def show(self, place):\n"
        f"        return {expression}\n"
    )
    module = Module("till.py", text)
    function = module.function("Till.show")
    assert function is not None
    diagnosis = Diagnosis(
        revision="", sentence="", crash=None, failing_tests=(), suspicions=(), inputs=(),
        frames=(FrameFinding(path="till.py", line=7, function="Till.show", depth=1),),
        suspect=None, exception_type=kind, message=words,
    )  # fmt: skip
    assert [(one.attribute, one.value) for one in inferred(module, function, diagnosis)] == wanted
