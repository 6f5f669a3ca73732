"""The third way: send the recorded request through the product's own test client.

Clients come from the project, best first: a passing test that reaches the same handler (it
carries a logged-in state), a fixture of the project's conftest, the application object
itself. Cookies and tokens are never recorded, so the first is worth most.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from selfdrive_dagster.model import (
    Attempt,
    Diagnosis,
    FrameFinding,
    HttpRequest,
    ObservedInput,
    Product,
    Way,
)
from selfdrive_dagster.patches.diagnosis.frames import Placed
from selfdrive_dagster.patches.diagnosis.localise import Coverage
from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.reproduce.borrowed import reaching, ways
from selfdrive_dagster.patches.reproduce.clients import (
    Client,
    application_clients,
    fixture_clients,
    framework_of,
    last_word,
)
from selfdrive_dagster.patches.reproduce.draft import (
    Draft,
    literals,
    sentence_of,
    test_name,
    test_path,
    tests_folder,
)
from selfdrive_dagster.patches.reproduce.pruning import CannotBorrowError
from selfdrive_dagster.patches.reproduce.testcode import (
    TestCode,
    cut_after,
    early_assertions,
)
from selfdrive_dagster.patches.stand_ins import REDACTED, stood_in
from selfdrive_dagster.patches.syntax import Tree, dotted, last_name
from selfdrive_dagster.patches.values import Unknown, literal

MOST_TESTS = 6
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options"})
REQUEST_KEYWORDS = frozenset(
    {"params", "json", "data", "content", "files", "query_string", "query_params", "content_type"}
)
SPELLED = {
    ("django", "json"): ("data", "application/json"),
    ("django", "content"): ("data", "text/plain"),
    ("flask", "content"): ("data", ""),
}
"""How clients spell a body where not like httpx: the keyword, and the content type to name."""


class Replayed(msgspec.Struct, frozen=True):
    """The recorded request as arguments of a client's method."""

    method: str
    url: str
    keywords: tuple[ast.keyword, ...]
    has_stand_ins: bool

    def call(self, client: ast.expr, kept: tuple[ast.keyword, ...] = ()) -> ast.Call:
        """Return the call on a client."""
        keywords = [*self.keywords, *kept]
        if self.method.lower() in METHODS:
            func = ast.Attribute(client, self.method.lower(), ast.Load())
            return ast.Call(func, [ast.Constant(self.url)], keywords)
        func = ast.Attribute(client, "request", ast.Load())
        return ast.Call(func, [ast.Constant(self.method), ast.Constant(self.url)], keywords)


def drafts(
    tree: Tree,
    product: Product,
    diagnosis: Diagnosis,
    placed: tuple[Placed, ...],
    coverage: Coverage,
) -> Iterator[Draft | Attempt]:
    """Yield a draft for each client that can send the recorded request."""
    request = diagnosis.crash.request if diagnosis.crash else None
    if request is None:
        yield _gave_up("the request", "the event carries no request")
        return
    framework = framework_of(tree)
    replayed = replay(request, framework)
    if isinstance(replayed, Unknown):
        yield _gave_up(_name(request), f"the body of the request {replayed.reason}")
        return
    yield from _from_tests(tree, product, diagnosis, placed, coverage, replayed)
    for client in fixture_clients(product, framework):
        yield _fresh(product, tree, diagnosis, replayed, client)
    for client in application_clients(tree):
        yield _fresh(product, tree, diagnosis, replayed, client)


def replay(request: HttpRequest, framework: str = "starlette") -> Replayed | Unknown:
    """Return the request as arguments, with stand-ins for what was hidden; or what is missing."""
    parts = urlsplit(request.url)
    query = request.query or parts.query
    url = (parts.path or "/") + (f"?{query}" if query else "")
    headers = {name.lower(): value for name, value in request.headers}
    if request.body in (None, ""):
        if headers.get("content-length", "0") not in ("0", ""):
            return Unknown("was not sent")
        return Replayed(request.method.upper(), url, (), False)
    body, hidden = _stand_in(request.body)
    built = literal(body)
    if isinstance(built, Unknown):
        return built
    form = "form" in headers.get("content-type", "")
    text = isinstance(body, str)
    keyword = "data" if form else "content" if text else "json"
    keywords = _spelled(framework, keyword, built.node)
    return Replayed(request.method.upper(), url, keywords, hidden)


def _spelled(framework: str, keyword: str, body: ast.expr) -> tuple[ast.keyword, ...]:
    """Spell a body as the framework's client wants it."""
    name, content_type = SPELLED.get((framework, keyword), (keyword, ""))
    more = [ast.keyword("content_type", ast.Constant(content_type))] if content_type else []
    return (ast.keyword(name, body), *more)


def _stand_in(value: Any) -> tuple[Any, bool]:
    """Put a made-up text in place of each hidden one."""
    if isinstance(value, str) and REDACTED.search(value):
        return stood_in(value), True
    if isinstance(value, dict):
        pairs = {key: _stand_in(one) for key, one in value.items()}
        return {key: one for key, (one, _) in pairs.items()}, any(h for _, h in pairs.values())
    if isinstance(value, list):
        items = [_stand_in(one) for one in value]
        return [one for one, _ in items], any(hidden for _, hidden in items)
    return value, False


def _from_tests(
    tree: Tree,
    product: Product,
    diagnosis: Diagnosis,
    placed: tuple[Placed, ...],
    coverage: Coverage,
    replayed: Replayed,
) -> Iterator[Draft | Attempt]:
    """Yield drafts from the tests of the innermost frame that tests with a client reach."""
    for _, finding in placed:
        module = tree.module(finding.path)
        function = module.function(finding.function) if module else None
        tests = reaching(product, coverage, function) if function else []
        found = [(test, call) for test in tests if (call := _best_call(test, replayed))]
        found.sort(key=lambda pair: -_likeness(pair[1], replayed))
        cuts = [one for test, call in found[:MOST_TESTS] for one in ways(test, call)]
        for test, call, lean in cuts:
            yield _borrowed(product, diagnosis, replayed, finding, test, call, lean)
        if cuts:
            return
    yield _gave_up(_url(replayed), "no passing test sends a request that comes this way")


def _best_call(test: TestCode, replayed: Replayed) -> ast.Call | None:
    calls = [call for call in test.calls if _is_request(call)]
    return max(calls, key=lambda call: _likeness(call, replayed), default=None)


def _is_request(call: ast.Call) -> bool:
    """Say whether a call looks like `client.get("/…")`."""
    if not isinstance(call.func, ast.Attribute):
        return False
    held = call.func.value  # `client`, or `self.client` of a test case
    name = last_word(last_name(dotted(held))) if isinstance(held, ast.Attribute) else "client"
    if name != "client" or not isinstance(held, ast.Name | ast.Attribute):
        return False
    if call.func.attr not in METHODS | {"request", "open"}:
        return False
    return any(
        isinstance(one, ast.Constant | ast.JoinedStr) and "/" in ast.unparse(one)
        for one in call.args[:2]
    )


def _likeness(call: ast.Call, replayed: Replayed) -> int:
    """Return how like a test's request is to the recorded one: method, then path by segments."""
    attribute = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    own = next((one for one in call.args[:2] if "/" in ast.unparse(one)), None)
    text = own.value if isinstance(own, ast.Constant) else ast.unparse(own) if own else ""
    ours = urlsplit(str(text)).path.strip("/").split("/")
    theirs = urlsplit(replayed.url).path.strip("/").split("/")
    same = sum(left == right for left, right in zip(ours, theirs, strict=False))
    shape = 5 if len(ours) == len(theirs) else 0
    return 3 * (attribute == replayed.method.lower()) + shape + 2 * same


def _borrowed(
    product: Product,
    diagnosis: Diagnosis,
    replayed: Replayed,
    finding: FrameFinding,
    test: TestCode,
    call: ast.Call,
    lean: bool,
) -> Draft | Attempt:
    whole = "" if lean or not early_assertions(test, call) else ", its assertions kept"
    target = f"{_url(replayed)} as {test.name} sends it{whole}"
    width = writing.line_width(product)
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    kept = tuple(one for one in call.keywords if one.arg not in REQUEST_KEYWORDS | {"method"})
    made: ast.expr = replayed.call(receiver, kept)
    if any(isinstance(node, ast.Await) and node.value is call for node in ast.walk(test.node)):
        made = ast.Await(made)
    try:
        source = cut_after(
            test,
            call,
            lambda indent: sending(made, indent, width),
            name=_test_name(replayed),
            imports=frozenset(),
            sentence=sentence_of(diagnosis),
            lean=lean,
        )
    except CannotBorrowError as reason:
        return _gave_up(target, str(reason))
    folder = test.path.rpartition("/")[0]
    return _draft(
        replayed, diagnosis, finding, folder, source, target, f"{test.path} {test.name} {lean}"
    )


def sending(call: ast.expr, indent: int, width: int) -> str:
    """Return the statements that send a request and look at the answer."""
    sent = writing.statement(call, indent, width, target="response")
    return f"{sent}\n{' ' * indent}assert response.status_code < 500\n"


def _fresh(
    product: Product, tree: Tree, diagnosis: Diagnosis, replayed: Replayed, client: Client
) -> Draft:
    width = writing.line_width(product)
    own = frozenset(module.name.partition(".")[0] for module in tree.modules)
    head = writing.import_lines(client.imports, own, width)
    indent = 8 if client.enter else 4
    made: ast.expr = replayed.call(ast.Name(client.name, ast.Load()))
    body = sending(ast.Await(made) if client.is_async else made, indent, width)
    define = "async def" if client.is_async else "def"
    gap = "\n" if head else ""
    source = (
        f"{writing.docstring(sentence_of(diagnosis))}\n{gap}{head}\n\n"
        f"{client.marks}{define} {_test_name(replayed)}({client.parameter}):\n"
        f"{client.setup}{client.enter}{body}"
    )
    finding = diagnosis.frames[0]
    target = f"{_url(replayed)} through {client.told}"
    return _draft(replayed, diagnosis, finding, tests_folder(product), source, target, client.told)


def _draft(
    replayed: Replayed,
    diagnosis: Diagnosis,
    finding: FrameFinding,
    folder: str,
    source: str,
    target: str,
    name: str,
) -> Draft:
    hidden = ", with stand-ins for what was hidden" if replayed.has_stand_ins else ""
    if replayed.has_stand_ins:
        note = "made-up texts stand in for what was hidden in the request's body"
        source = writing.finished(source, frozenset(), (note,), writing.WIDTH)
    values = [one for keyword in replayed.keywords for one in literals(keyword.value)]
    return Draft(
        way=Way.HTTP_REPLAY,
        path=test_path(folder, diagnosis, "http", name),
        source=source,
        target=finding,
        tried=f"{target}{hidden}",
        arguments=(
            ObservedInput(function=finding.function, name="request", expression=_url(replayed)),
        ),
        production_values=tuple(dict.fromkeys([ascii(replayed.url), *values])),
    )


def _test_name(replayed: Replayed) -> str:
    words = re.findall(r"[a-z]+", urlsplit(replayed.url).path.lower())
    return test_name("_".join([replayed.method.lower(), *words[:4]]), "request")


def _url(replayed: Replayed) -> str:
    return f"{ascii(replayed.method)[1:-1]} {ascii(replayed.url)[1:-1]}"


def _name(request: HttpRequest) -> str:
    return ascii(f"{request.method} {urlsplit(request.url).path}")[1:-1]


def _gave_up(target: str, reason: str) -> Attempt:
    return Attempt(way=Way.HTTP_REPLAY, target=target, outcome=reason)
