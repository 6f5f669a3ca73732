"""Runs inside a product's environment: tests that crash in the product are told by the real SDK.

A pytest plugin, copied beside the product and loaded with `-p grouping_probe`. Each test that ends
in an exception of the product's own code is run again as other callers would run it: awaited, in a
task group, and by one who raises an error of his own from it. What the SDK would have sent goes to
the file that `GROUPING_OUT` names, one JSON line for each: test, way, event.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

ROOT = os.environ["GROUPING_ROOT"]
OUT = Path(os.environ["GROUPING_OUT"])
KNOWN = frozenset(json.loads(os.environ.get("GROUPING_KNOWN", "[]")))
MOST = int(os.environ.get("GROUPING_MOST", "3"))
sys.path.insert(0, ROOT)

import front  # noqa: E402 - the product's own door, copied into it

_sent: list[dict[str, Any]] = []
_told: list[str] = []


class Kept(Transport):
    """Keeps what would have gone out."""

    def capture_envelope(self, envelope: Envelope) -> None:
        """Take the event out of the envelope, as its JSON would tell it."""
        for item in envelope.items:
            if item.type == "event":
                _sent.append(json.loads(item.get_bytes()))


sentry_sdk.init(dsn="http://bench@localhost/1", transport=Kept, project_root=ROOT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Tell a crash of the product, and the same crash met by other callers."""
    try:
        return (yield)
    except Exception as crash:
        if item.nodeid in KNOWN or len(_told) >= MOST or not _is_of_product(crash):
            raise
        ways = front.WAYS if not _told else front.WAYS[:1]
        _told.append(item.nodeid)
        for name, call in ways:
            _tell(item, name, call)
        raise


def _tell(item: pytest.Item, name: str, call: Any) -> None:
    try:
        call(item.runtest)
    except BaseException as crash:
        _sent.clear()
        sentry_sdk.capture_exception(crash)
        with OUT.open("a") as file:
            for event in _sent:
                file.write(json.dumps({"test": item.nodeid, "way": name, "event": event}) + "\n")


def _is_of_product(crash: BaseException) -> bool:
    """Say whether the product's own code stood on the stack, below the test."""
    step, own = crash.__traceback__, []
    while step:
        path = step.tb_frame.f_code.co_filename
        if path.startswith(ROOT):
            own.append(path)
        step = step.tb_next
    return bool(own) and not any(mark in own[-1] for mark in ("/test", "_test.py", "conftest"))
