"""Talking with hostile processes, through the stand-in that shares the conversation."""

import sys

import pytest
from fakes.plain_sandbox import PlainSandbox

from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Job, SandboxLevel


def test_a_level_below_full_runs_nothing():
    sandbox = PlainSandbox(SandboxLevel.PARTIAL)
    with pytest.raises(Refused):
        sandbox.run(Job(program="probe", tree="", python=sys.executable))
    assert sandbox.jobs == []


@pytest.mark.parametrize("path", ["/x", "../x", "a/../x", ".git/x", "", "a\0b"])
def test_an_escaping_overlay_is_refused_before_anything_starts(path):
    job = Job(program="probe", tree="", python=sys.executable, overlay={path: "x"})
    with pytest.raises(BadInput):
        PlainSandbox().run(job)
