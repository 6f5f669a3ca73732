"""A sandbox that runs nothing and answers what the test wrote down: for endings that are rare."""

from typing import Any

from selfdrive_dagster.adapters.sandbox.conversation import OnLine
from selfdrive_dagster.model import Ending, Job, Ran, SandboxLevel


class ScriptedSandbox:
    """Implements `model.Sandbox`: one prepared answer a job, in order. `jobs` keeps the jobs."""

    def __init__(self, *answers: Ran) -> None:
        self.answers = list(answers)
        self.jobs: list[Job] = []

    def level(self) -> SandboxLevel:
        return SandboxLevel.FULL

    def run(self, job: Job, on_line: OnLine | None = None) -> Ran:
        self.jobs.append(job)
        answer = self.answers.pop(0)
        for line in answer.lines:
            if on_line is not None:
                on_line(line)
        return answer


def answer(*lines: dict[str, Any], ending: Ending = Ending.EXITED, status: int = 0) -> Ran:
    """Return what came back of one job."""
    return Ran(
        ending=ending,
        status=status,
        lines=lines,
        stderr="",
        seconds=0.1,
        level=SandboxLevel.FULL,
    )
