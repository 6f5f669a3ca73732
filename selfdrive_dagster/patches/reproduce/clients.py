"""Test clients that a project offers: fixtures, else its application object.

Fixtures come from its conftest files, or from a plugin (pytest-django, pytest-flask) if its
tests ask for them. Knows Starlette, FastAPI, Flask and Django. Does not know requests.
"""

import ast
import re
from collections.abc import Iterator

import msgspec

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.reproduce.draft import test_files, tests_folder
from selfdrive_dagster.patches.syntax import Function, FunctionNode, Module, Tree, dotted, last_name
from selfdrive_dagster.patches.values import Import

MOST_FIXTURES = 4
MOST_APPLICATIONS = 2
CLIENT_MAKERS = ("TestClient", "test_client", "AsyncClient", "Client", "APIClient")
FACTORIES = ("create_app", "make_app", "build_app", "get_app", "application", "app_factory")
STARLETTE = frozenset({"Starlette", "FastAPI"})
FLASK = frozenset({"Flask"})
SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE['\"]?[ ,=:]+['\"]?([\w.]+)")
SETTINGS_FILES = ("manage.py", "pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini")


def framework_of(tree: Tree) -> str:
    """Return which framework's client the product's tests use: django, flask, else starlette."""
    imported = {name for module in tree.modules for name in _imported(module.tree)}
    return next((name for name in ("django", "flask") if name in imported), "starlette")


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """How a test gets hold of a client; `setup` and `enter` are statements of its body."""

    told: str
    name: str
    parameter: str = ""
    imports: frozenset[Import] = frozenset()
    setup: str = ""
    enter: str = ""
    is_async: bool = False
    marks: str = ""


def fixture_clients(product: Product, framework: str) -> tuple[Client, ...]:
    """Return the client fixtures that a new test in the tests folder can ask for, plain first."""
    folder = tests_folder(product)
    found: list[Client] = []
    for path in test_files(product):
        here = path.rpartition("/")[0]
        if path.endswith("conftest.py") and (not here or f"{folder}/".startswith(f"{here}/")):
            found += [_of_fixture(node) for node in _fixtures(product, path)]
    own = {one.name for one in found}
    found += [one for one in _of_plugins(product, framework) if one.name not in own]
    return tuple(sorted(found, key=lambda one: (one.name != "client", one.name))[:MOST_FIXTURES])


def _of_plugins(product: Product, framework: str) -> Iterator[Client]:
    """Yield what tests ask for that sounds like a client, wherever it is defined."""
    django = framework == "django"
    asked = {name for path in test_files(product) for name in _asked(product, path)}
    for name in sorted(asked):
        yield Client(
            told=f"the fixture {name}",
            name=name,
            parameter=name,
            imports=frozenset({Import("pytest")}) if django else frozenset(),
            marks="@pytest.mark.django_db\n" if django else "",
        )


def _asked(product: Product, path: str) -> Iterator[str]:
    for node in ast.walk(_parsed(product, path)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield from (one.arg for one in node.args.args if last_word(one.arg) == "client")


def last_word(name: str) -> str:
    """Return `client` of `admin_client`."""
    return name.rpartition("_")[2]


def _parsed(product: Product, path: str) -> ast.Module:
    try:
        return ast.parse(product.read(path))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])  # pytest will tell of a broken file


def _fixtures(product: Product, path: str) -> list[FunctionNode]:
    fixtures = [
        node
        for node in _parsed(product, path).body
        if isinstance(node, FunctionNode)
        and any(last_name(dotted(getattr(m, "func", m))) == "fixture" for m in node.decorator_list)
    ]
    return [node for node in fixtures if _makes_client(node, {one.name for one in fixtures})]


def _makes_client(node: FunctionNode, fixtures: set[str]) -> bool:
    calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
    makes = any(_called(call) in CLIENT_MAKERS for call in calls)
    asks = any("client" in one.arg and one.arg in fixtures for one in node.args.args)
    return makes or (asks and "client" in node.name)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else last_name(dotted(call.func))


def _of_fixture(node: FunctionNode) -> Client:
    asynchronous = any(
        isinstance(one, ast.Name | ast.Attribute) and last_name(dotted(one)) == "AsyncClient"
        for one in ast.walk(node)
    )
    return Client(
        told=f"the fixture {node.name}",
        name=node.name,
        parameter=node.name,
        is_async=asynchronous,
        imports=frozenset({Import("pytest")}) if asynchronous else frozenset(),
        marks="@pytest.mark.anyio\n" if asynchronous else "",
    )


def application_clients(tree: Tree) -> tuple[Client, ...]:
    """Return clients made from application factories and module-level application objects."""
    found: list[Client] = _of_django(tree)
    for module in tree.modules:
        for function in module.functions:
            kind = _kind(function.node) if _is_factory(function) else ""
            if kind:
                found.append(_of_application(module, function.name, "()", kind))
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                kind = _kind(node.value)
                if kind:
                    found.append(_of_application(module, node.targets[0].id, "", kind))
    return tuple(found[:MOST_APPLICATIONS])


def _of_django(tree: Tree) -> list[Client]:
    """Return Django's own client, set up with the settings that the project names."""
    texts = (tree.product.read(path) for path in SETTINGS_FILES if tree.product.has(path))
    named = next((found[1] for text in texts if (found := SETTINGS.search(text))), "")
    if not named or framework_of(tree) != "django":
        return []
    setup = (
        f'    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{named}")\n'
        "    django.setup()\n"
        '    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]\n'
        "    client = Client()\n\n"
    )
    names = (("os", ""), ("django", ""), ("django.conf", "settings"), ("django.test", "Client"))
    imports = frozenset(Import(*one) for one in names)
    told = f"django.test.Client with {named}"
    return [Client(told=told, name="client", imports=imports, setup=setup)]


def _is_factory(function: Function) -> bool:
    given = function.node.args
    required = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    bare = required <= 0 and all(one is not None for one in given.kw_defaults)
    return function.name in FACTORIES and function.qualname == function.name and bare


def _kind(node: ast.AST) -> str:
    """Return which framework's application a piece of code makes: starlette, flask or ""."""
    made = {_called(one) for one in ast.walk(node) if isinstance(one, ast.Call)}
    return "starlette" if made & STARLETTE else "flask" if made & FLASK else ""


def _of_application(module: Module, name: str, call: str, kind: str) -> Client:
    told = f"{module.name}.{name}{call}"
    imports = {Import(module.name, name)}
    if kind == "flask":
        made = f"    app = {name}{call}\n" if call or name != "app" else ""
        setup = f"{made}    app.testing = True\n    client = app.test_client()\n\n"
        return Client(told=told, name="client", imports=frozenset(imports), setup=setup)
    imports.add(Import("starlette.testclient", "TestClient"))
    enter = f"    with TestClient({name}{call}) as client:\n"
    return Client(told=told, name="client", imports=frozenset(imports), enter=enter)
