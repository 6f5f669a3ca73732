"""Crash mutants of the example shop: from traffic to a report, and no wrong patch certified.

`python bench/mutants.py [--count 20] [--seed 1] [--seconds 45] [--out FILE]`

Each mutant is the shop, its seeded defects mended, with one random edit that its own suite does
not notice and that makes a request crash. It runs with the stock Sentry SDK pointed at a real
receiver, under `traffic.py` and strangers who ask oddly; the crash comes out of the ranked
issues, and the best patch is judged by the mended original: its suite, its judges, and equal
answers to every visit. Exit code 1 if a wrong patch is CERTIFIED or fewer mutants were found
than asked for. Protected files are left alone: there the loop abstains by policy.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import products
import receiving
from mutations import Mutation, mutations

from selfdrive_dagster.adapters.ingest import ingest_segments
from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.adapters.segments import SegmentWriter
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.adapters.warehouse.samples import telling_crashes
from selfdrive_dagster.config import Settings, load
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.model import Crash, Job, Product, digest
from selfdrive_dagster.model.product import is_protected
from selfdrive_dagster.patches.suite import run_suite
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.patches.trying import change_of
from selfdrive_dagster.validation.policy import ALWAYS_PROTECTED
from selfdrive_dagster.validation.repair import Budget, repair

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "examples" / "shop"
VISITS = Path(__file__).with_name("visits.py")
ROUNDS = 2
"""How often each journey is visited when two shops are compared."""

CHUNK = 150
"""Edits that one sandbox tries on the suite."""

Answers = list[list[object]]


class Row(msgspec.Struct, kw_only=True):
    """What came of one mutant. `right` is None when there was no patch to judge."""

    number: int
    kind: str
    where: str
    was: str
    becomes: str
    issue: str = ""
    events: int = 0
    way: str = ""
    tried: int = 0
    verdict: str = "none"
    claim: str = ""
    seconds: float = 0.0
    right: bool | None = None
    wrong_because: str = ""
    patch: str = ""
    supports: tuple[str, ...] = ()
    note: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants, print the table, write JSON; 1 if a wrong patch was certified."""
    options = read_options(arguments)
    cache = products.cache_folder(options.cache)
    box = BwrapSandbox(cache / "sandbox")
    print(f"seed {options.seed}, load {os.getloadavg()[0]:.1f}, cores {os.cpu_count()}", flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        healthy = make_healthy(Path(folder) / "healthy")
        expected = visit(healthy)
        found = crashing(healthy, expected, options.seed, box, Path(folder), cache)
        for number, mutation in enumerate(found, start=1):
            if number > options.count:
                break
            work = Path(folder) / str(number)
            rows.append(run_one(number, mutation, work, healthy, expected, box, options.seconds))
            print(told(rows[-1]), flush=True)
    print_table(rows)
    out = options.out or cache / "mutants.json"
    out.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1))
    wrong = [row.number for row in rows if row.verdict == "certified" and not row.right]
    print(f"load at the end {os.getloadavg()[0]:.1f}; written to {out}")
    print(f"wrong patches CERTIFIED: {len(wrong)} {wrong or ''}")
    return 1 if wrong or len(rows) < options.count else 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20, help="mutants that crash")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of mutants")
    parser.add_argument("--seconds", type=float, default=45.0, help="of search for each mutant")
    parser.add_argument("--out", type=Path, help="JSON file; else mutants.json in the cache")
    parser.add_argument("--cache", type=Path, help="folder that the sandbox keeps its state in")
    return parser.parse_args(arguments)


def make_healthy(folder: Path) -> Path:
    """Make the shop's whole history and mend every seeded defect: more code than tests."""
    command = [sys.executable, str(SHOP / "make_history.py"), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for fix in sorted(SHOP.glob("defects/*/fix.patch")):
        subprocess.run(["git", "apply", str(fix)], cwd=folder, check=True)
    products.commit(folder, "Mend what was broken")
    return folder


def judges() -> dict[str, str | None]:
    """Return the tests that the shop does not have, as files beside its own."""
    return {
        f"tests/test_judge_{path.parent.name[:2]}.py": path.read_text(encoding="utf-8")
        for path in sorted(SHOP.glob("defects/*/judge.py"))
    }


def visit(tree: Path) -> Answers:
    """Return what a shop answers to every visit, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-B", str(VISITS), str(SHOP / "traffic.py"), str(ROUNDS)],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:  # it does not even start
        return [["", "", "", 0, done.stderr.strip()[-300:]]]
    answers: Answers = json.loads(done.stdout)["answers"]
    return answers


def crashing(
    healthy: Path, expected: Answers, seed: int, box: BwrapSandbox, work: Path, cache: Path
) -> Iterator[Mutation]:
    """Yield mutants in a seeded order that the suite does not notice and some visit does.

    Which ones those are is remembered in the cache, for the same code and the same visits.
    """
    settings = load(healthy)
    (work / "export").mkdir()
    product, _history = open_product(healthy, settings, work / "export")
    every = [
        mutation
        for path in product.source_files()
        if not is_protected(path, (*ALWAYS_PROTECTED, *product.protected))
        for mutation in mutations(path, product.read(path))
    ]
    random.Random(seed).shuffle(every)
    passing = run_suite(product, box).with_outcome("passed")
    for start in range(0, len(every), CHUNK):
        chunk = every[start : start + CHUNK]
        silent = partial(unnoticed, chunk, passing, product, box)
        quiet = remembered(cache, "quiet", [chunk, passing], silent)
        loud = partial(that_crash, quiet, product, work / "trial")
        found = remembered(cache, "crashing", [quiet, expected], loud)
        told = f"of {len(chunk)} edits {len(quiet)} pass the suite, {len(found)} crash"
        print(told, flush=True)
        yield from found


def remembered(
    cache: Path, what: str, key: object, find: Callable[[], list[Mutation]]
) -> list[Mutation]:
    """Return mutants that an earlier run found for the same key, or find and keep them."""
    known = cache / f"{what}-{digest(key)[:16]}.json"
    if not known.is_file():
        known.write_bytes(msgspec.json.encode(find()))
    return msgspec.json.decode(known.read_bytes(), type=list[Mutation])


def that_crash(quiet: list[Mutation], product: Product, folder: Path) -> list[Mutation]:
    """Return the mutants that start, and of which some visit ends in a crash."""
    found = []
    for mutation in quiet:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(product.root, folder)
        (folder / mutation.path).write_text(mutation.source, encoding="utf-8")
        answers = visit(folder)
        if len(answers) > 1 and any(answer[3] == 500 for answer in answers):
            found.append(mutation)
    return found


def unnoticed(
    chunk: list[Mutation], passing: tuple[str, ...], product: Product, box: BwrapSandbox
) -> list[Mutation]:
    """Return the mutants that pass the product's own suite, each tried in a fork."""
    spec = {
        "candidates": [
            {"id": str(number), **change_of(one.path, product.read(one.path), one.source)}
            for number, one in enumerate(chunk)
        ],
        "targets": list(passing[:1]),
        "suite": list(passing[1:]),  # the rest, those that killed before it first
        "args": list(product.tests),
        "deadline_seconds": 5.0,
    }
    job = Job(
        program="trial",
        tree=product.root,
        python=product.python,
        import_roots=product.import_roots(),
        spec=spec,
        seconds=900.0,
    )
    ran = box.run(job)
    if not any(line.get("kind") == "end" for line in ran.lines):
        raise SystemExit(f"no mutant could be tried: {ran.stderr[-200:]}")
    held = {
        line["id"] for line in ran.lines
        if line.get("kind") == "trial" and line["outcome"] == "plausible"
    }  # fmt: skip
    return [one for number, one in enumerate(chunk) if str(number) in held]


def run_one(
    number: int,
    mutation: Mutation,
    work: Path,
    healthy: Path,
    expected: Answers,
    box: BwrapSandbox,
    seconds: float,
) -> Row:
    """Take one mutant from traffic to a report, and judge the best patch."""
    row = Row(
        number=number,
        kind=mutation.kind,
        where=f"{mutation.path}:{mutation.line}",
        was=mutation.was,
        becomes=mutation.becomes,
    )
    shutil.copytree(healthy, work / "repo")
    (work / "repo" / mutation.path).write_text(mutation.source, encoding="utf-8")
    products.commit(work / "repo", "Make it simpler")
    settings = load(work / "repo")
    crash = reported(work, settings, row)
    if crash is None:
        row.note = "no issue came out of the traffic"
        return row
    (work / "export").mkdir()
    product, history = open_product(work / "repo", settings, work / "export")
    start = time.monotonic()
    try:
        found = repair(product, history, box, crash=crash, budget=Budget(seconds=seconds))
    except SelfdriveError as error:
        row.note = error.message[:300]
        return row
    row.seconds = round(time.monotonic() - start, 1)
    made = found.reproduction.reproducer
    row.way, row.tried = made.way.value if made else "none", found.search.tried
    row.verdict = found.verdict.value if found.verdict else "none"
    row.note = found.reproduction.attempts[-1].outcome if made is None else ""
    if found.reports and found.best is None:
        row.note = found.reports[0].reason[:300]
    if found.best is not None:
        row.claim, row.patch = found.best.claim.value, found.best.patch
        row.supports = tuple(f"{one.kind} {one.where}" for one in found.best.supports)
        row.wrong_because = judge(found.best.patch, product, healthy, expected, box, work)
        row.right = not row.wrong_because
    return row


def reported(work: Path, settings: Settings, row: Row) -> Crash | None:
    """Run the mutant under traffic; return the telling crash of its worst issue in the product."""
    home = work / "home"
    home.mkdir(mode=0o700)
    with receiving.receiver(home, "shop") as dsn:
        serve_and_visit(work / "repo", dsn, row.number)
    SegmentWriter(home / "segments").close()
    warehouse = Warehouse(home)
    ingest_segments([home / "segments"], warehouse)
    refresh(warehouse, load_models(ROOT / "sql"), Grouping(source=settings.service.source))
    for issue in rank_issues(warehouse, datetime.now(UTC)):
        known = telling_crashes(warehouse, {issue.issue_id: issue.last_seen})
        crash = known.get(issue.issue_id)
        if crash is not None:
            row.issue, row.events = issue.title, issue.events_total
            return crash
    return None


def serve_and_visit(tree: Path, dsn: str, seed: int, *, hook: bool = False) -> None:
    """Serve the shop with the SDK on, under traffic and then strangers, for some seconds.

    With `hook` the file selfdrive_state.py beside the tree is named to the SDK.
    """
    program = tree.parent / "serve.py"
    program.write_text(HOOKED + SERVE if hook else SERVE)
    subprocess.run(
        [sys.executable, "-B", str(program), str(VISITS), str(SHOP / "traffic.py"), str(seed)],
        cwd=tree,
        env={
            "PYTHONPATH": str(tree),
            "PATH": os.environ["PATH"],
            "SENTRY_DSN": dsn,
            "SHOP_RELEASE": "mutant",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


# What a team adds to its set-up; the shop itself stays as it is.
HOOKED = """\
import functools, sentry_sdk, selfdrive_state
sentry_sdk.init = functools.partial(sentry_sdk.init, before_send=selfdrive_state.before_send)
"""
# The shop as `python -m shop` starts it, on a free port; its visitors come over HTTP.
SERVE = """\
import importlib.util, random, socket, sys, threading, time
import uvicorn
from shop import observability
observability.start()
from shop.app import create_app
application = create_app()
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(application, log_level="critical"))
threading.Thread(target=server.run, args=([listening],), daemon=True).start()
while not server.started:
    time.sleep(0.05)
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
import visits
traffic = visits.load(sys.argv[2])
url = f"http://127.0.0.1:{listening.getsockname()[1]}"
traffic.drive(url, 4.0, 40.0, int(sys.argv[3]), 12)
import httpx2
for member in ("", "ada", "dirk"):
    with httpx2.Client(base_url=url, trust_env=False, verify=False, timeout=10) as client:
        if member:
            sign_in = {"email": f"{member}@example.org", "password": traffic.PASSWORD}
            client.post("/sign-in", json=sign_in)
        for method, path, *body in visits.ODD:
            try:
                client.request(method, path, json=body[0] if body else None)
            except httpx2.TransportError:
                pass
import sentry_sdk
sentry_sdk.flush(5)
"""


def judge(
    patch: str, product: Product, healthy: Path, expected: Answers, box: BwrapSandbox, work: Path
) -> str:
    """Say how a patched mutant differs from the healthy original, "" when in nothing we see."""
    tree = work / "patched"
    shutil.copytree(product.root, tree)
    for path, text in apply_patch(product.read, patch).items():
        if text is not None:
            (tree / path).write_text(text, encoding="utf-8")
    patched = msgspec.structs.replace(product, root=str(tree))
    run = run_suite(patched, box, overlay=judges())
    failing = run.with_outcome("failed", "error")
    if failing or not run.collected:
        return f"the suite fails: {', '.join(failing[:3])}"
    for told, wanted in zip(visit(tree), expected, strict=False):
        if told != wanted:
            return f"{' '.join(map(str, wanted[:3]))}: {told[3:]} where it was {wanted[3:]}"[:300]
    return ""


def told(row: Row) -> str:
    """Return one mutant as a paragraph."""
    edit = f"{row.was!r} -> {row.becomes!r}".replace("\n", " ")
    right = {None: "no patch", True: "right", False: f"WRONG: {row.wrong_because}"}[row.right]
    lines = [f"#{row.number} {row.kind} {row.where}: {edit[:200]}"]
    lines.append(f"   {row.issue} ({row.events} events), {row.way}, {row.tried} tried, "
                 f"{row.verdict} {row.claim}, {row.seconds} s, {right} {row.note}")  # fmt: skip
    changed = [one for one in row.patch.splitlines() if one[:1] in "+-" and one[1:3] != one[:1] * 2]
    return "\n".join([*lines, *(f"      {one}" for one in changed), *row.supports])


HEAD = ("#", "edit", "where", "reproducer", "tried", "verdict", "claim", "s", "patch")


def print_table(rows: list[Row]) -> None:
    """Print one line for each mutant, and the counts."""
    judged = {None: "-", True: "right", False: "wrong"}
    lines = [HEAD] + [
        (
            str(row.number), row.kind, row.where, row.way, str(row.tried), row.verdict,
            row.claim, f"{row.seconds:.0f}", judged[row.right],
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    counts = Counter((row.verdict, judged[row.right]) for row in rows)
    print(", ".join(f"{number} {verdict} ({right})" for (verdict, right), number in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
