"""Elements of a page as PostHog's autocapture writes them: what was touched, and in which form.

Two spellings say the same: `$elements`, a list of objects from the innermost outwards, and
`$elements_chain`, a text such as `button.buy:attr__id="pay"text="Pay";form:attr__id="checkout"`.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from selfdrive_dagster.telemetry.bounds import label, mapping, sequence, text

MAX_CHAIN_CHARS = 16_000
MAX_ELEMENTS = 32

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
_SAID = re.compile(r'(?P<name>[\w$-]{1,80})="(?P<value>(?:[^"\\]|\\.){0,2000})"')
NAMES = ("attr__data-testid", "attr__id", "attr__name", "attr__aria-label", "$el_text", "text")
"""What names an element to a reader and stays the same, the best first."""


class Touched(msgspec.Struct, frozen=True):
    """What was touched: its name, its tag and the form around it; unknown is ""."""

    target: str = ""
    tag: str = ""
    form: str = ""


def read_touched(properties: Mapping[str, Any]) -> Touched:
    """Return what an autocaptured event tells of its element."""
    listed = [mapping(one) for one in sequence(properties.get("$elements"))[:MAX_ELEMENTS]]
    elements = listed or _chained(text(properties.get("$elements_chain")))
    if not elements:
        return Touched()
    form = next((one for one in elements if _tag(one) == "form"), {})
    return Touched(target=_name(elements[0]), tag=_tag(elements[0]), form=_name(form))


def _chained(chain: str) -> list[dict[str, Any]]:
    return [
        {"tag_name": tag.group(), **{said["name"]: said["value"] for said in _SAID.finditer(one)}}
        for one in _parts(chain[:MAX_CHAIN_CHARS])
        if (tag := _TAG.match(one))
    ][:MAX_ELEMENTS]


def _parts(chain: str) -> list[str]:
    """Split at the semicolons that stand outside of quotes."""
    return re.findall(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+', chain)


def _tag(element: Mapping[str, Any]) -> str:
    return label(element.get("tag_name")).lower()


def _name(element: Mapping[str, Any]) -> str:
    found = (label(element.get(name)) for name in NAMES)
    return next((one for one in found if one), "")
