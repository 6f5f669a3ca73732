"""Talking with hostile processes, through the stand-in that shares the conversation."""

import os
import sys
import time

import pytest
from fakes.acting_harness import act, acting_harness
from fakes.plain_sandbox import PlainSandbox

from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Ending, Job, SandboxLevel


@pytest.fixture
def sandbox(tmp_path):
    return PlainSandbox(harness=acting_harness(tmp_path / "harness"))


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


def test_a_tree_that_is_not_there_is_refused_by_name():
    with pytest.raises(BadInput, match="no-such-tree"):
        PlainSandbox().run(Job(program="probe", tree="/no-such-tree", python=sys.executable))


def test_lines_arrive_while_the_program_still_runs(sandbox):
    moments = []
    code = "import time\nemit({'n': 1}); time.sleep(0.5); emit({'n': 2})"
    ran = sandbox.run(act(code, status=3), lambda line: moments.append(time.monotonic()))
    assert (ran.ending, ran.status, ran.lines) == (Ending.EXITED, 3, ({"n": 1}, {"n": 2}))
    assert moments[1] - moments[0] > 0.3


def test_the_status_is_true_even_when_pipes_close_long_before_the_end(sandbox):
    ran = sandbox.run(act("import os, time\nos.closerange(1, 256); time.sleep(0.4)", status=4))
    assert (ran.ending, ran.status) == (Ending.EXITED, 4)


def test_a_large_request_is_read_by_a_program_that_talks_meanwhile(sandbox):
    text = "x" * 3_000_000
    ran = sandbox.run(act("emit({'got': len(open('big').read())})", overlay={"big": text}))
    assert ran.lines == ({"got": len(text)},)


def test_a_flood_is_cut_at_its_cap(sandbox):
    code = "while True: emit({'x': 'y' * 10_000})"
    ran = sandbox.run(act(code, output_bytes=300_000))
    assert ran.ending is Ending.OUTPUT_CAPPED
    assert 25 <= len(ran.lines) <= 30


AMPLIFIERS = {
    "lists in one line": "emit({'a': [[]] * 300_000})",
    "objects in one line": "emit({'a': [{}] * 300_000})",
    "numbers in one line": "emit({'a': [1] * 4_100_000})",
    "lists in many lines": "for _ in range(30): emit({'a': [[]] * 10_000})",
}


@pytest.mark.parametrize("flood", AMPLIFIERS.values(), ids=AMPLIFIERS)
def test_what_would_grow_when_decoded_ends_the_run_by_name(flood, sandbox):
    ran = sandbox.run(act(f"emit({{'n': 1}})\n{flood}\nemit({{'n': 2}})"))
    assert ran.ending is Ending.OUTPUT_CAPPED
    assert ran.lines[0] == {"n": 1}
    assert {"n": 2} not in ran.lines


def test_a_suite_that_tells_much_is_heard_to_the_end(sandbox):
    lines = "{'shop/cart.py': list(range(500))}"
    ran = sandbox.run(act(f"for n in range(2_000): emit({{'n': n, 'files': {lines}}})"))
    assert (ran.ending, len(ran.lines)) == (Ending.EXITED, 2_000)


def test_of_stderr_the_tail_is_kept(sandbox):
    ran = sandbox.run(act("import sys\nprint('a' * 500_000 + 'the end', file=sys.stderr)"))
    assert len(ran.stderr) <= 64 * 1024
    assert ran.stderr.rstrip().endswith("the end")


def test_silence_ends_at_the_deadline(sandbox):
    ran = sandbox.run(act("import time\nemit({'n': 1}); time.sleep(60)", seconds=1.0))
    assert (ran.ending, ran.lines) == (Ending.TIMED_OUT, ({"n": 1},))
    assert ran.seconds < 3


def test_a_grandchild_that_holds_the_pipe_does_not_delay_the_end(sandbox):
    code = "import subprocess\nsubprocess.Popen(['sleep', '5'], start_new_session=True)"
    assert sandbox.run(act(code)).seconds < 3


def test_what_is_no_json_object_is_counted_not_believed(sandbox):
    code = "import os\nfor fd in range(100, 110):\n    try: os.write(fd, b'[1]\\n{broken\\n')\n"
    code += "    except OSError: pass\nemit({'n': 1})"
    ran = sandbox.run(act(code))
    assert ran.lines == ({"n": 1},)
    assert "2 lines of output were no JSON" in ran.stderr


def test_death_by_signal_is_killed(sandbox):
    ran = sandbox.run(act(f"import os\nos.kill(os.getpid(), 9)  # not {os.getpid()}"))
    assert (ran.ending, ran.status) == (Ending.KILLED, -9)
