"""The first program inside: work copy, overlay, limits, and where output goes."""

import json
import os
import subprocess
import sys

import pytest

from selfdrive_dagster.adapters.sandbox.request import HARNESS

PROGRAM = """
import os, sys, subprocess

def main(spec, emit):
    {body}
    return spec.get("status", 0)
"""


@pytest.fixture
def boot(tmp_path):
    """Boot a program whose body is given, beside a copy of the real boot.py."""

    def run(body, *, status=0, tree=None, overlay=None, roots=(".",), limits=None, fresh=True):
        harness = tmp_path / "harness"
        harness.mkdir(exist_ok=True)
        (harness / "boot.py").write_text((HARNESS / "boot.py").read_text())
        (harness / "helper.py").write_text("WORD = 'shared'\n")
        (harness / "act.py").write_text(PROGRAM.format(body=body.replace("\n", "\n    ")))
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        request = {
            "program": "act",
            "spec": {"status": status},
            "overlay": overlay or {},
            "import_roots": list(roots),
            "tree": str(tree or ""),
            "work": str(work),
            "limits": limits or {},
        }
        done = subprocess.run(
            [sys.executable, "-s", "-B", str(harness / "boot.py")],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=30,
            env={"TMPDIR": str(tmp_path), "PYTHONHASHSEED": "7"},
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        return done.returncode, lines, done.stderr, work

    return run


def test_it_returns_the_programs_status_and_lines(boot):
    status, lines, _errors, _work = boot("emit({'at': 1})\nemit({'at': 2})", status=5)
    assert (status, lines) == (5, [{"at": 1}, {"at": 2}])


def test_what_the_product_prints_never_reaches_the_result_pipe(boot):
    body = "print('hello', flush=True); os.write(1, b'raw'); subprocess.run(['echo', 'child'])"
    _status, lines, errors, _work = boot(body + "\nemit({'read': sys.stdin.read()})")
    assert lines == [{"read": ""}]
    assert "hello" in errors and "raw" in errors and "child" in errors


def test_forked_children_and_threads_emit_whole_lines(boot):
    body = """import threading
text = 'x' * 200_000
children = []
for child in range(4):
    pid = os.fork()
    if not pid:
        for _ in range(5): emit({'who': child, 'text': text})
        os._exit(0)
    children.append(pid)
threads = [threading.Thread(target=emit, args=({'who': 'thread', 'text': text},)) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
[os.waitpid(pid, 0) for pid in children]"""
    _status, lines, _errors, _work = boot(body)
    assert len(lines) == 24
    assert all(len(line["text"]) == 200_000 for line in lines)


def test_the_tree_is_copied_without_git_and_special_files(boot, tmp_path):
    tree = tmp_path / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / ".git" / "config").write_text("x")
    (tree / "src").mkdir()
    (tree / "src" / "shop.py").write_text("PRICE = 3\n")
    (tree / "link").symlink_to("src/shop.py")
    os.mkfifo(tree / "pipe")
    body = "import shop; emit({'price': shop.PRICE, 'names': sorted(os.listdir('.'))})"
    _status, lines, _errors, _work = boot(body, tree=tree, roots=(".", "src"))
    assert lines == [{"price": 3, "names": ["link", "src"]}]
    assert (tree / "pipe").exists()


def test_children_of_the_product_import_from_the_work_copy(boot, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "mod.py").write_text("")
    body = "emit({'status': subprocess.run([sys.executable, '-c', 'import mod']).returncode})"
    assert boot(body, tree=tree)[1] == [{"status": 0}]


def test_programs_share_siblings_that_the_product_cannot_see(boot):
    body = """from . import helper
try:
    import act
    seen = True
except ImportError:
    seen = False
emit({'word': helper.WORD, 'seen': seen})"""
    assert boot(body)[1] == [{"word": "shared", "seen": False}]


def test_the_overlay_adds_replaces_and_deletes(boot, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "old.py").write_text("old")
    (tree / "gone.py").write_text("gone")
    overlay = {"old.py": "new\r\n", "deep/er/x.py": "é", "gone.py": None, "never.py": None}
    status, _lines, _errors, work = boot("pass", tree=tree, overlay=overlay)
    assert status == 0
    assert (work / "old.py").read_bytes() == b"new\r\n"
    assert (work / "deep/er/x.py").read_text() == "é"
    assert not (work / "gone.py").exists()
    assert (tree / "old.py").read_text() == "old"


@pytest.mark.parametrize(
    "path", ["/etc/x", "../x", "a/../../x", ".git/config", "a/.git/hooks/x", "", "a//b", "out/x"]
)
def test_an_overlay_that_would_escape_is_refused(boot, tmp_path, path):
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    (tree / "out").symlink_to(outside)
    status, lines, errors, _work = boot("emit({'ran': 1})", tree=tree, overlay={path: "evil"})
    assert (status, lines) == (98, [])
    assert "work copy could not be made" in errors
    assert not list(outside.iterdir())


def test_limits_hold_and_are_hard(boot):
    body = """import resource
try:
    wrote = open('big', 'wb', 0).write(b'x' * 5000)
    open('big', 'ab', 0).write(b'y')
    why = None
except OSError as error:
    why = error.strerror
emit({'wrote': wrote, 'why': why, 'hard': resource.getrlimit(resource.RLIMIT_NOFILE)})"""
    lines = boot(body, limits={"fsize": 1000, "nofile": 64, "core": 0})[1]
    assert lines == [{"wrote": 1000, "why": "File too large", "hard": [64, 64]}]


def test_a_program_that_raises_leaves_its_traceback_and_status(boot):
    status, _lines, errors, _work = boot("raise SystemExit('product said stop')")
    assert status == 97
    assert "product said stop" in errors


def test_the_hash_seed_is_obeyed(boot):
    body = "emit({'hash': hash('a'), 'flag': sys.flags.hash_randomization})"
    assert boot(body)[1] == boot(body)[1]


def test_a_waiting_thread_does_not_keep_the_program_from_ending(boot):
    body = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    assert boot(body)[0] == 0
