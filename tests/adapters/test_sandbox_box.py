"""The real box, entered as whoever runs the tests: what works inside, and how everything ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.acting_harness import act, acting_harness

from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.model import Ending, SandboxLevel

needs_box = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed: apt-get install bubblewrap"
)
pytestmark = needs_box

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("box")
    sandbox = BwrapSandbox(folder / "state", harness=acting_harness(folder / "harness"))
    found = BwrapSandbox(folder / "state").findings()
    assert found.level is SandboxLevel.FULL, (found.missing, found.remedy)
    return sandbox


def command_lines() -> dict[str, bytes]:
    """Return the command lines of all processes by pid."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found[process.name] = (process / "cmdline").read_bytes()
        except OSError:
            continue
    return found


def alive(mark: str) -> list[str]:
    """Return the pids of processes whose command line holds `mark`."""
    return [pid for pid, line in command_lines().items() if mark.encode() in line]


def programs(harness: Path) -> list[str]:
    """Return the pids of programs of a harness, without the processes that build the box."""
    boot = f"\0{harness}/boot.py\0".encode()
    builders = (b"bwrap", b"/bin/sh", b"env", b"unshare", b"setpriv")
    lines = command_lines().items()
    return [pid for pid, line in lines if boot in line and not line.startswith(builders)]


def wait_until(holds, seconds: float = 5.0) -> bool:
    """Ask for so many seconds at most."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


WORKS = {
    "subprocess": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)",
    "shell": "import subprocess\nassert subprocess.check_output('echo hi', shell=True) == b'hi\\n'",
    "threads": "import threading\n[threading.Thread(target=print).start() for _ in range(40)]",
    "asyncio": "import asyncio\nasyncio.run(asyncio.create_subprocess_exec('true'))",
    "sqlite": "import sqlite3\nsqlite3.connect('x.db').execute('create table t (x)')",
    "multiprocessing": (
        "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: p.map(abs, [1, 2])"
    ),
    "shared_memory": (
        "from multiprocessing.shared_memory import SharedMemory as S\n"
        "s = S(create=True, size=99); s.close(); s.unlink()"
    ),
    "loopback": (
        "import socket\ns = socket.create_server(('localhost', 0))\n"
        "socket.create_connection(('localhost', s.getsockname()[1])).close()"
    ),
    "fifo": "import os\nos.mkfifo('pipe')",
    "tempfile": "import tempfile\ntempfile.NamedTemporaryFile().write(b'x')",
    "user": "import getpass, pathlib\nassert getpass.getuser() == 'product'; pathlib.Path.home()",
    "pytest": "import pytest\nassert pytest.main(['-q', '-p', 'no:cacheprovider', '.']) == 5",
    "zone": "import zoneinfo\nzoneinfo.ZoneInfo('UTC')",
}


@pytest.mark.parametrize("name", WORKS)
def test_what_honest_products_do_works_inside(sandbox, name):
    ran = sandbox.run(act(WORKS[name] + "\nemit({'done': True})"))
    assert (ran.ending, ran.status, ran.lines) == (Ending.EXITED, 0, ({"done": True},)), ran.stderr


def test_a_closed_tree_of_the_callers_is_seen_and_left_alone(sandbox, tmp_path):
    tree = tmp_path / "tree"
    (tree / "pkg").mkdir(parents=True)
    (tree / "pkg" / "mod.py").write_text("X = 1\n")
    (tree / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (tree / "run.sh").chmod(0o700)
    (tree / "pkg" / "mod.py").chmod(0o600)
    tree.chmod(0o700)
    code = (
        "import subprocess, pkg.mod, pkg.new\nopen('pkg/mod.py', 'w').write('broken')\n"
        "emit({'x': pkg.mod.X + pkg.new.Y, 'sh': subprocess.check_output('./run.sh').decode()})"
    )
    ran = sandbox.run(act(code, tree=tree, overlay={"pkg/new.py": "Y = 2\n"}))
    assert ran.lines == ({"x": 3, "sh": "ran\n"},), ran.stderr
    assert (tree / "pkg" / "mod.py").read_text() == "X = 1\n"
    assert sorted(path.name for path in (tree / "pkg").iterdir()) == ["mod.py"]
    assert oct(tree.stat().st_mode & 0o777) == "0o700"


def test_equal_seeds_hash_alike_and_other_seeds_do_not(sandbox):
    seeds = [
        sandbox.run(act("emit({'hash': hash('word')})", hash_seed=seed)).lines for seed in (1, 1, 2)
    ]
    assert seeds[0] == seeds[1] != seeds[2]


def test_the_inside_sees_no_variable_of_ours_and_no_descriptor(sandbox):
    code = (
        "import os\n"
        "emit({'names': sorted(os.environ), 'open': sorted(os.listdir('/proc/self/fd'))})"
    )
    (line,) = sandbox.run(act(code)).lines
    assert not {"SUDO_USER", "SSH_AUTH_SOCK", "PYTEST_CURRENT_TEST", "USER"} & set(line["names"])
    assert len([number for number in line["open"] if int(number) < 90]) <= 5


def test_setsid_grandchildren_that_ignore_signals_die_at_the_deadline(sandbox):
    mark = f"stubborn-{os.getpid()}"
    code = f"""
import os, signal, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)
            loop = 'trap "" TERM HUP INT; while :; do sleep 9; done'
            os.execv('/bin/sh', ['sh', '-c', loop, '{mark}'])
        os._exit(0)
signal.signal(15, signal.SIG_IGN)
emit({{'up': 3}})
time.sleep(60)
"""
    ran = sandbox.run(act(code, seconds=1.5), lambda _line: None)
    assert (ran.ending, ran.lines) == (Ending.TIMED_OUT, ({"up": 3},))
    assert ran.seconds < 2.5
    assert alive(mark) == []


def test_a_daemon_dies_with_its_box(sandbox):
    mark = f"daemon-{os.getpid()}"
    code = (
        "import os\nif os.fork() == 0:\n    os.setsid()\n"
        f"    os.execv('/bin/sh', ['sh', '-c', 'sleep 60; :', '{mark}'])"
    )
    ran = sandbox.run(act(code))
    assert (ran.ending, ran.status) == (Ending.EXITED, 0)
    assert ran.seconds < 5
    assert alive(mark) == []


def test_killing_everybody_harms_nobody_outside(sandbox):
    code = (
        "import os\nfor pid in (os.getppid(), 1, -1):\n"
        "    try: os.kill(pid, 9)\n    except OSError: pass"
    )
    ran = sandbox.run(act(code))
    assert ran.ending in (Ending.KILLED, Ending.EXITED)


def test_a_flood_of_output_is_cut(sandbox):
    ran = sandbox.run(act("while True: emit({'x': 'y' * 9999})", output_bytes=MEBIBYTE, seconds=20))
    assert ran.ending is Ending.OUTPUT_CAPPED
    assert ran.seconds < 5


def test_a_fork_bomb_stays_inside(sandbox):
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    ran = sandbox.run(act(code, seconds=1.5))
    assert ran.ending in (Ending.TIMED_OUT, Ending.KILLED)
    assert ran.seconds < 8


def test_memory_held_by_several_processes_together_is_bounded(sandbox):
    code = """
import os, time
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        block = bytearray(100 * 2**20); emit({'held': os.getpid()}); time.sleep(1); os._exit(0)
    children.append(pid)
ends = [os.waitpid(pid, 0)[1] for pid in children]
emit({'survived': ends.count(0)})
"""
    ran = sandbox.run(act(code, memory_bytes=200 * MEBIBYTE, seconds=20))
    assert ran.lines[-1:] != ({"survived": 4},)
    assert "memory (the limit is 200 MiB)" in ran.stderr


def test_forks_that_share_their_memory_are_not_counted_twice(sandbox):
    code = """
import os, time
block = bytearray(b'x') * (100 * 2**20)
children = []
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        time.sleep(0.5); os._exit(0)
    children.append(pid)
emit({'ends': [os.waitpid(pid, 0)[1] for pid in children]})
"""
    ran = sandbox.run(act(code, memory_bytes=250 * MEBIBYTE))
    assert ran.lines == ({"ends": [0] * 6},), ran.stderr


def test_a_tree_too_large_for_its_place_ends_with_a_reason(sandbox, tmp_path):
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree" / "big").open("wb") as file:
        file.truncate(400 * MEBIBYTE)
    ran = sandbox.run(act("emit({'ran': 1})", tree=tmp_path / "tree"))
    assert ran.lines == ()
    assert ran.status != 0
    assert "space" in ran.stderr or "large" in ran.stderr


SUPERVISOR = """
import sys
from pathlib import Path
from fakes.acting_harness import act
from selfdrive_dagster.adapters.sandbox import BwrapSandbox

code = '''
import os, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        os.execv('/bin/sh', ['sh', '-c', 'trap "" TERM; while :; do sleep 9; done', spec['mark']])
emit({'up': True})
time.sleep(60)
'''
job = act(code, seconds=60)
job.spec['mark'] = sys.argv[3]
sandbox = BwrapSandbox(Path(sys.argv[1]), harness=Path(sys.argv[2]))
sandbox.run(job, lambda line: print('up', flush=True))
"""


def test_when_the_supervisor_is_killed_nothing_survives(sandbox):
    mark = f"after-{os.getpid()}"
    tests = Path(__file__).resolve().parents[1]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, sandbox.state_dir, sandbox.harness, mark],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"},
    )
    with supervisor:
        assert supervisor.stdout.readline() == b"up\n"
        assert wait_until(lambda: len(alive(mark)) >= 3)  # itself and the two it must not leave
        supervisor.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not alive(mark))


def test_a_supervisor_killed_while_the_box_is_built_starts_no_program(sandbox):
    """At ten moments of the start-up."""
    tests = Path(__file__).resolve().parents[1]
    for moment in range(10):
        mark = f"early-{os.getpid()}-{moment}"
        supervisor = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, sandbox.state_dir, sandbox.harness, mark],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"},
        )
        time.sleep(0.15 + 0.025 * moment)
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
        gone = lambda mark=mark: not programs(sandbox.harness) and not alive(mark)  # noqa: E731
        assert wait_until(gone, seconds=20.0)  # on a busy machine death takes its time
    time.sleep(0.5)  # what was not there yet at a look would be there now
    assert alive(f"early-{os.getpid()}-") == []
    sandbox.run(act("pass"))
    if os.geteuid() == 0:  # the next run sweeps up what bubblewrap itself may leave then
        assert alive(str(sandbox.harness)) == []
