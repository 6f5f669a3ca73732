"""The same crashes drafted by each generator: same reproducer, same gates, one table.

Each crash of the shop goes to a judged report once for each generator. *Judged*: the defect's own
judge and the whole suite pass on the best patch. Claude is asked at ANTHROPIC_BASE_URL, for at most
--budget dollars in all; against the stand-in its column tells about the gates alone.

    selfdrive rehearse --script examples/shop/rehearsal.toml
    python bench/generators.py [--only 01] [--generators builtin,claude] [--budget 2] [--out FILE]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.claude.opening import open_claude
from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.purse_file import FilePurse
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.cli.repair import read_trace
from selfdrive_dagster.config import Settings, load
from selfdrive_dagster.model import History, Product, Sandbox
from selfdrive_dagster.patches.asking.money import Caps, dollars, micros
from selfdrive_dagster.patches.proposers import Proposer, Templates
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.telemetry import Redactor
from selfdrive_dagster.validation.repair import Budget, Repair, repair

ROOT = Path(__file__).resolve().parents[1]
SHOP = ROOT / "examples" / "shop"
TRACES = ROOT / "tests" / "cases" / "shop_envelopes"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one generator made of one crash. `right` is None where there was no patch to judge."""

    crash: str
    generator: str
    reproducer: str
    tried: int
    verdict: str
    claim: str
    right: bool | None
    seconds: float
    micros: int
    ends: str


def main() -> None:
    """Run all crashes and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", default="")
    options.add_argument("--generators", default="builtin,claude")
    options.add_argument("--budget", type=float, default=2.0)
    options.add_argument("--seconds", type=float, default=120.0)
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measure(Path(folder), given))
    if given.out:
        given.out.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    print(f"load {os.getloadavg()[0]:.1f}")


def measure(folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Yield a row for each crash and generator, printed as it comes."""
    shop = folder / "shop"
    subprocess.run([sys.executable, SHOP / "make_history.py", shop], check=True, cwd=folder)
    settings, tree = load(shop), folder / "tree"
    tree.mkdir()
    product, history = open_product(shop, settings, tree, None, lambda _: None)
    sandbox = BwrapSandbox(folder / "sandbox")
    print("| Crash | Generator | Reproducer | Tried | Verdict | Claim | Judged | Seconds | Cost |")
    print("|---|---|---|---|---|---|---|---|---|")
    for trace in sorted(TRACES.glob(f"{given.only}*.envelope")):
        for name in given.generators.split(","):
            maker = proposer(name, settings, folder, given.budget)
            row = one(trace, maker, product, history, sandbox, given.seconds)
            print(line(row), flush=True)
            yield row


def proposer(name: str, settings: Settings, folder: Path, budget: float) -> Proposer:
    """Return a generator; all runs of Claude share one purse."""
    if name == "builtin":
        return Templates()
    purse = FilePurse(folder, "bench", Caps(change=micros(budget)))
    return open_claude(settings.patches, purse, os.environ)


def one(
    trace: Path,
    maker: Proposer,
    product: Product,
    history: History,
    sandbox: Sandbox,
    seconds: float,
) -> Row:
    """Take one crash to a judged report with one generator."""
    crash = read_trace(trace, Redactor())
    found = repair(
        product,
        history,
        sandbox,
        crash=crash,
        budget=Budget(seconds=seconds),
        proposers=(maker,),
    )
    made, asks = found.reproduction.reproducer, found.search.asks
    return Row(
        crash=trace.stem,
        generator=maker.name,
        reproducer=made.way.value if made else "none",
        tried=found.search.tried,
        verdict=found.verdict.value if found.verdict else "none",
        claim=found.best.claim.value if found.best else "-",
        right=judged(found, trace.stem, product, sandbox),
        seconds=found.seconds,
        micros=sum(ask.spent_micros for ask in asks),
        ends=", ".join(ask.result.value for ask in asks),
    )


def judged(found: Repair, defect: str, product: Product, sandbox: Sandbox) -> bool | None:
    """Say whether suite and judge pass on the best patch. The judge was never shown."""
    if found.best is None:
        return None
    judge = (SHOP / "defects" / defect / "judge.py").read_text(encoding="utf-8")
    overlay = {**apply_patch(product.read, found.best.patch), "tests/test_judge.py": judge}
    run = run_suite(product, sandbox, overlay=overlay)
    base = run_suite(product, sandbox, overlay={"tests/test_judge.py": judge})
    failing = set(run.with_outcome("failed", "error")) - set(known(base))
    return run.complete and not failing


def known(base: SuiteRun) -> tuple[str, ...]:
    """Return the tests that fail on the base and are not the judge's: another defect's."""
    failing = base.with_outcome("failed", "error")
    return tuple(node for node in failing if not node.startswith("tests/test_judge.py"))


def line(row: Row) -> str:
    """Return a row of the table."""
    told = {None: "-", True: "right", False: "wrong"}[row.right]
    cost = f"{dollars(row.micros)} ({row.ends})" if row.ends else "-"
    cells = (
        row.crash, row.generator, row.reproducer, row.tried, row.verdict, row.claim, told,
        f"{row.seconds:.0f}", cost,
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
