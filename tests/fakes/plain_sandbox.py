"""A sandbox that guards nothing: the same first program and the same pipes, in a plain process.

For tests of the harness programs and of the domain, where the code under test is our own. It
mirrors `adapters/sandbox`; `level` is whatever the test says, so that both ways can be driven.
"""

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from selfdrive_dagster.adapters.sandbox.conversation import Conversation, OnLine
from selfdrive_dagster.adapters.sandbox.request import HARNESS, boot_request, command, environment
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import Job, Ran, SandboxLevel


class PlainSandbox:
    """Implements `model.Sandbox` without any protection. `jobs` keeps what was asked of it."""

    def __init__(self, level: SandboxLevel = SandboxLevel.FULL, *, harness: Path = HARNESS) -> None:
        self.claimed = level
        self.harness = harness
        self.jobs: list[Job] = []

    def level(self) -> SandboxLevel:
        return self.claimed

    def run(self, job: Job, on_line: OnLine | None = None) -> Ran:
        if self.claimed is not SandboxLevel.FULL:
            raise Refused("the sandbox is not full", remedy="this is a test: claim FULL")
        self.jobs.append(job)
        with tempfile.TemporaryDirectory(prefix="plain-sandbox-") as folder:
            return self._run_in(Path(folder), job, on_line)

    def _run_in(self, folder: Path, job: Job, on_line: OnLine | None) -> Ran:
        work, home = folder / "work", folder / "home"
        work.mkdir()
        home.mkdir()
        request = boot_request(job, tree=job.tree, work=str(work), limits={"core": 0})
        process = subprocess.Popen(
            command(job.python, self.harness),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(job, str(home)),
            cwd=folder,
            start_new_session=True,
        )

        def kill() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        with process:
            talk = Conversation(
                process, kill, on_line, seconds=job.seconds, output_bytes=job.output_bytes
            )
            heard = talk.hold(request)
        return Ran(
            ending=heard.ending,
            status=heard.status,
            lines=heard.lines,
            stderr=heard.stderr,
            seconds=heard.seconds,
            level=self.claimed,
        )
