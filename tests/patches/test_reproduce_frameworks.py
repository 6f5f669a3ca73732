"""Recorded requests of real small products, replayed through each framework's own client.

The unmodified Sentry SDK reports the crash of tests/cases/frameworks; a request that needs a
logged-in visitor comes again only through the product's own test, since cookies are never sent.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.plain_sandbox import PlainSandbox
from reproduce_cases import NoHistory

from selfdrive_dagster.model import Product, Reproduction, Way
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.telemetry import read_crashes

pytestmark = pytest.mark.slow  # each test starts a product and its framework several times

CASES = Path(__file__).parent.parent / "cases" / "frameworks"
LEAN = ("-q", "-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:timeout")
PROGRAM = """
import sys
import sentry_sdk
from sentry_sdk.transport import Transport

class Keep(Transport):
    def capture_envelope(self, envelope):
        if envelope.get_event() is not None:
            sys.stdout.buffer.write(envelope.serialize())
            sys.stdout.flush()

sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=Keep, max_request_body_size="always")
PATH = sys.argv[1]
exec(open("production.py").read())
"""


def reproduced(framework: str, path: str, folder: Path, *, tested: bool = True) -> Reproduction:
    """Let a product crash on a request, then reproduce it, with or without its own tests."""
    pytest.importorskip(framework)
    if framework == "django" and tested:
        pytest.importorskip("pytest_django")
    root = folder / "tree"
    shutil.copytree(CASES / framework, root)
    ran = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, path], cwd=root, capture_output=True, timeout=60
    )
    [crash] = read_crashes(ran.stdout, framework)
    (root / "production.py").unlink()
    if not tested:
        shutil.rmtree(root / "tests")
    product = Product(
        name=framework, root=str(root), python=sys.executable, source=("library",), tests=LEAN
    )
    found = diagnose(product, NoHistory(), crash=crash)
    return reproduce(found, product, PlainSandbox())


LOGGED_IN = {
    "flask": 'response = member_client.post("/loans", json={"days": 0})',
    "fastapi": 'client.post("/login")\n    response = client.post("/loans", json={"days": 0})',
    "django": 'client.post("/loans", data={"days": 0}, content_type="application/json")',
}


@pytest.mark.parametrize("framework", LOGGED_IN)
def test_a_request_of_a_logged_in_visitor_comes_again(framework: str, tmp_path: Path) -> None:
    found = reproduced(framework, "/loans", tmp_path)
    assert found.reproducer is not None, found.attempts
    assert found.reproducer.way is Way.HTTP_REPLAY, found.reproducer.source
    assert LOGGED_IN[framework] in found.reproducer.source


@pytest.mark.parametrize("framework", LOGGED_IN)
def test_without_the_products_tests_nobody_is_logged_in(framework: str, tmp_path: Path) -> None:
    """The status 401 is no reproduction, and is told as what it is."""
    found = reproduced(framework, "/loans", tmp_path, tested=False)
    assert found.reproducer is None
    sent = [one for one in found.attempts if one.way is Way.HTTP_REPLAY]
    assert "did not fail: the test passed" in [one.outcome for one in sent], sent


CLIENTS = {"fastapi": "TestClient(app)", "django": "Client()"}


@pytest.mark.parametrize("framework", ["fastapi", "django"])
def test_the_applications_own_client_serves_where_no_test_does(
    framework: str, tmp_path: Path
) -> None:
    found = reproduced(framework, "/shelves/0", tmp_path, tested=False)
    assert found.reproducer is not None, found.attempts
    assert found.reproducer.way is Way.HTTP_REPLAY
    assert CLIENTS[framework] in found.reproducer.source


def test_a_view_that_takes_plain_values_needs_no_request(tmp_path: Path) -> None:
    found = reproduced("flask", "/shelves/0", tmp_path, tested=False)
    assert found.reproducer is not None
    assert found.reproducer.way is Way.CAPTURED_ARGUMENTS
    assert "shelf(0)" in found.reproducer.source
