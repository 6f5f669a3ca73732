"""Requests that production answered well: they must be answered alike with the patch.

The opt-in recorder keeps requests and not answers, so base and patch are compared: a test file,
seen by the gate alone, sends each request through the product's own client. A call that the base
answers with the recorded status, and twice with the same bytes, is a regression oracle, beside
the calls that the product's own tests make; what the base answers otherwise (it has no such
row, nobody is logged in, the answer holds the time) says nothing and is left out.

In the failing-test track the patch is meant to change values: there only the status must stay.
"""

import ast
from collections.abc import Iterator

import msgspec

from selfdrive_dagster.model import Check, GoodCall, Way, digest
from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.reproduce.clients import (
    Client,
    application_clients,
    fixture_clients,
    framework_of,
)
from selfdrive_dagster.patches.reproduce.draft import tests_folder
from selfdrive_dagster.patches.reproduce.replay import Replayed, replay
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.syntax import Tree
from selfdrive_dagster.validation.checks import Canary, Case, Oracles, Overlay

NAME = "test_selfdrive_good_calls"
MOST_CLIENTS = 4
ROUNDS = 3
SECONDS = 120.0

TOLD = {
    True: 'f"{response.status_code} {hashlib.sha256(body).hexdigest()}"',
    False: 'f"{response.status_code} "',
}
"""What is compared of an answer: its bytes too, or the status alone."""

HELPERS = '''import hashlib

ANSWERS = {answers!r}


class AnsweredError(Exception):
    """Tells what was answered, at the first look."""


def same(number, response):
    body = response.content if hasattr(response, "content") else response.data
    told = {told}
    if number not in ANSWERS:
        raise AnsweredError(told)
    assert told == ANSWERS[number]
'''

Numbered = tuple[int, Replayed]


def settle(calls: tuple[GoodCall, ...], case: Case) -> Oracles | None:
    """Find the calls that the base answers as production did; None where there are none.

    Which client of the product serves best is tried: the one by which most calls hold.
    """
    tree = Tree(case.product)
    whole = case.reproducer.way is not Way.FAILING_TEST
    framework = framework_of(tree)
    made = ((n, replay(call.request, framework)) for n, call in enumerate(calls))
    sent = tuple((n, one) for n, one in made if isinstance(one, Replayed))
    clients = (*fixture_clients(case.product, framework), *application_clients(tree))[:MOST_CLIENTS]
    if not sent or not clients:
        return None
    answers = _first_look(sent, clients, calls, case, whole=whole)
    client, held = max(answers, key=lambda pair: len(pair[1]))  # the first of equals
    return _stable(sent, client, held, calls, case, whole=whole)


def _first_look(
    sent: tuple[Numbered, ...],
    clients: tuple[Client, ...],
    calls: tuple[GoodCall, ...],
    case: Case,
    *,
    whole: bool,
) -> list[tuple[Client, dict[int, str]]]:
    """Send all calls by each client; return the answers that have the recorded status."""
    overlay: Overlay = {
        _path(case, f"_{n}"): _source(sent, client, {}, whole=whole)
        for n, client in enumerate(clients)
    }
    run = run_suite(
        case.product, case.sandbox, node_ids=tuple(overlay), overlay=overlay, seconds=SECONDS
    )
    return [
        (client, _held(run, path, calls)) for path, client in zip(overlay, clients, strict=True)
    ]


def _held(run: SuiteRun, path: str, calls: tuple[GoodCall, ...]) -> dict[int, str]:
    found = {}
    for node_id, test in run.tests.items():
        file, _, name = node_id.partition("::")
        number = name.partition("[")[0].removeprefix("test_call_")
        if file != path or not test.exception_type.endswith("AnsweredError"):
            continue
        if number.isdecimal() and test.message.split()[:1] == [str(calls[int(number)].status)]:
            found[int(number)] = test.message
    return found


def _stable(
    sent: tuple[Numbered, ...],
    client: Client,
    answers: dict[int, str],
    calls: tuple[GoodCall, ...],
    case: Case,
    *,
    whole: bool,
) -> Oracles | None:
    """Drop calls that do not hold again until all that are left do: one may lean on another."""
    path = _path(case, "")
    for hash_seed in range(1, ROUNDS + 1):
        chosen = tuple(one for one in sent if one[0] in answers)
        if not chosen:
            return None
        source = _source(chosen, client, answers, whole=whole)
        run = run_suite(
            case.product,
            case.sandbox,
            node_ids=(path,),
            overlay={path: source},
            lines=True,
            hash_seed=hash_seed,
            seconds=SECONDS,
        )
        passed = run.with_outcome("passed")
        if run.complete and len(passed) == len(run.collected):
            return Oracles(
                path=path,
                source=source,
                node_ids=passed,
                lines=run.lines,
                given=len(calls),
                sha256=digest(calls),
            )
        kept = {node_id.partition("test_call_")[2].partition("[")[0] for node_id in passed}
        answers = {n: told for n, told in answers.items() if str(n) in kept}
    return None


def on_patch(oracles: Oracles, overlay: Overlay, case: Case) -> Check:
    """Send the calls again on the patch, in another process with another hash seed."""
    canary = Canary.fresh()
    run = run_suite(
        case.product,
        case.sandbox,
        node_ids=(oracles.path,),
        overlay={**overlay, oracles.path: oracles.source},
        canary=canary.spec,
        hash_seed=case.seed % 4_000_000_000 + 1,
        seconds=SECONDS,
    )
    planted = canary.check("good_calls", run)
    if not planted.passed:
        return msgspec.structs.replace(planted, name="good_calls")
    other = set(oracles.node_ids) - set(run.with_outcome("passed"))
    says = f"all {len(oracles.node_ids)} of production's good calls that hold on the base hold"
    if other:
        says = f"{len(other)} of {len(oracles.node_ids)} good calls are answered otherwise"
    numbers = {
        "given": oracles.given,
        "compared": len(oracles.node_ids),
        "differed": len(other),
        "calls_sha256": oracles.sha256,
    }
    passed = None if other and not run.complete else not other
    return Check(name="good_calls", passed=passed, says=says, numbers=numbers)


def _path(case: Case, suffix: str) -> str:
    folder = tests_folder(case.product)
    return f"{folder}/{NAME}{suffix}.py" if folder else f"{NAME}{suffix}.py"


def _source(
    sent: tuple[Numbered, ...], client: Client, answers: dict[int, str], *, whole: bool
) -> str:
    """Write one test for each call; requests stand in it as literals only."""
    head = writing.import_lines(client.imports, frozenset(), writing.WIDTH)
    helpers = HELPERS.replace("{answers!r}", repr(answers)).replace("{told}", TOLD[whole])
    return "\n".join([helpers, head, *_tests(sent, client)])


def _tests(sent: tuple[Numbered, ...], client: Client) -> Iterator[str]:
    indent = 8 if client.enter else 4
    define = "async def" if client.is_async else "def"
    for number, replayed in sent:
        call: ast.expr = replayed.call(ast.Name(client.name, ast.Load()))
        made = ast.Await(call) if client.is_async else call
        statement = writing.statement(made, indent, writing.WIDTH, target="response")
        yield (
            f"\n{client.marks}{define} test_call_{number}({client.parameter}):\n"
            f"{client.setup}{client.enter}{statement}{' ' * indent}same({number}, response)\n"
        )
