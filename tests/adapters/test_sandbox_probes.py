"""The probes: each must be able to fail, and the level must follow them."""

import os
import shutil
import sys
from pathlib import Path

import msgspec
import pytest
from fakes.plain_sandbox import PlainSandbox

from selfdrive_dagster.adapters.sandbox.fences import Fence
from selfdrive_dagster.adapters.sandbox.outside import set_out
from selfdrive_dagster.adapters.sandbox.probes import BOMBS, GENTLE, SIZES, examine, judge
from selfdrive_dagster.adapters.sandbox.request import HARNESS
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import Ending, Job, Ran, SandboxLevel

MEBIBYTE = 2**20
ALWAYS_WORK = {
    *("read_public", "read_private", "follow_symlink", "list_home", "write_outside"),
    *("write_tree", "loopback", "host_address", "udp_out", "abstract_socket", "path_socket"),
    *("others_environment", "see_processes", "kill_victim", "trace", "fill_work"),
    *("fill_temporary", "fill_shared", "fork_many", "memory_hidden", "memory_one", "memory_many"),
    *("orphan_left", "file_left"),
}
WORK_FOR_ROOT = {
    "capabilities",
    "read_shadow",
    "nested_namespace",
    "join_namespace",
}


@pytest.fixture(scope="module")
def control():
    """Every probe, tried where nothing holds it: in a plain process, as whoever runs the tests."""
    with set_out((), prefix=Path(sys.prefix), harness=HARNESS, tree="") as outside:
        small = {"work_bytes": 1, "temporary_bytes": 1, "shared_bytes": 1, "processes": 4}
        spec = {**outside.spec, **small, "memory_bytes": 8 * MEBIBYTE}
        # These would change the machine that runs the tests.
        spare = {"write_usr", "write_interpreter", "write_harness", "fill_root", "fill_devices"}
        spare |= {"mount", "core_pattern"}

        def run(acts):
            wanted = [name for name in acts if name not in spare]
            job = Job(program="probe", tree=outside.tree, python=sys.executable)
            return PlainSandbox().run(msgspec.structs.replace(job, spec={**spec, "acts": wanted}))

        results = judge(outside, run)
        yield {result.name: result for result in results}, spare


def test_without_a_sandbox_the_acts_work(control):
    results, spare = control
    held = {name for name in ALWAYS_WORK - spare if results[name].passed}
    assert held == set(), {name: results[name].says for name in held}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whom nothing holds")
def test_without_a_sandbox_root_can_do_the_rest(control):
    results, spare = control
    held = {name for name in WORK_FOR_ROOT - spare if results[name].passed}
    assert held == set(), {name: results[name].says for name in held}


def test_every_act_is_asked_for_and_every_asked_act_exists():
    names = (HARNESS / "hostile.py").read_text().splitlines()
    defined = {
        line.split("(")[0][4:] for line in names if line.startswith("def ") and "pec: Spec" in line
    }
    assert set(GENTLE) | set(BOMBS) == defined


class Telling:
    """A sandbox whose probes come out as told; counts how often it was asked."""

    def __init__(self, worked=(), ending=Ending.EXITED, status=0, stderr="", refuse=False):
        self.worked, self.ending, self.status = set(worked), ending, status
        self.stderr, self.refuse, self.asked = stderr, refuse, 0

    def fence(self):
        return Fence.WATCHDOG

    def run_unchecked(self, job, on_line, sizes, level, marks=None):
        self.asked += 1
        assert sizes == SIZES
        if self.refuse:
            raise Refused("others may not read the interpreter", remedy="chmod it")
        lines = tuple(
            {"probe": act, "worked": act in self.worked, "says": "told"} for act in job.spec["acts"]
        )
        return Ran(
            ending=self.ending,
            status=self.status,
            lines=lines,
            stderr=self.stderr,
            seconds=0.0,
            level=level,
        )


needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing")


@needs_bwrap
def test_full_is_remembered_for_this_boot(tmp_path):
    first, second = Telling(), Telling()
    found = examine(first, tmp_path / "state")
    assert found.level is SandboxLevel.FULL
    assert examine(second, tmp_path / "state") == found
    assert (first.asked > 0, second.asked) == (True, 0)


@needs_bwrap
@pytest.mark.parametrize("act", ["capabilities", "virtual_socket", "memory_many"])
def test_one_act_that_works_makes_it_partial_and_is_named(tmp_path, act):
    found = examine(Telling(worked={act}), tmp_path / "state")
    assert found.level is SandboxLevel.PARTIAL
    assert act in found.missing and found.remedy
    again = Telling()
    assert examine(again, tmp_path / "state").level is SandboxLevel.FULL


@needs_bwrap
def test_a_box_that_does_not_start_is_no_sandbox(tmp_path):
    broken = Telling(status=1, stderr="bwrap: Creating new namespace failed: No space left")
    found = examine(broken, tmp_path / "state")
    assert found.level is SandboxLevel.NONE
    assert "Creating new namespace failed" in found.missing and found.remedy
    assert broken.asked == 1


@needs_bwrap
def test_an_interpreter_that_cannot_be_shown_is_no_sandbox(tmp_path):
    found = examine(Telling(refuse=True), tmp_path / "state")
    assert (found.level, found.remedy) == (SandboxLevel.NONE, "chmod it")


@needs_bwrap
def test_silence_is_not_held(tmp_path):
    class Silent(Telling):
        def run_unchecked(self, job, on_line, sizes, level, marks=None):
            ran = super().run_unchecked(job, on_line, sizes, level, marks)
            return msgspec.structs.replace(ran, lines=())

    found = examine(Silent(), tmp_path / "state")
    assert found.level is SandboxLevel.PARTIAL
    assert sum(not result.passed for result in found.results) == len(GENTLE) + len(BOMBS)
