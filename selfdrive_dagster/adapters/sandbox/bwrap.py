"""The sandbox: bubblewrap after the privileges are gone, seccomp, sized tmpfs, a memory fence.

A job may run only at the level that was required, and the level comes from running the probes,
never from `which bwrap`. What a box looks like stands in `box.py`, how root enters it in
`launch.py`, who counts its memory in `fences.py`. The kernel is shared: a hole in it is a hole
here.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from selfdrive_dagster.adapters.sandbox import cgroups, launch, seccomp
from selfdrive_dagster.adapters.sandbox.box import (
    ETC,
    TEMPORARY,
    TREE,
    WORK,
    Bind,
    Sizes,
    box,
    in_memory,
)
from selfdrive_dagster.adapters.sandbox.conversation import Conversation, Heard, OnLine
from selfdrive_dagster.adapters.sandbox.fences import Fence, find_fence, launcher_environment
from selfdrive_dagster.adapters.sandbox.interpreter import prefixes, unreadable_by_others
from selfdrive_dagster.adapters.sandbox.namespace import ended
from selfdrive_dagster.adapters.sandbox.probes import Findings, ProbeResult, examine
from selfdrive_dagster.adapters.sandbox.request import (
    HARNESS,
    PROCESSES,
    boot_request,
    command,
    environment,
    limits_inside,
)
from selfdrive_dagster.adapters.sandbox.slots import slot
from selfdrive_dagster.adapters.sandbox.watchdog import Watchdog
from selfdrive_dagster.errors import Refused, SelfdriveError
from selfdrive_dagster.model import Ending, Job, Ran, SandboxLevel

UIDS = range(64_000, 64_004)
"""Users that root lends to jobs, one each: RLIMIT_NPROC and signals go by user."""

RANK = (SandboxLevel.NONE, SandboxLevel.PARTIAL, SandboxLevel.FULL)
MEBIBYTE = 2**20


class BwrapSandbox:
    """Implements `model.Sandbox`. `state_dir` (ours, mode 0700) keeps locks and the level."""

    def __init__(
        self,
        state_dir: Path,
        require: SandboxLevel = SandboxLevel.FULL,
        *,
        uids: range = UIDS,
        sizes: Sizes | None = None,
        harness: Path = HARNESS,
    ) -> None:
        self.state_dir = state_dir
        self.require = require
        self.uids = uids
        self.sizes = sizes or Sizes()
        self.harness = harness
        self._findings: Findings | None = None
        self._fence: Fence | None = None

    def level(self) -> SandboxLevel:
        """Return what the probes proved on this machine, this boot; the first call runs them."""
        return self.findings().level

    def probe_results(self) -> tuple[ProbeResult, ...]:
        """Return every probe with its outcome, for `doctor`."""
        return self.findings().results

    def findings(self) -> Findings:
        """Return level, probes, and what is missing with its remedy."""
        if self._findings is None:
            self._findings = examine(self, self.state_dir)
        return self._findings

    def fence(self) -> Fence:
        """Return who keeps the memory limit here."""
        if self._fence is None:
            self._fence = find_fence()
        return self._fence

    def run(self, job: Job, on_line: OnLine | None = None) -> Ran:
        """Run one job to its end. Raises Refused, and starts nothing, below the required level."""
        found = self.findings()
        if RANK.index(found.level) < RANK.index(self.require):
            raise Refused(
                f"the sandbox is {found.level.value}, {self.require.value} is required: "
                f"{found.missing}; nothing was run",
                remedy=found.remedy,
            )
        return self.run_unchecked(job, on_line, self.sizes, found.level)

    def run_unchecked(
        self,
        job: Job,
        on_line: OnLine | None,
        sizes: Sizes,
        level: SandboxLevel,
        marks: dict[str, str] | None = None,
    ) -> Ran:
        """Run a job whatever the level: only for the probes, which find out what it is.

        `marks` are put into the launcher's environment, where the inside must not find them.
        """
        request = boot_request(
            job, tree=TREE if job.tree else "", work=WORK, limits=limits_inside(job)
        )
        with contextlib.ExitStack() as stack:
            groups = self._groups(stack, job)
            process, status = self._start(stack, job, sizes, groups, marks or {})
            notes: list[str] = []

            def kill() -> None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if groups is not None:
                    groups.kill()

            talk = Conversation(
                process,
                kill,
                on_line,
                seconds=job.seconds,
                output_bytes=job.output_bytes,
                ready=status,
            )
            if groups is None and self.fence() is Fence.WATCHDOG:
                limit = job.memory_bytes
                with Watchdog(process.pid, limit, process.kill) as dog:
                    heard = talk.hold(request)
                if dog.bit:
                    notes.append(f"killed at {dog.highest // MEBIBYTE} MiB of memory")
            else:
                heard = talk.hold(request)
            if groups is not None and groups.killed_for_memory():
                notes.append(f"{groups.killed_for_memory()} processes killed for memory")
            self._verify_gone(talk, groups)
        return _ran(heard, notes, job, level)

    def _groups(self, stack: contextlib.ExitStack, job: Job) -> cgroups.Groups | None:
        if self.fence() is not Fence.CGROUP:
            return None
        groups = cgroups.create(job.memory_bytes, 2 * PROCESSES)
        if groups is None:
            raise SelfdriveError(
                "the cgroups of the sandbox could not be made, though they could before",
                remedy="look whether /sys/fs/cgroup is still writable",
            )
        stack.callback(groups.clear)
        return groups

    def _start(
        self,
        stack: contextlib.ExitStack,
        job: Job,
        sizes: Sizes,
        groups: cgroups.Groups | None,
        marks: dict[str, str],
    ) -> tuple["subprocess.Popen[bytes]", int]:
        watched = self.fence() is Fence.WATCHDOG
        filter_file = _held(stack, in_memory("seccomp", seccomp.assemble(counted_only=watched)))
        etc = {name: _held(stack, in_memory(name, text.encode())) for name, text in ETC.items()}
        reading, writing = os.pipe()
        _held(stack, reading)
        enter, binds = self._way_in(stack, job, sizes, groups)
        walls = box(
            binds,
            environment(job, TEMPORARY),
            sizes,
            seccomp=filter_file,
            status=writing,
            etc=etc,
        )
        with _closing(writing):
            process = subprocess.Popen(
                [*enter, *walls, *command(job.python, self.harness)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**launcher_environment(), **marks},
                cwd="/",
                start_new_session=True,
                pass_fds=(filter_file, writing, *etc.values()),
            )
        stack.enter_context(process)
        return process, reading

    def _way_in(
        self,
        stack: contextlib.ExitStack,
        job: Job,
        sizes: Sizes,
        groups: cgroups.Groups | None,
    ) -> tuple[list[str], list[Bind]]:
        """Return the command prefix, and the binds as bubblewrap will find them."""
        binds = [
            *(Bind(source=str(one.source), path=str(one.path)) for one in prefixes(job.python)),
            Bind(source=str(self.harness), path=str(self.harness)),
        ]
        tree = Path(job.tree).resolve() if job.tree else None
        if os.geteuid() == 0:
            _refuse_hidden(job.python)
            uid = stack.enter_context(slot(self.state_dir, self.uids))
            doors = groups.doors() if groups else []
            enter = launch.as_lesser_user(uid, binds, str(tree or ""), sizes.work, doors)
            shown = launch.staged(binds)
            return enter, [*shown, *_tree(launch.STAGE / "tree" if tree else None)]
        scoped = self.fence() is Fence.SCOPE
        enter = launch.in_a_scope(job.memory_bytes, 2 * PROCESSES) if scoped else []
        return enter, [*binds, *_tree(tree)]

    def _verify_gone(self, talk: Conversation, groups: cgroups.Groups | None) -> None:
        if not ended(talk.said_ready) or (groups is not None and not groups.clear()):
            raise SelfdriveError(
                "processes of a sandboxed job are still alive after they were killed",
                remedy="look for them with `ps -ef | grep boot.py` and report this as an incident",
            )


def _held(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def _tree(source: Path | None) -> list[Bind]:
    return [] if source is None else [Bind(source=str(source), path=TREE)]


def _refuse_hidden(python: str) -> None:
    hidden = unreadable_by_others(python)
    if hidden is not None:
        raise Refused(
            f"root gives its identity away in the sandbox, and others may not read {hidden}",
            remedy=f"chmod -R go+rX {hidden}, or make the environment with umask 022",
        )


def _ran(heard: Heard, notes: list[str], job: Job, level: SandboxLevel) -> Ran:
    """Return what was heard; bubblewrap tells a death by signal as 128 plus its number."""
    died = heard.ending is Ending.EXITED and heard.status > 128
    limit = f"the limit is {job.memory_bytes // MEBIBYTE} MiB"
    said = "".join(f"\n[sandbox] {note} ({limit})\n" for note in notes)
    return Ran(
        ending=Ending.KILLED if died else heard.ending,
        status=128 - heard.status if died else heard.status,
        lines=heard.lines,
        stderr=heard.stderr + said,
        seconds=heard.seconds,
        level=level,
    )
