"""A workload: the recorded requests of a slow route as tests, or the product's tests that reach it.

A replayed request counts when it is answered with the status that production recorded: a client
without the visitor's state would measure another path. Belongs here: making and choosing tests.
Does not belong: their profile and their timing.
"""

import ast
import re
from collections.abc import Iterator

from selfdrive_dagster.model import HttpRequest, Product, Sandbox
from selfdrive_dagster.patches.improve.records import Handler, SlowPath, SlowRequest, Workload
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

FILE = "test_selfdrive_workload.py"
SEQUENCE = 6
"""Requests of one run of the workload."""
MOST_MS = 5_000.0
"""Of one run, as production took: it runs some twenty times."""
REACHING = 6
SAFE = ("GET", "HEAD")
"""Methods whose requests may be repeated without the visitor's state and body."""


def workload_of(
    slow: SlowPath,
    handler: Handler | None,
    tree: Tree,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
) -> tuple[Workload | None, tuple[str, ...]]:
    """Return the first workload that holds, with what was tried in vain before it."""
    attempts: list[str] = []
    for made in _replays(slow, tree, product):
        run = run_suite(product, sandbox, node_ids=tuple(dict.fromkeys(made.node_ids)),
                        overlay=made.overlay, seconds=120.0)  # fmt: skip
        bad = [one for one in run.tests.values() if one.outcome != "passed"]
        if run.complete and not bad and run.tests:
            return made, tuple(attempts)
        told = bad[0].message.splitlines()[0] if bad and bad[0].message else run.ending.value
        attempts.append(f"{made.says}: {told[:200]}")
    if not slow.requests:
        attempts.append("no request of the route was recorded that can be sent again")
    covering = reaching(handler, base) if handler else ()
    if covering and handler:
        says = f"{len(covering)} of the product's own tests that reach {handler.function}"
        return Workload(path="", source=None, node_ids=covering, says=says), tuple(attempts)
    return None, (*attempts, "no passing test reaches the code that answers the route")


def reaching(handler: Handler, base: SuiteRun) -> tuple[str, ...]:
    """Return passing tests that run lines of the handler's body, the longest first."""
    found = [
        node_id
        for node_id in base.with_outcome("passed")
        if handler.line + 1 in _near(base.lines.get(node_id, {}).get(handler.path, ()), handler)
    ]
    found.sort(key=lambda node_id: (-base.tests[node_id].seconds, node_id))
    return tuple(found[:REACHING])


def _near(lines: tuple[int, ...], handler: Handler) -> set[int]:
    """Return the handler's second line if any line shortly after its `def` was run."""
    return {handler.line + 1} if any(0 < line - handler.line <= 5 for line in lines) else set()


def _replays(slow: SlowPath, tree: Tree, product: Product) -> Iterator[Workload]:
    framework = framework_of(tree)
    safe = [one for one in slow.requests if one.request.method.upper() in SAFE]
    chosen = _last(safe[-SEQUENCE:])
    sent = [(one, replay(one.request, framework)) for one in chosen]
    ready = [(one, made) for one, made in sent if isinstance(made, Replayed)]
    if not ready:
        return
    for client in (*fixture_clients(product, framework), *application_clients(tree)):
        yield _written(slow, ready, client, tree, product)


def _last(requests: list[SlowRequest]) -> list[SlowRequest]:
    """Return the last requests that took no longer than a run of the workload may, one at least."""
    chosen: list[SlowRequest] = []
    spent = 0.0
    for one in reversed(requests):
        spent += one.duration_ms or 0.0
        if chosen and spent > MOST_MS:
            break
        chosen.insert(0, one)
    return chosen


def _written(
    slow: SlowPath,
    ready: list[tuple[SlowRequest, Replayed]],
    client: Client,
    tree: Tree,
    product: Product,
) -> Workload:
    width = writing.line_width(product)
    own = frozenset(module.name.partition(".")[0] for module in tree.modules)
    head = writing.import_lines(client.imports, own, width)
    folder = tests_folder(product)
    path = f"{folder}/{FILE}" if folder else FILE
    names: dict[tuple[str, str, int | None], str] = {}
    tests: list[str] = []
    order: list[str] = []
    for one, made in ready:
        key = (made.method, made.url, one.status)
        if key not in names:
            names[key] = f"test_{_words(made.url)}_{len(names) + 1}"
            tests.append(_test(names[key], one, made, client, width))
        order.append(f"{path}::{names[key]}")
    gap = "\n" if head else ""
    sentence = f"Requests of {slow.route}, as they came in production: a workload."
    body = "\n\n".join(tests)
    source = f"{writing.docstring(sentence)}\n{gap}{head}\n\n{body}"
    says = f"{len(order)} recorded requests of {slow.route} through {client.told}"
    return Workload(path=path, source=source, node_ids=tuple(order), says=says)


def _test(name: str, slow: SlowRequest, made: Replayed, client: Client, width: int) -> str:
    indent = 8 if client.enter else 4
    call: ast.expr = made.call(ast.Name(client.name, ast.Load()))
    sent = writing.statement(
        ast.Await(call) if client.is_async else call, indent, width, target="response"
    )
    wanted = "< 500" if slow.status is None else f"== {slow.status}"
    define = "async def" if client.is_async else "def"
    return (
        f"{client.marks}{define} {name}({client.parameter}):\n{client.setup}{client.enter}"
        f"{sent}\n{' ' * indent}assert response.status_code {wanted}\n"
    )


def _words(url: str) -> str:
    return "_".join(re.findall(r"[a-z0-9]+", url.partition("?")[0].lower())[:4]) or "root"


def request(method: str, url: str) -> HttpRequest:
    """Return a request without a body, as a span tells it."""
    return HttpRequest(method=method, url=url)
