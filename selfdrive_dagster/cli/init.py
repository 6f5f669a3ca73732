"""`selfdrive init`: look at a repository, say what was found, write `selfdrive.toml`."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.signatures import ALLOWED_SIGNERS, MAKE_SIGNERS
from selfdrive_dagster.cli.render import AsJson, Repo, clean, emit
from selfdrive_dagster.config import FILE_NAME, Found, Settings, discover, parse
from selfdrive_dagster.errors import BadInput, Refused, SelfdriveError

HEAD = """\
# Selfdrive's settings for this product. Every key is optional: a line that is commented out
# shows the default. `selfdrive doctor` tells whether this machine has what is needed.
"""

SECTIONS = {
    "service": "What the product is and how its tests run.",
    "telemetry": "Where the receiver listens. Point the product's SDKs at it.",
    "autonomy": "How much Selfdrive may do alone: L1 observes, L2 proposes branches, L3 rolls out.",
    "patches": "Who drafts, and what it may cost.",
    "rollout": "Who moves the traffic: with none, you deploy and Selfdrive watches.",
    "notify": "Whom to tell.",
}

COMMENTS = {
    "repository": "where proposals are pushed; else the git remote origin",
    "branch": "the branch that is released; else the remote's default",
    "source": "folders or modules with the product's own code",
    "setup": "how the product's environment is made",
    "tests": "a pytest command",
    "tests_isolated": "those that need no network: \"pytest -q -m 'not integration'\"",
    "python": "the product's interpreter; else .venv, venv or the active environment",
    "accept": "otlp, sentry, events",
    "forward": "the Sentry DSN used until now, to keep both",
    "capture_arguments": "frame variables: they make crashes reproducible",
    "protected": "changes here are for humans alone",
    "max_lines": "a larger patch is not proposed",
    "generators": 'builtin, drafts (in the home), claude ("claude" needs ANTHROPIC_API_KEY)',
    "plan": "the stages of a rollout: default, or demo for minutes instead of days",
    "actuator": "none: you deploy; traefik: `selfdrive serve` does",
    "run": 'how one process starts: "python -m shop --port {port}"',
    "environment": 'what it gets beside yours: {RELEASE = "{revision}"}',
    "health": "a path that answers 200 when it serves",
    "session_cookie": "the product's own, which tells one visitor from another",
    "urls": "like mailto://… or slack://…",
}


class Initialised(msgspec.Struct, frozen=True, kw_only=True):
    """What `init` found and did. `branch` is None when there is none to be found."""

    path: str
    written: bool
    found: Found
    branch: str | None
    missing: tuple[str, ...]


def init(
    repo: Repo = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite selfdrive.toml.")] = False,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the file and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find source, tests, interpreter and branch, and write selfdrive.toml with comments."""
    if not repo.is_dir():
        raise BadInput(f"{repo} is not a folder.", remedy="name the folder with the product's code")
    path = repo / FILE_NAME
    if path.exists() and not (force or only_print):
        raise Refused(f"{path} is already there.", remedy="edit it, or overwrite it with --force")
    found = discover(repo)
    branch, gap = find_branch(repo)
    text = draft(found, branch, repo)
    parse(text, path)  # what we write, we can read
    if not only_print:
        write(path, text)
    missing = (*found.missing, *([gap] if gap else ()))
    report = Initialised(
        path=str(path), written=not only_print, found=found, branch=branch, missing=missing
    )
    if only_print and not as_json:
        print(text, end="")
    else:
        emit(report, lambda console: show(report, console), as_json=as_json)


def find_branch(repo: Path) -> tuple[str | None, str]:
    """Return the product's default branch, or None and a sentence that says why not."""
    repository = GitRepository.find(repo)
    if repository is None:
        return None, "No git repository: proposals can be shown, but not put on a branch."
    branch = repository.default_branch()
    if branch is None:
        return None, "No default branch: commit something, or name it in [service] branch."
    return branch, ""


def draft(found: Found, branch: str | None, repo: Path) -> str:
    """Return the text of a settings file: what was found, and every default as a comment."""
    chosen: dict[str, dict[str, Any]] = {
        "service": {
            "name": found.name,
            "branch": branch,
            "source": found.source,
            "tests": "pytest -q" if found.tests else None,
            "python": inside(found.python, repo),
        },
        "autonomy": {"level": "L1"},
    }
    parts = [HEAD]
    for name, sentence in SECTIONS.items():
        defaults = getattr(Settings(), name)
        lines = [
            line(key, chosen.get(name, {}).get(key), getattr(defaults, key))
            for key in defaults.__struct_fields__
        ]
        parts.append("\n".join((f"[{name}]  # {sentence}", *lines, "")))
    return "\n".join(parts)


def line(key: str, value: Any, default: Any) -> str:
    """Return `key = value`, or the default commented out when nothing was chosen."""
    comment = f"  # {COMMENTS[key]}" if key in COMMENTS else ""
    if value:
        return f"{key} = {toml(value)}{comment}"
    return f"# {key} = {toml(default)}{comment}"


def toml(value: Any) -> str:
    """Return a text, number, truth or list of them as TOML: here the same as JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def inside(python: str, repo: Path) -> str | None:
    """Return an interpreter's path relative to the repository, None when it lies elsewhere.

    A path of this one machine has no place in a file that a team shares.
    """
    root = repo.absolute()
    return str(Path(python).relative_to(root)) if Path(python).is_relative_to(root) else None


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise SelfdriveError(
            f"{path} cannot be written: {error.strerror}.",
            remedy="make the folder writable, or use --print and put the text there yourself",
        ) from error


def show(report: Initialised, console: Console) -> None:
    """Draw the report for people."""
    found = report.found
    rows = (
        ("source", ", ".join(found.source)),
        ("tests", ", ".join(found.tests)),
        ("interpreter", f"{found.python} ({found.python_from})"),
        ("branch", report.branch or ""),
    )
    for name, value in rows:
        mark = Text("found    ", style="green") if value else Text("not found", style="yellow")
        console.print(mark, Text(f"{name:<12}{clean(value)}"), soft_wrap=True)
    for sentence in report.missing:
        console.print(Text(f"· {clean(sentence)}", style="yellow"), soft_wrap=True)
    if not (Path(report.path).parent / ALLOWED_SIGNERS).is_file():
        console.print("To approve by signature (level L3), say whose key may:", soft_wrap=True)
        console.print(Text(f"  {MAKE_SIGNERS}", style="dim"), soft_wrap=True)
    console.print(Text(f"Wrote {clean(report.path)}. Next: selfdrive doctor"), soft_wrap=True)
