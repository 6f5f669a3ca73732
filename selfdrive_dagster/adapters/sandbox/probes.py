"""What level the sandbox has: found by attacking it, kept for this boot.

Each probe is a hostile act inside (`harness/hostile.py`) that must not work. All held is FULL,
some worked is PARTIAL, no box at all is NONE. Only FULL is remembered, by everything that could
change it; a machine that was mended is tried again.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from selfdrive_dagster.adapters.sandbox import seccomp
from selfdrive_dagster.adapters.sandbox.box import TREE, Sizes
from selfdrive_dagster.adapters.sandbox.conversation import OnLine
from selfdrive_dagster.adapters.sandbox.fences import Fence
from selfdrive_dagster.adapters.sandbox.interpreter import prefixes
from selfdrive_dagster.adapters.sandbox.missing import find_missing
from selfdrive_dagster.adapters.sandbox.outside import Outside, set_out
from selfdrive_dagster.adapters.sandbox.request import HARNESS, PROCESSES
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import Ending, Job, Ran, SandboxLevel, digest

MEBIBYTE = 2**20
SIZES = Sizes(work=24 * MEBIBYTE, temporary=16 * MEBIBYTE, shared_memory=8 * MEBIBYTE)
"""Small writable places for the probes, so that filling them is quick."""

GENTLE_BYTES, BOMB_BYTES = 512 * MEBIBYTE, 160 * MEBIBYTE
"""Memory limits: roomy where others are tried, small where memory is."""

SECONDS = 60.0
CACHE = "sandbox-level.json"

GENTLE = (
    *("capabilities", "read_public", "read_private", "follow_symlink", "list_home", "read_shadow"),
    *("write_outside", "write_usr", "write_interpreter", "write_harness", "write_tree"),
    *("loopback", "host_address", "udp_out", "abstract_socket", "path_socket", "virtual_socket"),
    *("environment", "others_environment", "see_processes", "kill_victim", "trace"),
    *("leaked_descriptor", "nested_namespace", "join_namespace", "mount", "core_pattern"),
    *("keyring", "io_uring", "bpf", "type_for_others"),
    *("fill_work", "fill_temporary", "fill_shared", "fill_devices", "fill_root"),
    *("fork_many", "orphan"),
)
BOMBS = ("memory_hidden", "memory_one", "memory_many")
"""Each may bring its whole sandbox down, so each gets one of its own."""


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """One hostile act; `passed` means it was held, `says` how or what it got."""

    name: str
    passed: bool
    says: str


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The level, every probe behind it, and what is missing with the command that mends it."""

    level: SandboxLevel
    results: tuple[ProbeResult, ...] = ()
    missing: str = ""
    remedy: str = ""
    fence: str = ""


class _Remembered(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    findings: Findings


class Probed(Protocol):
    """A sandbox that can be tried before its level is known."""

    def fence(self) -> Fence:
        """Return who keeps the memory limit."""
        ...

    def run_unchecked(
        self,
        job: Job,
        on_line: OnLine | None,
        sizes: Sizes,
        level: SandboxLevel,
        marks: dict[str, str] | None = None,
    ) -> Ran:
        """Run a probing job."""
        ...


def examine(sandbox: Probed, state_dir: Path) -> Findings:
    """Return this boot's findings, from memory or by running every probe."""
    reason = find_missing("") if not _has_bwrap() else None
    if reason:
        return Findings(level=SandboxLevel.NONE, missing=reason.piece, remedy=reason.remedy)
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    fence = sandbox.fence()
    cache, key = state_dir / CACHE, _key(fence)
    remembered = _recall(cache, key)
    if remembered:
        return remembered
    findings = _probe(sandbox, fence)
    if findings.level is SandboxLevel.FULL:
        _remember(cache, _Remembered(key=key, findings=findings))
    return findings


def _probe(sandbox: Probed, fence: Fence) -> Findings:
    """Run all probes and judge them."""
    shown = (*(prefix.path for prefix in prefixes(sys.executable)), HARNESS)
    prefix = Path(sys.prefix)
    with set_out(shown, prefix=prefix, harness=HARNESS, tree=TREE) as outside:
        try:
            greeting = _run(sandbox, outside, ())
        except Refused as refused:
            return Findings(level=SandboxLevel.NONE, missing=refused.message, remedy=refused.remedy)
        if greeting.ending is not Ending.EXITED or greeting.status != 0:
            missing = find_missing(_last_line(greeting.stderr))
            return Findings(level=SandboxLevel.NONE, missing=missing.piece, remedy=missing.remedy)
        results = judge(outside, lambda acts: _run(sandbox, outside, acts))
    return _found(results, fence)


def judge(outside: Outside, run: Callable[[tuple[str, ...]], Ran]) -> tuple[ProbeResult, ...]:
    """Let `run` try the acts, the gentle ones together, and return what came of each."""
    results = list(_read(GENTLE, run(GENTLE)))
    for bomb in BOMBS:
        results += _read((bomb,), run((bomb,)))
    for name, left in (("orphan_left", outside.orphans()), ("file_left", outside.planted())):
        results.append(ProbeResult(name=name, passed=not left, says=left or "nothing"))
    return tuple(results)


def _read(acts: Iterable[str], ran: Ran) -> Iterable[ProbeResult]:
    """Return the outcome of each act; a bomb that got its sandbox killed was held."""
    told = {line.get("probe"): line for line in ran.lines}
    for act in acts:
        line = told.get(act)
        if line is None:
            says = f"no answer: {ran.ending.value} {ran.status}: {_last_line(ran.stderr)}"
            yield ProbeResult(name=act, passed=False, says=says)
        elif line["worked"] is None:
            held = act in BOMBS and ran.ending is Ending.KILLED
            yield ProbeResult(name=act, passed=held, says=f"the sandbox ended: {ran.ending.value}")
        else:
            yield ProbeResult(name=act, passed=line["worked"] is False, says=line["says"])


def _found(results: tuple[ProbeResult, ...], fence: Fence) -> Findings:
    failed = [result for result in results if not result.passed]
    if not failed:
        return Findings(level=SandboxLevel.FULL, results=results, fence=fence.value)
    return Findings(
        level=SandboxLevel.PARTIAL,
        results=results,
        missing="; ".join(f"{result.name} got through ({result.says})" for result in failed),
        remedy="run `selfdrive doctor` and mend what its failed probes name",
        fence=fence.value,
    )


def _run(sandbox: Probed, outside: Outside, acts: tuple[str, ...]) -> Ran:
    memory_bytes = BOMB_BYTES if set(acts) & set(BOMBS) else GENTLE_BYTES
    spec = {
        **outside.spec,
        "acts": list(acts),
        "work_bytes": SIZES.work,
        "temporary_bytes": SIZES.temporary,
        "shared_bytes": SIZES.shared_memory,
        "memory_bytes": memory_bytes,
        "processes": 2 * PROCESSES,
    }
    job = Job(
        program="probe",
        tree=outside.tree,
        python=sys.executable,
        spec=spec,
        seconds=SECONDS,
        memory_bytes=memory_bytes,
    )
    marks = {"SELFDRIVE_SECRET": outside.secret}
    return sandbox.run_unchecked(job, None, SIZES, SandboxLevel.NONE, marks)


def _has_bwrap() -> bool:
    return bool(_version())


def _version() -> str:
    try:
        said = subprocess.run(
            ["bwrap", "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except OSError:
        return ""
    return said.stdout.strip()


def _key(fence: Fence) -> str:
    """Return the digest of everything that could change the level."""
    sources = (*Path(__file__).parent.glob("*.py"), *HARNESS.glob("*.py"))
    return digest(
        {
            "kernel": platform.release(),
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "uid": os.geteuid(),
            "bwrap": _version(),
            "filter": digest(seccomp.assemble(counted_only=fence is Fence.WATCHDOG)),
            "fence": fence.value,
            "interpreter": sys.executable,
            "sources": sorted(digest(source.read_bytes()) for source in sources),
        }
    )


def _recall(cache: Path, key: str) -> Findings | None:
    try:
        remembered = msgspec.json.decode(cache.read_bytes(), type=_Remembered)
    except (OSError, msgspec.MsgspecError):
        return None
    return remembered.findings if remembered.key == key else None


def _remember(cache: Path, remembered: _Remembered) -> None:
    new = cache.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(remembered))
    new.replace(cache)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
