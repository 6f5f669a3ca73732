"""Services behind their guardians: real processes, real signals, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from fakes.selfdrive_program import ROOT

from selfdrive_dagster.adapters.processes import Crew, Service, end_all, held, leftovers
from selfdrive_dagster.errors import Busy, SelfdriveError
from selfdrive_dagster.model import silent

FAMILY = """
import os, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(99)"
subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(99)
    os._exit(0)
print("here", flush=True)
time.sleep(99)
"""
"""A program with a child that ignores SIGTERM in a session of its own, and an orphan."""


def wait_until(true: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "home").mkdir(mode=0o700)
    yield tmp_path / "home"
    assert end_all(tmp_path / "home") == 0, "the test left processes behind"


def service(home: Path, code: str, *, name: str = "family", **more: object) -> Service:
    ready = home / "logs" / f"{name}.log"
    return Service(
        name=name,
        command=(sys.executable, "-c", code),
        environ={"PATH": os.environ["PATH"], "SECRET": "hunter2"},
        is_ready=lambda: "here" in ready.read_text(),
        grace_seconds=0.5,
        **more,
    )


def count(home: Path) -> int:
    return len(leftovers(home))


FAMILY_SIZE = 4  # guardian, program, stubborn child, orphan


def test_a_stopped_service_takes_its_family_along(home: Path) -> None:
    crew = Crew(home, silent)
    crew.start(service(home, FAMILY))
    crew.wait_ready(["family"], 10)
    wait_until(lambda: count(home) == FAMILY_SIZE)
    begun = time.monotonic()
    crew.stop("family", "unknown")
    assert count(home) == 0
    assert time.monotonic() - begun < 5
    assert " family | here\n" in (home / "logs" / "family.log").read_text()


OWNER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from adapters.test_processes import FAMILY, service
from selfdrive_dagster.adapters.processes import Crew, held
home = Path({home!r})
with held(home):
    crew = Crew(home, lambda _: None)
    crew.start(service(home, FAMILY))
    crew.wait_ready(["family"], 10)
    print("ready", flush=True)
    time.sleep(99)
"""


def test_a_killed_owner_leaves_nothing_and_its_lock_is_free(home: Path) -> None:
    code = OWNER.format(tests=str(ROOT / "tests"), home=str(home))
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=-1) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        with pytest.raises(Busy, match=f"process {owner.pid}, since ") as busy, held(home):
            pass
        assert busy.value.exit_code == 5
        owner.kill()
    wait_until(lambda: count(home) == 0, 5)
    with held(home) as holder:
        assert holder.pid == os.getpid()


def test_a_killed_guardian_is_replaced_and_its_orphans_end(home: Path) -> None:
    crew = Crew(home, silent)
    crew.start(service(home, FAMILY))
    crew.wait_ready(["family"], 10)
    wait_until(lambda: count(home) == FAMILY_SIZE)
    before = {process.pid for process in leftovers(home)}
    guardian = next(p for p in leftovers(home) if p.ppid() == os.getpid())
    guardian.kill()
    wait_until(lambda: crew.mend() == ("family",))
    assert not before & {process.pid for process in leftovers(home)}
    wait_until(lambda: count(home) == FAMILY_SIZE)
    crew.stop("family")
    assert count(home) == 0


def test_a_service_that_ends_at_once_is_told_with_its_last_words(home: Path) -> None:
    crew = Crew(home, silent)
    crew.start(service(home, "raise SystemExit('no such thing')"))
    with pytest.raises(SelfdriveError, match="no such thing") as caught:
        crew.wait_ready(["family"], 10)
    assert str(home / "logs" / "family.log") in caught.value.remedy
    crew.stop("family")


def test_a_service_that_keeps_ending_ends_the_loop(home: Path) -> None:
    crew = Crew(home, silent, pauses=(0.0, 0.0))
    crew.start(service(home, "print('here')"))
    with pytest.raises(SelfdriveError, match="ended 3 times"):
        wait_until(lambda: crew.mend() and False)
    assert (home / "logs" / "family.log").read_text().count("ended with status 0") == 3
    crew.stop("family")


def test_a_service_that_hangs_is_not_waited_for(home: Path) -> None:
    crew = Crew(home, silent)
    crew.start(service(home, "import time; print('almost', flush=True); time.sleep(99)"))
    with pytest.raises(SelfdriveError, match="is not ready after 0 s"):
        crew.wait_ready(["family"], 0.3)
    crew.stop("family")


def test_secrets_stand_in_no_process_list(home: Path) -> None:
    crew = Crew(home, silent)
    code = "import sys, time; print(len(sys.stdin.read()), 'here', flush=True); time.sleep(99)"
    crew.start(service(home, code, input="swordfish"))
    crew.wait_ready(["family"], 10)
    assert "9 here" in (home / "logs" / "family.log").read_text()
    lines = [" ".join(process.cmdline()) for process in leftovers(home)]
    assert len(lines) == 2
    assert not any(word in line for line in lines for word in ("swordfish", "hunter2"))
    crew.stop("family")


def test_logs_are_plain_and_bounded_and_the_earlier_one_is_kept(home: Path) -> None:
    (home / "logs").mkdir()
    log, earlier = home / "logs" / "family.log", home / "logs" / "family.log.1"
    log.write_text("of an earlier boot\n")
    crew = Crew(home, silent)
    crew.start(service(home, r"print('\x1b[31mred\x1b[0m\nhere', flush=True)"))
    assert earlier.read_text() == "of an earlier boot\n"
    wait_until(lambda: "ended with status 0" in log.read_text())
    assert " | red\n" in log.read_text()
    crew.stop("family")
    crew.start(service(home, "for n in range(110_000): print('x' * 100, n)"))
    wait_until(lambda: "ended with status 0" in log.read_text()[-100:], 30)
    assert 8 * 2**20 <= earlier.stat().st_size < 9 * 2**20
    assert log.stat().st_size < 9 * 2**20
    crew.stop("family")


def test_other_homes_are_spared(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    crew, theirs = Crew(home, silent), Crew(other, silent)
    for one, where in ((crew, home), (theirs, other)):
        one.start(service(where, "import time; print('here', flush=True); time.sleep(99)"))
        one.wait_ready(["family"], 10)
    assert end_all(home) > 0
    assert count(home) == 0
    assert [p.status() != psutil.STATUS_ZOMBIE for p in leftovers(other)] == [True, True]
    crew.stop("family")
    theirs.stop("family")


def test_the_terminal_s_ctrl_c_is_not_the_services(home: Path) -> None:
    crew = Crew(home, silent)
    crew.start(service(home, "import time; print('here', flush=True); time.sleep(99)"))
    crew.wait_ready(["family"], 10)
    groups = {os.getpgid(process.pid) for process in leftovers(home)}
    assert os.getpgid(0) not in groups
    for group in groups:
        os.killpg(group, signal.SIGINT)  # and even then everything ends in order
    wait_until(lambda: count(home) == 0)
    crew.stop("family")
