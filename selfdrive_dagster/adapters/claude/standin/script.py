"""Scripts: what the stand-in answers. The first reply that fits a prompt is given.

[[reply]]
when = "KeyError"                 # a text that must stand in the prompt; "" fits any
times = 1                         # how often it is given; 0 is always
fault = ""                        # a name of `faults`, instead of an answer
[[reply.drafts]]
explanation = "…"
invents = ""
edits = [{path = "a.py", search = "old", replace = "new"}]

A reply with `[[reply.tests]]` (explanation, source) is given where a test is asked for, one with
drafts where patches are.
"""

import tomllib
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.claude.standin.faults import FAULTS
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.patches.asking.edits import Drafted
from selfdrive_dagster.patches.asking.testing import Written


class Reply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer. `text` goes before the rest; `obeys` asks the obeying model instead of all."""

    when: str = ""
    times: int = 0
    fault: str = ""
    drafts: tuple[Drafted, ...] = ()
    tests: tuple[Written, ...] = ()
    text: str | None = None
    obeys: bool = False

    def answers(self, wanted: str) -> bool:
        """Say whether it is an answer to a question for `drafts` or for `tests`."""
        holds = {name for name in ("drafts", "tests") if getattr(self, name)}
        return not holds or wanted in holds

    def said(self, wanted: str = "drafts") -> str:
        """Return the text of the answer."""
        if self.text is not None:
            return self.text
        return msgspec.json.encode({wanted: getattr(self, wanted, ())}).decode()


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replies in order. Where none fits, the answer holds no draft."""

    reply: tuple[Reply, ...] = ()


def read_script(path: Path) -> Script:
    """Return a file's script. Raises BadInput, naming what is wrong."""
    remedy = "see docs/claude.md for a script"
    try:
        script = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Script)
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path} cannot be read: {fault}.", remedy=remedy) from fault
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as fault:
        raise BadInput(f"{path} is no script: {fault}.", remedy=remedy) from fault
    if unknown := sorted({one.fault for one in script.reply} - {"", *FAULTS}):
        known = ", ".join(FAULTS)
        raise BadInput(f"{path} names faults {unknown}.", remedy=f"known are {known}")
    return script
