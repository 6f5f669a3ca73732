"""The sections of `selfdrive.toml`, their types, defaults and meaning.

Each field's description says what it wants, in words that fit behind "wants …": the reader
puts them into its faults. A new setting is one line here. Rules that need the disk or a
parser live in `reading`.
"""

import shlex
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from selfdrive_dagster.config.detecting import Detect
from selfdrive_dagster.config.discover import Found
from selfdrive_dagster.config.prices import Prices
from selfdrive_dagster.config.unittests import unittest_arguments

Text = Annotated[str, Meta(description="text in quotes")]
Texts = Annotated[tuple[str, ...], Meta(description='a list of texts, like ["a", "b"]')]
Switch = Annotated[bool, Meta(description="true or false")]
Count = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]
Days = Annotated[int, Meta(ge=0, le=36_500, description="days, 0 for ever")]
Seconds = Annotated[float, Meta(gt=0, le=86_400, description="seconds, more than 0, up to a day")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
Dollars = Annotated[float, Meta(ge=0, le=1e6, description="US dollars, 0 to a million")]
Level = Annotated[
    Literal["L0", "L1", "L2", "L3", "L4"],
    Meta(description='"L0", "L1" (observe), "L2" (propose), "L3" (drive approved) or "L4"'),
]
Format = Literal["otlp", "sentry", "events"]
Generator = Literal["builtin", "drafts", "claude"]
Actuator = Literal["none", "traefik"]

DRIVING = ("L3", "L4")
"""Levels at which Selfdrive itself rolls out what was approved."""

BUILTIN: tuple[Generator, ...] = ("builtin",)

ALWAYS_WORTH_A_HUMAN = ("**/auth/**", "**/billing/**", "**/payments/**", "**/migrations/**")


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """`[service]`: what the product is and how its tests run.

    `source` are folders or single modules, relative; `python` is an interpreter's path, ""
    until found; `tests_isolated` is the test command that needs no network, "" when `tests`
    needs none itself.
    """

    name: Text = ""
    repository: Text = ""
    branch: Text = ""
    source: Texts = ()
    setup: Text = ""
    tests: Text = "pytest -q"
    tests_isolated: Text = ""
    python: Text = ""

    def test_arguments(self) -> tuple[str, ...]:
        """Return what pytest gets for the tests that run isolated: the words behind `pytest`."""
        return pytest_arguments(self.tests_isolated or self.tests) or ()


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """`[telemetry]`: where the receiver listens and what it takes.

    `good_calls` is the file that the opt-in recorder writes, relative to the product, "" for none.
    """

    listen: Text = "127.0.0.1:4318"
    accept: Annotated[
        tuple[Format, ...], Meta(description='a list out of "otlp", "sentry", "events"')
    ] = ("otlp", "sentry", "events")
    forward: Text = ""
    good_calls: Text = ""
    capture_arguments: Switch = True
    attributes: Annotated[
        Literal["all", "listed"],
        Meta(description='"all" (past the detectors) or "listed" (the allow-list only)'),
    ] = "all"
    keep_attributes: Texts = ()
    quota_per_minute: Annotated[
        int, Meta(ge=0, description="events a minute of each service, 0 for no limit")
    ] = 0
    late_hours: Annotated[
        int, Meta(ge=0, description="hours an event may take to arrive, 0 for any")
    ] = 48
    retention_days: Days = 90
    aggregates_days: Days = 400
    keep_arguments_days: Days = 14

    def address(self) -> tuple[str, int]:
        """Return (host, port) of `listen`; an IPv6 host comes without its brackets."""
        return host_and_port(self.listen)

    def forwards_to(self) -> str:
        """Return where envelopes go on to, unredacted, as it may be shown; "" for nowhere."""
        parts = urlsplit(self.forward)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class Autonomy(msgspec.Struct, frozen=True, kw_only=True):
    """`[autonomy]`: how much Selfdrive may do alone. `protected` are glob patterns."""

    level: Level = "L1"
    protected: Texts = ALWAYS_WORTH_A_HUMAN
    max_open_changes: Count = 5
    max_lines: Count = 50


class Patches(msgspec.Struct, frozen=True, kw_only=True):
    """`[patches]`: who drafts, and what it may cost.

    "builtin" draws from templates; "drafts" takes patches that lie in `drafts/` of the home;
    "claude" asks Anthropic's API, for at most the day's budget, which is nothing until you set it.
    A call, a change and an issue have caps of their own; a month's cap of 0 is none. `model` ""
    is the one that `prices.toml` names; `prices` go before that table. A repair of which we are
    less sure than `confidence` is not proposed.
    """

    generators: Annotated[
        tuple[Generator, ...], Meta(description='a list out of "builtin", "drafts", "claude"')
    ] = BUILTIN
    budget_usd_per_call: Dollars = 1.0
    budget_usd_per_change: Dollars = 2.0
    budget_usd_per_issue: Dollars = 4.0
    budget_usd_per_day: Dollars = 0.0
    budget_usd_per_month: Dollars = 0.0
    model: Text = ""
    max_output_tokens: Annotated[
        int, Meta(ge=500, le=64_000, description="tokens of one answer, 500 to 64000")
    ] = 16_000
    prices: Prices = {}
    max_candidates: Count = 400
    seconds: Seconds = 600.0
    confidence: Share = 0.5


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """`[rollout]`: who moves the traffic. "none": you deploy, Selfdrive watches.

    `run` starts one process of the product, `{port}` is where it must listen on loopback;
    `environment` is what it gets beside your own, where `{revision}` is the commit. `health` is
    a path that answers 2xx or 3xx when it serves; `listen` is where visitors arrive;
    `session_cookie` is the product's own, by which one visitor is told from another;
    `plan` names the stages.
    """

    actuator: Annotated[Actuator, Meta(description='"none" or "traefik"')] = "none"
    run: Text = ""
    environment: Annotated[
        dict[str, str], Meta(description='a table of texts, like {RELEASE = "{revision}"}')
    ] = {}
    health: Text = "/"
    listen: Text = "127.0.0.1:8000"
    session_cookie: Text = ""
    plan: Annotated[Literal["default", "demo"], Meta(description='"default" or "demo"')] = "default"

    def address(self) -> tuple[str, int]:
        """Return (host, port) of `listen`; an IPv6 host comes without its brackets."""
        return host_and_port(self.listen)


class Issues(msgspec.Struct, frozen=True, kw_only=True):
    """`[issues]`: what the business holds dear.

    `criticality` is OpenTelemetry's `service.criticality`; "" says nothing and counts as critical.
    `slo` is the share of requests that must succeed, 0 where none was promised. `routes` weighs
    what hurts at a route (`"POST /checkout" = 1.0`, `"GET /admin*" = 0.3`). `funnels` names the
    steps of a way through the product, each a route or an event. `merge` says whether crashes that
    are alike enough become one issue by themselves ("auto") or are only shown as perhaps one
    ("suggest").
    """

    merge: Annotated[Literal["auto", "suggest"], Meta(description='"auto" or "suggest"')] = "auto"
    criticality: Annotated[
        Literal["", "critical", "high", "medium", "low"],
        Meta(description='"critical", "high", "medium" or "low"'),
    ] = ""
    slo: Annotated[float, Meta(ge=0, lt=1, description="a share below 1, like 0.999")] = 0.0
    routes: Annotated[
        dict[str, Annotated[float, Meta(ge=0, le=1)]],
        Meta(description='a table of weights from 0 to 1, like {"GET /admin*" = 0.3}'),
    ] = {}
    funnels: Annotated[
        dict[str, Annotated[tuple[str, ...], Meta(min_length=2)]],
        Meta(description='a table of lists of two steps or more, like {buy = ["cart", "order"]}'),
    ] = {}


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """`[warehouse]`: which engine makes the SQL models.

    `spark_master` is where Spark runs: `local[*]`, in a Java process of this machine, or a
    cluster's address; `spark_memory` is what the Java process on this side may take.
    """

    engine: Annotated[Literal["duckdb", "spark"], Meta(description='"duckdb" or "spark"')] = (
        "duckdb"
    )
    spark_master: Annotated[
        str,
        Meta(
            pattern=r"^(local(\[(\*|[0-9]+)\])?|(spark|k8s|yarn)(://\S+)?)$",
            description='"local[*]", "local[4]", "spark://host:7077", "k8s://…" or "yarn"',
        ),
    ] = "local[*]"
    spark_memory: Annotated[
        str, Meta(pattern=r"^[1-9][0-9]*[mg]$", description='an amount like "2g" or "800m"')
    ] = "2g"


class Notify(msgspec.Struct, frozen=True, kw_only=True):
    """`[notify]`: whom to tell, as addresses that contain `://`."""

    urls: Texts = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All sections. `path` is the file they came from, "" when there was none."""

    path: Text = ""
    service: Service = Service()
    telemetry: Telemetry = Telemetry()
    issues: Issues = Issues()
    detect: Detect = Detect()
    warehouse: Tables = Tables()
    autonomy: Autonomy = Autonomy()
    patches: Patches = Patches()
    rollout: Rollout = Rollout()
    notify: Notify = Notify()

    def drives(self) -> bool:
        """Say whether approved changes are rolled out by us: the level allows and a way is set."""
        return self.autonomy.level in DRIVING and self.rollout.actuator != "none"

    def lacks_actuator(self) -> bool:
        """Say whether the level would have us drive and nothing is set to drive with."""
        return self.autonomy.level in DRIVING and self.rollout.actuator == "none"

    @classmethod
    def default_for(cls, found: Found) -> "Settings":
        """Return the settings of a repository without a file, from what it told of itself."""
        return cls().completed(found)

    def completed(self, found: Found) -> "Settings":
        """Return these settings with what the file left open taken from the repository."""
        replace = msgspec.structs.replace
        service = replace(
            self.service,
            name=self.service.name or found.name,
            source=self.service.source or found.source,
            python=self.service.python or found.python,
        )
        return replace(self, service=service)


class Idle(NamedTuple):
    """A setting that nothing acts on yet, and when a file sets it to more than that."""

    name: str
    is_set: Callable[[Settings], bool]


IDLE = (
    Idle("[service] setup", lambda s: bool(s.service.setup)),
    Idle('[autonomy] level above "L3"', lambda s: s.autonomy.level == "L4"),
    Idle('[autonomy] level "L3" without a [rollout] actuator', lambda s: s.lacks_actuator()),
    Idle("[notify] urls", lambda s: bool(s.notify.urls)),
)
"""What is read, checked and then waits for the part of Selfdrive that will obey it."""


def not_acted_on(settings: Settings) -> tuple[str, ...]:
    """Return the settings that somebody chose and nothing acts on yet."""
    return tuple(idle.name for idle in IDLE if idle.is_set(settings))


def host_and_port(listen: str) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port". Raises ValueError when it is not one."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError(listen)
    return host, int(port)


PYTEST_CALLS = (
    ("pytest",),
    ("python", "-m", "pytest"),
    ("python3", "-m", "pytest"),
    ("py.test",),
)


def pytest_arguments(command: str) -> tuple[str, ...] | None:
    """Return what pytest gets for a test command of its own or unittest's, None for any other."""
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        return None
    for call in PYTEST_CALLS:
        if words[: len(call)] == call:
            return words[len(call) :]
    return unittest_arguments(words)
