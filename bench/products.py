"""Products to repair: sources from the package index, an interpreter of their own, a git tree.

Everything is fetched at run time by `pip` as it is set up on this machine, and kept in a cache
folder. Only package names and versions stand here, never an address.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0")


class NotToBeHad(Exception):
    """A source archive or an environment that could not be fetched; says why."""


def cache_folder(chosen: Path | None) -> Path:
    """Return the folder that downloads stay in: the chosen one, else in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = chosen or Path(base).expanduser() / "selfdrive-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def source_of(package: str, version: str, cache: Path) -> Path:
    """Return the unpacked source archive of one release. Raises NotToBeHad."""
    folder = cache / "sources" / f"{package}-{version}"
    if not folder.is_dir():
        archives = cache / "archives" / f"{package}-{version}"
        _pip(
            "download", "--no-binary", ":all:", "--no-deps", "--dest", str(archives),
            f"{package}=={version}",
        )  # fmt: skip
        [archive] = archives.glob("*.tar.gz")
        _unpack(archive, folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(folder.with_suffix(".new"), filter="data")
    [top] = folder.with_suffix(".new").iterdir()
    top.rename(folder)
    folder.with_suffix(".new").rmdir()


def interpreter(name: str, requirements: tuple[str, ...], cache: Path) -> str:
    """Return the Python of an environment with these packages, made once. Raises NotToBeHad."""
    folder = cache / "environments" / name
    python, wanted = folder / "bin" / "python", "\n".join(requirements)
    told = folder / "requirements.txt"
    if not told.is_file() or told.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        _pip("install", *requirements, python=str(python))
        told.write_text(wanted)
    return str(python)


def _pip(*words: str, python: str = sys.executable) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", words[0], "-q", *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotToBeHad(done.stderr.strip().splitlines()[-1][:300])


def lay_out(
    source: Path,
    folder: Path,
    python: str,
    changed: Mapping[str, str] | None = None,
    tests: str = "pytest -q",
) -> Path:
    """Copy a release to a fresh folder as a git repository of one commit; return the folder.

    `changed` are files with another text than the release's; `tests` is how its tests are run.
    """
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.egg-info", "*.pyc"))
    for path, text_of in (changed or {}).items():
        (folder / path).write_text(text_of, encoding="utf-8")
    name = source.name.rpartition("-")[0]
    text = f'[service]\nname = "{name}"\npython = "{python}"\ntests = "{tests}"\n'
    (folder / "selfdrive.toml").write_text(text)
    commit(folder, "Release it")
    return folder


def commit(folder: Path, message: str) -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    begin = () if (folder / ".git").exists() else (("init", "-q", "-b", "main"),)
    for words in (*begin, ("add", "-A", "-f"), ("commit", "-qm", message)):
        subprocess.run([*GIT, *words], cwd=folder, check=True)


def test_files(source: Path) -> dict[str, str]:
    """Return the texts of a release's own test files by their relative paths."""
    from selfdrive_dagster.model.product import is_test_path

    paths = (file.relative_to(source).as_posix() for file in sorted(source.rglob("*.py")))
    return {p: (source / p).read_text(encoding="utf-8") for p in paths if is_test_path(p)}
