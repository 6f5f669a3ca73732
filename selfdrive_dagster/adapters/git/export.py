"""Write one revision's files into a fresh folder, byte for byte as committed.

Blobs are read with `cat-file` and written by us: `git archive` would run smudge filters and
leave out what `export-ignore` names, which in many projects is the tests.
"""

import os
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import IO

import msgspec

from selfdrive_dagster.adapters.git.command import GitFailed, kill_group, start_git
from selfdrive_dagster.adapters.git.shadow import Shadow
from selfdrive_dagster.errors import BadInput, SelfdriveError

MAX_BYTES = 2 * 2**30
MAX_FILES = 200_000
LIST_SECONDS = 120.0
BLOCK_BYTES = 2**16
MAX_WORDS = 2**12
LINK, SUBMODULE, PROGRAM = "120000", "160000", "100755"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written (files, sizes in bytes) and a sentence for each thing left out."""

    files: int
    size_bytes: int
    left_out: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """One row of `git ls-tree -r -l`."""

    mode: str
    sha: str
    size: int
    path: str


def export_tree(shadow: Shadow, tree: str, into: Path) -> Exported:
    """Write a tree below `into`, which must be empty or not there.

    Files get mode 0644 or 0755, folders 0755. Links that lead outside, submodules and names
    that no checkout would write are left out and told. Raises BadInput when the tree is
    larger than MAX_BYTES or MAX_FILES, SelfdriveError when the disk refuses.
    """
    entries, left_out = choose(bounded(list_tree(shadow, tree)))
    try:
        into.mkdir(parents=True, exist_ok=True)
        if any(into.iterdir()):
            raise BadInput(f"{into} is not empty.", remedy="export into a fresh folder")
        into.chmod(0o755)
        links = write_files(shadow, entries, into)
        left_out += write_links(links, into)
    except OSError as error:
        raise SelfdriveError(
            f"The product's files cannot be copied to {error.filename or into}: {error.strerror}.",
            remedy="make room there, or set TMPDIR to a roomier disk",
        ) from error
    size = sum(entry.size for entry in entries)
    return Exported(files=len(entries), size_bytes=size, left_out=tuple(left_out))


def list_tree(shadow: Shadow, tree: str, seconds: float = LIST_SECONDS) -> Generator[Entry]:
    """Yield a tree's entries at every depth, as git finds them.

    A few kilobytes of trees that name each other may hold more entries than any memory: who
    stops reading ends git, and so does time.
    """
    for row in rows_of(shadow, ["ls-tree", "-r", "-z", "-l", "--full-tree", tree], seconds):
        facts, _, path = row.partition(b"\t")
        mode, _kind, sha, size = facts.decode().split()
        # "-" for a submodule, "BAD" for a blob that is not there: reading it will tell.
        length = int(size) if size.isdigit() else 0
        yield Entry(mode, sha, length, os.fsdecode(path))


def rows_of(shadow: Shadow, arguments: list[str], seconds: float) -> Iterator[bytes]:
    """Yield what git prints, row by row, each ended by a zero byte."""
    environ = shadow.environment()
    with TemporaryFile() as said:
        process = start_git(
            arguments, cwd=shadow.folder, environ=environ, stdin=subprocess.DEVNULL, stderr=said
        )
        alarm = Timer(seconds, kill_group, [process])
        alarm.start()
        with process:
            try:
                yield from cut(process.stdout)  # type: ignore[arg-type]  # we asked for a pipe
                fault = process.wait()
            finally:
                alarm.cancel()
                if process.poll() is None:
                    kill_group(process)
        if fault:
            said.seek(0)
            late = f"no end after {seconds:.0f} seconds"
            words = said.read(MAX_WORDS).decode(errors="replace")
            raise GitFailed(arguments, late if fault == -signal.SIGKILL else words)


def cut(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the pieces between zero bytes of a stream."""
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        *rows, rest = (rest + block).split(b"\0")
        yield from rows


def bounded(entries: Generator[Entry]) -> Iterator[Entry]:
    """Yield entries while they are no more than we copy, then stop git and raise BadInput."""
    size = 0
    with closing(entries):
        for count, entry in enumerate(entries, start=1):
            size += entry.size
            if count > MAX_FILES or size > MAX_BYTES:
                raise BadInput(
                    f"This revision holds more than we copy ({MAX_FILES:,} files, "
                    f"{MAX_BYTES / 2**20:,.0f} MiB).",
                    remedy="point Selfdrive at the folder of the service inside the repository",
                )
            yield entry


def choose(entries: Iterator[Entry]) -> tuple[list[Entry], list[str]]:
    """Divide entries into those to write and sentences about the others."""
    kept, left_out = [], []
    for entry in entries:
        if entry.mode == SUBMODULE:
            left_out.append(f"The submodule {entry.path} was left out.")
        elif not is_safe(entry.path):
            left_out.append(f"{entry.path!a} was left out: no checkout would write that name.")
        else:
            kept.append(entry)
    return kept, left_out


def is_safe(path: str) -> bool:
    """Say whether a path stays inside and touches no `.git`."""
    parts = path.split("/")
    return not any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)


def write_files(shadow: Shadow, entries: list[Entry], into: Path) -> list[tuple[str, str]]:
    """Write all blobs; return links as (path, target) for later.

    Links come last so that no file is ever written through one.
    """
    links = []
    for entry, blob in zip(entries, read_blobs(shadow, entries), strict=True):
        target = into / entry.path
        make_folders(target.parent, into)
        if entry.mode == LINK:
            links.append((entry.path, os.fsdecode(blob)))
            continue
        write_new(target, blob, 0o755 if entry.mode == PROGRAM else 0o644)
    return links


def write_new(target: Path, blob: bytes, mode: int) -> None:
    """Write a file that is not there yet, with this mode whatever the umask says."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(blob)
        os.fchmod(descriptor, mode)


def make_folders(folder: Path, into: Path) -> None:
    """Make a folder and its parents below `into`, each with mode 0755."""
    if folder != into and not folder.is_dir():
        make_folders(folder.parent, into)
        folder.mkdir()
        folder.chmod(0o755)


def read_blobs(shadow: Shadow, entries: list[Entry]) -> Iterator[bytes]:
    """Yield each entry's bytes, in order, from one `git cat-file --batch`."""
    arguments = ["cat-file", "--batch"]
    with TemporaryFile() as wanted:
        wanted.write("".join(f"{entry.sha}\n" for entry in entries).encode())
        wanted.seek(0)
        environ = shadow.environment()
        process = start_git(arguments, cwd=shadow.folder, environ=environ, stdin=wanted)
        with process:
            try:
                for entry in entries:
                    yield read_blob(arguments, entry, process)
            finally:
                process.kill()  # a reader that stops early leaves nobody waiting


def read_blob(arguments: list[str], entry: Entry, process: subprocess.Popen[bytes]) -> bytes:
    """Read one answer: "<sha> blob <size>", the bytes, a newline."""
    out: IO[bytes] = process.stdout  # type: ignore[assignment]  # we asked for a pipe
    header = out.readline().split()
    if len(header) != 3:
        raise GitFailed(arguments, f"{entry.path} is missing from the repository")
    blob = out.read(int(header[2]) + 1)[:-1]
    if len(blob) != int(header[2]):
        raise GitFailed(arguments, f"{entry.path} ended early")
    return blob


def write_links(links: list[tuple[str, str]], into: Path) -> list[str]:
    """Write links that stay inside the tree; return a sentence for each that does not.

    All are made first: only then does following one show where a chain of them leads.
    """
    for path, target in links:
        (into / path).symlink_to(target)
    inside = os.path.realpath(into) + os.sep
    left_out = []
    for path, target in links:
        leads_to = os.path.realpath(into / path) + os.sep
        if target.startswith("/") or not leads_to.startswith(inside):
            (into / path).unlink()
            left_out.append(f"The link {path} was left out: it leads outside, to {target!a}.")
    return left_out
