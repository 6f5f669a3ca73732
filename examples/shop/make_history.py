"""Make the shop's git repository: a healthy past, then the commits that broke it.

`python make_history.py TARGET [--defects 01-unknown-zone,...] [--extra file.patch]`

Authors and dates are made up and fixed, so the same choice gives the same commit ids. The
suite passes at every commit, except for the failing test that reports the silent defect.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFECTS = HERE / "defects"
MIRA = "Mira Lindqvist <mira@shop.example>"
TOMAS = "Tomás Aguilar <tomas@shop.example>"
JOY = "Joy Okafor <joy@shop.example>"
README = "# shop\n\nA small web shop. `python -m shop --port 8000` runs it, `pytest` tests it.\n"


class CannotMake(Exception):
    """The history cannot be made; the message says why and what would do."""


@dataclass(frozen=True)
class Note:
    """Who committed, when, and what they said."""

    author: str
    date: str
    subject: str
    body: str


@dataclass(frozen=True)
class Step:
    """A commit of the healthy past: files that arrive, and the lines of app.py they bring."""

    note: Note
    files: str
    app_lines: str = r"(?!)"


PAST = (
    Step(
        Note(MIRA, "2026-01-12T09:30:00+0100", "Open a shop with a catalogue", "Tea first."),
        ".gitignore pyproject.toml shop/__init__.py shop/__main__.py shop/app.py shop/py.typed"
        " shop/catalogue.py shop/database.py shop/errors.py shop/models.py shop/observability.py"
        " shop/parsing.py shop/passwords.py shop/sampling.py shop/seed.py shop/sessions.py"
        " shop/data/*.json shop/web/__init__.py shop/web/catalogue.py shop/web/context.py"
        " shop/web/front.py shop/web/middleware.py tests/conftest.py tests/test_catalogue.py"
        " tests/test_front.py tests/test_parsing.py",
    ),
    Step(
        Note(TOMAS, "2026-01-15T14:10:00+0100", "Let members sign in", "Guests stay welcome."),
        "shop/web/accounts.py tests/test_accounts.py",
        r"\baccounts\b",
    ),
    Step(
        Note(MIRA, "2026-01-21T11:02:00+0100", "Put products in a cart", "Discounts included."),
        "shop/cart.py shop/discounts.py shop/web/cart.py tests/test_cart.py"
        " tests/test_discounts.py",
        r"\bcart\b",
    ),
    Step(
        Note(JOY, "2026-01-27T16:45:00+0100", "Ship parcels", "By post, or express."),
        "shop/carrier.py shop/shipping.py shop/web/shipping.py tests/test_shipping.py",
        r"\bshipping\b|ExpressDesk",
    ),
    Step(
        Note(TOMAS, "2026-02-04T10:20:00+0100", "Let members write reviews", "With figures."),
        "shop/reviews.py shop/web/reviews.py tests/test_reviews.py",
        r"\breviews\b",
    ),
    Step(
        Note(MIRA, "2026-02-12T17:35:00+0100", "Sell the cart", "Bill, tax, points and export."),
        "shop/checkout.py shop/export.py shop/loyalty.py shop/orders.py shop/tax.py"
        " shop/web/checkout.py shop/web/orders.py tests/test_checkout.py tests/test_loyalty.py"
        " tests/test_orders.py tests/test_tax.py",
        r"\bcheckout\b|\borders\b|load_rates",
    ),
    Step(
        Note(JOY, "2026-02-19T09:15:00+0100", "Let Selfdrive watch the shop", "It only proposes."),
        "selfdrive.toml",
    ),
)
EXTRA = Note(TOMAS, "2026-07-20T12:00:00+0200", "Try something new", "")


def known_defects() -> tuple[str, ...]:
    """Return the names of the seeded defects, in the order of their commits."""
    return tuple(sorted(path.parent.name for path in DEFECTS.glob("*/defect.toml")))


def make_history(target: Path, defects: Sequence[str], extra: Path | None = None) -> str:
    """Make the repository in an empty or missing folder and return its head. Raises CannotMake."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CannotMake(f"{target} is not an empty folder: name another, or empty it.")
    unknown = sorted(set(defects) - set(known_defects()))
    if unknown:
        raise CannotMake(f"No defect {', '.join(unknown)}; there are {', '.join(known_defects())}.")
    if extra is not None and not extra.is_file():
        raise CannotMake(f"There is no patch {extra}.")
    target.mkdir(parents=True, exist_ok=True)
    _git(target, "init", "--quiet", "--initial-branch=main", "--object-format=sha1")
    (target / "README.md").write_text(README, encoding="utf-8")
    for count, step in enumerate(PAST, start=1):
        _bring(target, step, later=PAST[count:])
        _commit(target, step.note)
    for patch, note in _patches(sorted(defects)):
        _apply(target, patch)
        _commit(target, note)
    if extra is not None:
        _apply(target, extra.resolve())
        _commit(target, EXTRA)
    return _git(target, "rev-parse", "HEAD").strip()


def _bring(target: Path, step: Step, later: Sequence[Step]) -> None:
    for pattern in step.files.split():
        for source in sorted(HERE.glob(pattern)):
            file = target / source.relative_to(HERE)
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, file)
    lines = (HERE / "shop" / "app.py").read_text(encoding="utf-8").splitlines(keepends=True)
    missing = re.compile("|".join(one.app_lines for one in later) or r"(?!)")
    kept = "".join(line for line in lines if not missing.search(line))
    (target / "shop" / "app.py").write_text(kept, encoding="utf-8")


def _patches(defects: Sequence[str]) -> Iterator[tuple[Path, Note]]:
    """Yield the patches that break the shop, then the tests that report it."""
    tables = {
        name: tomllib.loads((DEFECTS / name / "defect.toml").read_text("utf-8")) for name in defects
    }
    for name, table in tables.items():
        yield DEFECTS / name / "defect.patch", _note(table["commit"])
    for name, table in tables.items():
        if "failing_test" in table:
            yield DEFECTS / name / "test.patch", _note(table["failing_test"])


def _note(table: dict[str, str]) -> Note:
    return Note(*(table[field] for field in ("author", "date", "subject", "body")))


def _apply(target: Path, patch: Path) -> None:
    _git(target, "apply", "--index", str(patch))


def _commit(target: Path, note: Note) -> None:
    name, address = note.author.removesuffix(">").split(" <")
    who = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", name), ("EMAIL", address), ("DATE", note.date))
    }
    _git(target, "add", "--all")
    message = f"{note.subject}\n\n{note.body}".strip()
    _git(target, "commit", "--quiet", f"--message={message}", **who)


def _git(target: Path, *arguments: str, **environment: str) -> str:
    """Run git, deaf to the settings of whoever runs us."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    deaf = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    ran = subprocess.run(
        ["git", *arguments],
        cwd=target,
        env={**inherited, **deaf, **environment},
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise CannotMake(f"git {arguments[0]} failed: {ran.stderr.strip()}")
    return ran.stdout


def main() -> int:
    """Make the history and print its head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("target", type=Path, help="a folder that is empty or not there yet")
    parser.add_argument("--defects", help="names, comma-separated; '' for none; default: all")
    parser.add_argument("--extra", type=Path, help="one more patch to commit on top")
    options = parser.parse_args()
    names = known_defects() if options.defects is None else options.defects.split(",")
    try:
        print(make_history(options.target, [name for name in names if name], options.extra))
    except CannotMake as error:
        print(f"make_history: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
