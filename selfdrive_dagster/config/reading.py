"""Read `selfdrive.toml`: every fault is collected and told once, with key and remedy.

msgspec stops at the first fault, so each key is converted alone. Types and bounds come from
`settings`; the rules here need the disk or a parser.
"""

import os
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from selfdrive_dagster.config.discover import discover, is_program
from selfdrive_dagster.config.settings import Settings, host_and_port, pytest_arguments
from selfdrive_dagster.errors import BadInput, SettingsError

FILE_NAME = "selfdrive.toml"


def load(repo: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a repository; without a file, what it tells of itself.

    What the file leaves open is filled from the repository. Raises BadInput when there is
    no such folder, SettingsError with all faults of the file.
    """
    if not repo.is_dir():
        kind = "is not a folder" if repo.exists() else "does not exist"
        raise BadInput(f"{repo} {kind}.", remedy="name the folder that holds the product's code")
    path = repo / FILE_NAME
    found = discover(repo, environ)
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return Settings.default_for(found)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), [f"it cannot be read as UTF-8 text: {error}"]) from error
    return parse(text, path).completed(found)


def parse(text: str, path: Path) -> Settings:
    """Return the settings that a file's text holds; paths in it are relative to its folder.

    Raises SettingsError with every fault.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(str(path), [f"it is not valid TOML: {error}"]) from error
    faults: list[str] = []
    sections = {
        name: read_section(name, kind, tables.pop(name, {}), faults)
        for name, kind in section_types().items()
    }
    faults += [unknown(name, f"[{name}]", section_types()) for name in tables]
    settings = Settings(path=str(path), **sections)
    faults += [fault for rule in RULES for fault in rule(settings, path.parent)]
    if faults:
        raise SettingsError(str(path), faults)
    return anchored(settings, path.parent)


def anchored(settings: Settings, folder: Path) -> Settings:
    """Return the settings with an interpreter's relative path made absolute."""
    if not settings.service.python:
        return settings
    # Not resolved: a virtual environment is known by the name its interpreter is called with.
    python = str(folder.absolute() / settings.service.python)
    replace = msgspec.structs.replace
    return replace(settings, service=replace(settings.service, python=python))


def section_types() -> dict[str, type[msgspec.Struct]]:
    """Return the tables a file may have, by name."""
    return {
        field.name: field.type
        for field in msgspec.structs.fields(Settings)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    }


def read_section(name: str, kind: type[msgspec.Struct], table: Any, faults: list[str]) -> Any:
    """Return a section; a key at fault keeps its default and adds a line to `faults`."""
    if not isinstance(table, dict):
        faults.append(f"{name} = {shown(table)} must be a table: write [{name}] and keys below it")
        return kind()
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    values = {}
    for key, value in table.items():
        if key not in fields:
            faults.append(unknown(key, f"[{name}] {key}", fields))
            continue
        try:
            values[key] = msgspec.convert(value, fields[key].type)
        except msgspec.ValidationError:
            wants = description(fields[key].type)
            faults.append(f"[{name}] {key} is {shown(value)}; it wants {wants}")
    return kind(**values)


def unknown(name: str, where: str, known: Mapping[str, Any]) -> str:
    """Tell of a key nobody knows, with the one that was probably meant."""
    close = get_close_matches(name, known, n=1, cutoff=0.7)
    meant = f"did you mean {close[0]}?" if close else f"known are: {', '.join(known)}"
    return f"{where} is unknown; {meant}"


def description(kind: Any) -> str:
    """Return the words of a field's type that fit behind "wants"."""
    if get_origin(kind) is not Annotated:
        return str(kind)
    return " ".join(m.description for m in get_args(kind) if getattr(m, "description", None))


def shown(value: Any) -> str:
    """Return a value as it may stand in a message: short, quoted, without control characters."""
    text = "true" if value is True else "false" if value is False else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def source_faults(settings: Settings, folder: Path) -> Iterator[str]:
    """Each source is a folder or a module inside the repository."""
    for source in settings.service.source:
        where = f"[service] source names {shown(source)}"
        parts = Path(source).parts
        if Path(source).is_absolute() or ".." in parts or not parts:
            yield f'{where}; it wants a path inside the repository, like "shop"'
        elif not (folder / source).exists():
            yield f"{where}, which is not there; make it or name a folder that is"


def python_faults(settings: Settings, folder: Path) -> Iterator[str]:
    """The interpreter, when named, is a program. A relative path starts at the repository."""
    python = settings.service.python
    if python and not is_program(folder / python):
        yield f"[service] python is {shown(python)}; it wants the path of a Python interpreter"


def command_faults(settings: Settings, _folder: Path) -> Iterator[str]:
    """Test commands are calls of pytest: nothing else can be run test by test."""
    for key in ("tests", "tests_isolated"):
        command = getattr(settings.service, key)
        if command and pytest_arguments(command) is None:
            yield f'[service] {key} is {shown(command)}; it wants a call of pytest: "pytest -q"'


def listen_faults(settings: Settings, _folder: Path) -> Iterator[str]:
    """The receiver and the proxy each listen at host:port."""
    for name, listen in (
        ("telemetry", settings.telemetry.listen),
        ("rollout", settings.rollout.listen),
    ):
        try:
            host_and_port(listen)
        except ValueError:
            wants = 'it wants "host:port" with a port from 1 to 65535'
            yield f"[{name}] listen is {shown(listen)}; {wants}"


def run_faults(settings: Settings, _folder: Path) -> Iterator[str]:
    """Whoever moves traffic must know how to start the product, and where it is healthy."""
    rollout = settings.rollout
    if rollout.actuator != "none" and not rollout.run:
        yield '[rollout] run is not set; it wants a command, like "python -m shop --port {port}"'
    if rollout.run and "{port}" not in rollout.run:
        yield f"[rollout] run is {shown(rollout.run)}; it wants {{port}} where the port belongs"
    if rollout.run and not is_command(rollout.run):
        yield f"[rollout] run is {shown(rollout.run)}; it wants quotes that are closed"
    if not rollout.health.startswith("/"):
        yield f'[rollout] health is {shown(rollout.health)}; it wants a path, like "/health"'


def is_command(text: str) -> bool:
    """Say whether a text can be split into words as a shell would."""
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


def forward_faults(settings: Settings, _folder: Path) -> Iterator[str]:
    """Forwarded Sentry traffic goes to a DSN."""
    forward = settings.telemetry.forward
    if forward and not is_dsn(forward):
        yield "[telemetry] forward wants a Sentry DSN, like https://key@host/1"


def notify_faults(settings: Settings, _folder: Path) -> Iterator[str]:
    """Each address has a scheme. Addresses may hold secrets and are not repeated."""
    for place, url in enumerate(settings.notify.urls, start=1):
        if "://" not in url:
            yield f"[notify] urls, entry {place}, wants an address with a scheme, like mailto://…"


def is_dsn(text: str) -> bool:
    """Say whether a text is shaped like a Sentry DSN: scheme, key, host and project."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and all(
            (parts.username, parts.hostname, parts.path.strip("/"), parts.port != 0)
        )
    except ValueError:  # a port that is no number, a broken IPv6 host
        return False


Rule = Callable[[Settings, Path], Iterator[str]]

RULES: tuple[Rule, ...] = (
    source_faults,
    python_faults,
    command_faults,
    listen_faults,
    run_faults,
    forward_faults,
    notify_faults,
)
