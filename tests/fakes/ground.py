"""Where a model's answer is tried and judged: a product, and a crash reproduced once."""

import json
from collections.abc import Sequence
from typing import Any

from fakes.models import TERMS, OpenPurse, Scripted

from selfdrive_dagster.adapters.folder import NoHistory
from selfdrive_dagster.model import Crash, Product, Result, Verdict
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.asking.questions import Answer
from selfdrive_dagster.patches.diagnosis.localise import coverage_of
from selfdrive_dagster.patches.search import search_if_reproduced
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.validation.gate import prove_if_reproduced
from tests.fakes.plain_sandbox import PlainSandbox

Edits = Sequence[dict[str, Any]]


class Ground:
    """A crash of a product, reproduced once for all answers."""

    def __init__(self, product: Product, base: SuiteRun, crash: Crash) -> None:
        self.product, self.sandbox, self.base = product, PlainSandbox(), base
        coverage = coverage_of(base)
        self.diagnosis = diagnose(product, NoHistory(), crash=crash, coverage=coverage)
        self.reproduction = reproduce(self.diagnosis, product, self.sandbox, coverage=coverage)

    def verdicts(self, edits: Edits) -> tuple[str, list[tuple[Verdict, str]]]:
        """Return what became of a model's draft, and the gate's verdicts if it came so far."""
        draft = {"explanation": "", "invents": "ships for nothing", "edits": edits}
        text = json.dumps({"drafts": [draft]})
        model = Scripted([Answer(result=Result.ANSWERED, text=text, model=TERMS.model)])
        found = search_if_reproduced(
            self.diagnosis,
            self.reproduction,
            self.base,
            self.product,
            self.sandbox,
            max_candidates=3,
            seconds=60,
            proposers=(Claude(model, OpenPurse(), TERMS),),
        )
        proof = prove_if_reproduced(
            found.plausible, self.reproduction, self.base, self.product, self.sandbox
        )
        fate = found.asks[0].says or f"tried: {found.outcomes}"
        return fate, [(one.verdict, one.reason) for one in proof.reports]
