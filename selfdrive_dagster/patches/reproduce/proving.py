"""Does a draft reproduce? Run it on the base revision, twice, and compare with the record.

A draft counts when the recorded type escapes from the recorded function, at the recorded
statement if the code has not moved since, in two processes with different hash seeds.
Belongs here: the comparison. Does not belong: how drafts are made.
"""

import msgspec

from selfdrive_dagster.model import Diagnosis, Ending, FrameFinding, Product, Sandbox
from selfdrive_dagster.patches.reproduce.draft import Draft
from selfdrive_dagster.patches.suite import SuiteRun, TestResult, run_suite
from selfdrive_dagster.patches.syntax import Tree, last_name, named_function

SECONDS = 120.0
REPRODUCED = "raises the recorded exception in the recorded function, twice in a row"
SURROUNDINGS = "seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC"
"""What a test says of the processes that it was proven in (`adapters/sandbox/request.py`)."""

ONCE = "raises the recorded exception in the recorded function, in the one run it was given"


class Proof(msgspec.Struct, frozen=True):
    """The tests of a draft that reproduce (none: it does not), and why in plain words."""

    node_ids: tuple[str, ...]
    outcome: str

    @property
    def confirmed(self) -> bool:
        """Say whether two processes with different hash seeds agreed; one is not enough."""
        return bool(self.node_ids) and self.outcome == REPRODUCED


def prove(
    drafts: tuple[Draft, ...],
    diagnosis: Diagnosis,
    product: Product,
    sandbox: Sandbox,
) -> dict[str, Proof]:
    """Run drafts together, by path; those that reproduce run again, alone, until one is confirmed.

    What comes behind the confirmed one keeps the word of its single run, and is never taken.
    """
    tree = Tree(product)
    proofs = judge(drafts, diagnosis, product, sandbox)
    for draft in drafts:
        if proofs[draft.path].node_ids:
            again = _run((draft,), product, sandbox, hash_seed=1)
            proofs[draft.path] = _confirm(proofs[draft.path], _judge(draft, again, diagnosis, tree))
        if proofs[draft.path].confirmed:
            break  # drafts come best first: the first that holds is the answer
    return proofs


def judge(
    drafts: tuple[Draft, ...],
    diagnosis: Diagnosis,
    product: Product,
    sandbox: Sandbox,
) -> dict[str, Proof]:
    """Run drafts together, once, and compare each with the record; by path."""
    tree = Tree(product)
    run = _run(drafts, product, sandbox, hash_seed=0)
    return {draft.path: _judge(draft, run, diagnosis, tree) for draft in drafts}


def _run(drafts: tuple[Draft, ...], product: Product, sandbox: Sandbox, hash_seed: int) -> SuiteRun:
    return run_suite(
        product,
        sandbox,
        node_ids=tuple(draft.path for draft in drafts),
        overlay={draft.path: draft.source for draft in drafts},
        hash_seed=hash_seed,
        seconds=SECONDS,
    )


def _confirm(first: Proof, second: Proof) -> Proof:
    if set(first.node_ids) == set(second.node_ids):
        return Proof(first.node_ids, REPRODUCED)
    told = "with other tests" if second.node_ids else second.outcome
    return Proof((), f"reproduced once, but not again ({told})")


def _judge(draft: Draft, run: SuiteRun, diagnosis: Diagnosis, tree: Tree) -> Proof:
    own = {i: test for i, test in run.tests.items() if i.partition("::")[0] == draft.path}
    if not own:
        return Proof((), _nothing_ran(draft, run))
    judged = {node_id: mismatch(test, diagnosis, tree) for node_id, test in own.items()}
    matching = tuple(node_id for node_id, reason in judged.items() if not reason)
    if matching:
        return Proof(matching, ONCE)
    return Proof((), next(iter(judged.values())))


def _nothing_ran(draft: Draft, run: SuiteRun) -> str:
    if run.ending is not Ending.EXITED:
        return f"the run ended early: {run.ending.value}"
    faults = [fault for fault in run.errors if fault.startswith(draft.path)]
    told = " ".join((faults[0] if faults else run.stderr[-300:]).split())
    return f"the test could not be collected: {ascii(told[-300:])[1:-1]}"


def mismatch(test: TestResult, diagnosis: Diagnosis, tree: Tree) -> str:
    """Return how a test's ending differs from the recorded crash, "" when it does not."""
    if test.outcome not in ("failed", "error"):
        return f"did not fail: the test {test.outcome}"
    recorded = last_name(diagnosis.exception_type)
    raised = last_name(test.exception_type)
    inner = diagnosis.frames[0]
    here = [
        frame for frame in test.frames if frame.path == inner.path and _same(frame.function, inner)
    ]
    if raised != recorded:
        where = f" in {test.frames[-1].function}" if test.frames else ""
        return f"it raised {raised}{where}, not {recorded}"
    if not here:
        return f"it raised {recorded}, but not in {inner.function}"
    if not inner.drifted and not any(_one_statement(tree, inner, frame.line) for frame in here):
        return f"it raised {recorded} at line {here[-1].line} of {inner.path}, not {inner.line}"
    return ""


def _same(function: str, finding: FrameFinding) -> bool:
    """Compare qualified names; code without a name counts as the function around it."""
    outer = named_function(function)
    return outer == finding.function or ("." not in outer and outer == last_name(finding.function))


def _one_statement(tree: Tree, finding: FrameFinding, line: int) -> bool:
    """Say whether two lines belong to one simple statement: versions of Python differ in that."""
    if line == finding.line:
        return True
    module = tree.module(finding.path)
    return module is not None and any(
        start <= min(line, finding.line) and max(line, finding.line) <= end
        for start, end in module.simple_statements
    )
