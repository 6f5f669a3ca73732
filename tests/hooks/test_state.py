"""The opt-in hook inside a product, with the real SDKs, to tests that rebuild what it sent.

The product of tests/cases/state crashes in nine ways that stock SDKs cannot tell: attributes,
models, enums, keys that are no texts, bound methods. Each crash travels over HTTP to a receiver.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from fakes.plain_sandbox import PlainSandbox
from fakes.receiving import receiving

from selfdrive_dagster.hooks import state
from selfdrive_dagster.model import Crash, Product, Reproducer, Way
from selfdrive_dagster.patches import diagnose, reproduce

LEAN = ("-q", "-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:timeout")
CASE = Path(__file__).parent.parent / "cases" / "state"
SDKS = {
    "stock sentry": "import sentry_sdk\nsentry_sdk.init(dsn=DSN)\n"
    "report = sentry_sdk.capture_exception\nend = sentry_sdk.flush\n",
    "sentry": "import sentry_sdk, hook\nsentry_sdk.init(dsn=DSN, before_send=hook.before_send)\n"
    "report = sentry_sdk.capture_exception\nend = sentry_sdk.flush\n",
    "opentelemetry": "import hook\nfrom opentelemetry.sdk.trace import TracerProvider\n"
    "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
    "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter\n"
    "provider = TracerProvider()\nprovider.add_span_processor(hook.StateProcessor())\n"
    "provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(URL + '/v1/traces')))\n"
    "tracer, end = provider.get_tracer('depot'), provider.shutdown\n"
    "def report(error):\n    try:\n"
    "        with tracer.start_as_current_span('job'):\n            raise error\n"
    "    except Exception:\n        pass\n",
}
LOOP = """
from depot.stock import CRASHES
for crash in CRASHES.values():
    try:
        crash()
    except Exception as error:
        report(error)
end()
"""


class NoHistory:
    """Version control that knows nothing."""

    def blame(self, path: str, line: int) -> None:
        return None

    def changes(self, path: str, limit: int) -> tuple[()]:
        return ()

    def show(self, revision: str, path: str) -> None:
        return None


def crashes_of(sdk: str, folder: Path) -> dict[str, Crash]:
    """Let the product crash in all its ways under an SDK; return what was stored, by function."""
    root = folder / "srv"
    shutil.copytree(CASE, root)
    shutil.copy(state.__file__, root / "hook.py")
    with receiving(folder) as receiver:
        head = f"DSN, URL = {receiver.dsn!r}, {receiver.url!r}\n"
        ran = subprocess.run(
            [sys.executable, "-B", "-c", head + SDKS[sdk] + LOOP],
            cwd=root,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        receiver.stop()
        rows = receiver.rows("exceptions")
    crashes = [msgspec.json.decode(row.crash_json, type=Crash) for row in rows]
    return {one.raised.frames[-1].function.rpartition(".")[2]: one for one in crashes}


def reproducers_of(sdk: str, folder: Path) -> dict[str, Reproducer | None]:
    """Return what came of each crash."""
    crashes = crashes_of(sdk, folder)
    root = folder / "tree"
    shutil.copytree(CASE, root)
    product = Product(
        name="depot", root=str(root), python=sys.executable, source=("depot",), tests=LEAN
    )
    found = {}
    for name, crash in crashes.items():
        diagnosis = diagnose(product, NoHistory(), crash=crash)
        found[name] = reproduce(diagnosis, product, PlainSandbox()).reproducer
    return found


@pytest.fixture(scope="module", params=["sentry", "opentelemetry"])
def reproducers(request, tmp_path_factory) -> dict[str, Reproducer | None]:
    return reproducers_of(request.param, tmp_path_factory.mktemp("state"))


CALLS = {
    "share": 'Crate(label="tea", pieces=0)',
    "first": "restored(Queue, _Queue__waiting=[], done=0)",
    "first_tag": "Label(size=Size.LARGE, price=Decimal(",
    "days": 'UUID("11111111-1111-1111-1111-111111111111"), weight=Fraction(1, 3))',
    "initial": 'Letter.model_construct(to="").initial()',
    "route": 'route({Place(aisle=1, shelf=2): "left"}, Place(aisle=1, shelf=3), {Size.SMALL: 1})',
    "pick": 'pick(partial(max, **{"key": len}), [], re.compile("[xx]+", 34).match, Path("/srv"))',
    "greet": 'restored(Account, api_key="filtered", name="Ada")',
    "last": 'seen=defaultdict(int, {7: 3}), recent=deque([1]), order=OrderedDict({"a": 1}))',
}


def bare(source: str) -> str:
    """Return code without what makes it readable."""
    return "".join(source.split()).replace(",)", ")")


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_what_the_hook_sends_makes_the_crash_again(name, reproducers) -> None:
    made = reproducers[name]
    assert made is not None
    assert made.way is Way.CAPTURED_ARGUMENTS
    assert bare(CALLS[name]) in bare(made.source), made.source
    compile(made.source, made.path, "exec")


@pytest.mark.slow
def test_a_lock_is_left_out_and_told(reproducers) -> None:
    made = reproducers["first"]
    assert (
        "# Queue._lock is left out: it is a lock, which no import of ours reaches." in made.source
    )
    assert "without its constructor" in made.source
    assert "Queue._lock" in made.arguments[0].unknown


@pytest.mark.slow
def test_a_secret_never_leaves_and_a_stand_in_is_told(reproducers) -> None:
    made = reproducers["greet"]
    assert "k-3f9a" not in made.source
    assert "'filtered' stands in for what was hidden" in " ".join(
        line.lstrip("# ") for line in made.source.splitlines()
    )
    assert "'filtered'" not in made.production_values


class Lazy:
    """A stand-in for something else, as frameworks use them: to look at it is to load it."""

    def __getattribute__(self, name: str):
        raise AssertionError(f"the hook asked for {name}")

    def __repr__(self) -> str:
        raise AssertionError("the hook asked for its repr")


def crashing(lazy: object, number: int) -> None:
    raise ValueError


def test_the_hook_asks_nothing_of_a_proxy_and_bears_any_number() -> None:
    with pytest.raises(ValueError) as caught:
        crashing(Lazy(), 10**9000)
    [innermost, *_] = json.loads(state.state_of(caught.value))["frames"]
    assert innermost["function"] == "crashing"
    assert innermost["vars"]["lazy"]["state"] == {}
    assert innermost["vars"]["number"] == {"$cut": "int"}


def test_a_report_stays_small_whatever_the_arguments_hold() -> None:
    with pytest.raises(ValueError) as caught:
        crashing([["x" * 1900] * 50] * 50, 1)
    told = state.state_of(caught.value)
    assert len(told) < 300_000
    assert '"$cut": "str"' in told


@pytest.mark.slow
def test_stock_data_alone_rebuilds_few(tmp_path) -> None:
    """What the hook is for: without it the same crashes mostly stay unknown."""
    stock = {name for name, one in reproducers_of("stock sentry", tmp_path).items() if one}
    assert stock <= {"first_tag", "days", "pick"}
