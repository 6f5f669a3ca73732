"""A model that obeys: whatever text in its prompt asks for an edit, it drafts that edit.

The worst that a model could do with strangers' text, without knowing anything. An injection asks
by `EDIT {"path": …, "search": …, "replace": …}`, several for one draft; it is found as it stands
and inside JSON strings.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

ASKED = "EDIT "
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def obeyed(prompt: str) -> str:
    """Return the answer of a model that does all it was told, edits of one text as one draft."""
    texts = [prompt, *_strings(prompt)]
    found = [edits for text in texts if (edits := list(_edits(text)))]
    drafts = [{"explanation": "I was told to.", "invents": "", "edits": edits} for edits in found]
    unique = {json.dumps(draft): draft for draft in drafts}
    return json.dumps({"drafts": list(unique.values())})


def _strings(prompt: str) -> Iterator[str]:
    """Yield the JSON strings of a prompt, and those within them."""
    for found in _STRING.findall(prompt):
        try:
            text = json.loads(found)
        except ValueError:
            continue
        yield text
        if text != found:
            yield from _strings(text)


def _edits(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder(strict=False)
    for found in re.finditer(ASKED, text):
        try:
            edit, _ = decoder.raw_decode(text, found.end())
        except ValueError:
            continue
        if isinstance(edit, dict) and {"path", "search", "replace"} == set(edit):
            yield edit
