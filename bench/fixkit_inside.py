"""Run FixKit on one product, as its README says, within a time. Runs in FixKit's own environment.

Reads one JSON object: `src`, `out`, `cov`, `excludes`, `failing` and `passing` [node id],
`approach`, `seconds` of search after localisation, `seed`. Prints lines of JSON: `localised`;
`plausible` with the files of the first candidate that passes all those tests; `end` with those of
its best after its own minimisation. Its time is counted from when it has localised.

Differences from the README's example, each needed to run at all or to be fair: `w_mut`, which the
example leaves out and the call demands (0.06, as in its own tests); node ids in place of a file of
tests; generations without end, since seconds are the budget.
"""

import json
import os
import random
import sys
import threading
import time

from fixkit.genetic.operators import Mutator
from fixkit.localization.coverage import CoverageLocalization
from fixkit.repair.pycardumen import PyCardumen
from fixkit.repair.pygenprog import PyGenProg
from fixkit.repair.pymutrepair import PyMutRepair

ENDLESS = 1_000_000
APPROACHES = {
    "PyGenProg": (PyGenProg, {"population_size": 40, "w_mut": 0.06}),
    "PyCardumen": (PyCardumen, {"population_size": 40, "w_mut": 0.06}),
    "PyMutRepair": (PyMutRepair, {"w_mut": 0.06}),
}


def emit(kind, **told):
    print(json.dumps({"kind": kind, **told}), flush=True)


class Noted(dict):
    """FixKit's table of what was evaluated, which tells of the first candidate that passes all."""

    def __init__(self, hear):
        super().__init__()
        self.hear = hear

    def __setitem__(self, mutations, fitness):
        super().__setitem__(mutations, fitness)
        if fitness >= 1 - 1e-8:
            self.hear(list(mutations))


def files_of(candidate, mutations):
    """Return {path: text} of the files that these mutations change."""
    import ast

    mutator = Mutator(candidate.statements, mutations)
    paths = {candidate.files[index] for index in mutator.get_mutation_indices()}
    return {path: ast.unparse(mutator.mutate(candidate.trees[path])) for path in sorted(paths)}


def main():
    spec = json.load(sys.stdin)
    start = time.monotonic()
    random.seed(spec["seed"])
    kind, settings = APPROACHES[spec["approach"]]
    repair = kind.from_source(
        src=spec["src"],
        excludes=spec["excludes"],
        localization=CoverageLocalization(
            spec["src"],
            cov=spec["cov"],
            metric="Ochiai",
            failing=spec["failing"],
            passing=spec["passing"],
            out=spec["out"],
        ),
        max_generations=ENDLESS,
        out=spec["out"],
        **settings,
    )
    heard = []

    def hear(mutations):
        if not heard:
            heard.append(mutations)
            files = files_of(repair.initial_candidate, mutations)
            emit("plausible", files=files, seconds=time.monotonic() - start)

    noted = Noted(hear)
    repair.fitness.pre_calculated = noted
    for worker in repair.fitness.workers:
        worker.pre_calculated = noted

    def over():
        emit("end", evaluations=len(noted), searching=spec["seconds"], files=None)
        os._exit(0)

    repair.prepare_repair()
    emit("localised", seconds=time.monotonic() - start, suspicious=len(repair.suggestions))
    begun = time.monotonic()
    clock = threading.Timer(spec["seconds"], over)
    clock.start()
    repair.repair_loop()
    repair.finalize_repair()
    clock.cancel()
    best = [one for one in repair.population if one.fitness >= 1 - 1e-8]
    files = files_of(repair.initial_candidate, best[0].mutations) if best else None
    emit("end", evaluations=len(noted), searching=time.monotonic() - begun, files=files)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        emit("crash", error=f"{type(error).__name__}: {error}"[:200])
    sys.stdout.flush()
    os._exit(0)  # its worker threads may still wait for a test
