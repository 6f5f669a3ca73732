"""Remotes: where one may be, that none on this machine runs anything, and that no login shows."""

import base64
import http.server
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.made_repository import OWNER, MadeRepository

from selfdrive_dagster.adapters.git import GitRepository, remotes
from selfdrive_dagster.adapters.git.waiting import Waiting
from selfdrive_dagster.errors import BadInput, Busy, Refused, SelfdriveError

HOOKS = ("pre-receive", "update", "post-receive", "post-update", "reference-transaction")
HOOKS += ("proc-receive", "push-to-checkout", "pre-auto-gc")


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks"


@pytest.fixture
def made(tmp_path: Path) -> MadeRepository:
    repository = MadeRepository(tmp_path / "repo")
    repository.commit("Begin", shop__py="price = 1\n")
    return repository


def hostile_bare(place: Path, marks: Path) -> Path:
    """Make a bare repository that runs something wherever receiving would."""
    program = place.parent / "evil"
    place.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho $0 $* >> {marks}\n")
    program.chmod(0o755)
    subprocess.run(["git", "init", "-q", "--bare", place], env=OWNER, check=True)
    (place / "hooks").mkdir(exist_ok=True)
    for hook in HOOKS:
        (place / "hooks" / hook).symlink_to(program)
    (place / "objects" / "info" / "alternates").write_text(f"{place}/objects\n")
    for key in ("core.alternateRefsCommand", "core.fsmonitor", "gc.recentObjectsHook"):
        subprocess.run(["git", "-C", place, "config", key, program], env=OWNER, check=True)
    return place


def push(made: MadeRepository, remote: str, branch: str = "main") -> None:
    repository = GitRepository(made.path)
    remotes.push(repository.shadow, remote, branch, repository.revision("main"), None)


def test_a_remote_takes_no_more_of_a_round_than_it_has(
    made: MadeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.git("remote", "add", "origin", "ssh://nobody/there.git")
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 60 #")
    repository = GitRepository(made.path)
    repository.shadow.waiting = Waiting(most_seconds=0.3, rest_seconds=60.0)
    repository.shadow.waiting.begin()
    begun = time.monotonic()
    with pytest.raises(SelfdriveError, match="no end after"):
        repository.fetch("origin", "main")
    for _ in range(3):
        repository.shadow.waiting.begin()  # the next rounds: it rests
        with pytest.raises(Busy, match="took too long"):
            repository.fetch("origin", "main")
    assert time.monotonic() - begun < 5


def test_the_calls_of_a_round_share_its_seconds() -> None:
    now = [0.0]
    waiting = Waiting(most_seconds=10.0, rest_seconds=20.0, clock=lambda: now[0])
    for takes, left in ((4.0, 10.0), (5.0, 6.0), (1.0, 1.0)):
        with waiting.spending() as seconds:
            assert seconds == left
            now[0] += takes
    for later in (0.0, 19.0):
        now[0] = 10.0 + later
        waiting.begin()
        with pytest.raises(Busy), waiting.spending():
            pass
    now[0] = 30.0
    with waiting.spending() as seconds:
        assert seconds == 10.0


def test_nothing_of_a_remote_on_this_machine_runs(
    made: MadeRepository, marks: Path, tmp_path: Path
) -> None:
    bare = hostile_bare(tmp_path / "there" / "x.git", marks)
    made.git("remote", "add", "origin", str(bare))
    push(made, "origin")
    assert GitRepository(made.path).fetch("origin", "main") == made.git("rev-parse", "main")
    assert not marks.exists()
    made.git("push", "-q", "origin", "main:other")
    assert "pre-receive" in marks.read_text()  # the traps do work on plain git


WRITTEN = ["./vendor/cache.git", "vendor/cache.git", "/srv/x.git", "file:///srv/x.git", "~/x.git"]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_path_in_the_settings_is_refused(written: str, made: MadeRepository, marks: Path) -> None:
    hostile_bare(made.path / "vendor" / "cache.git", marks)
    with pytest.raises(Refused, match=r"\[service\] repository is a path") as caught:
        push(made, written)
    assert "git remote add" in caught.value.remedy
    assert not marks.exists()


INSIDE = {
    "relative": "vendor/cache.git",
    "absolute": "{top}/vendor/cache.git",
    "file": "file://{top}/vendor/cache.git",
    "escaped": "file://{top}/%76endor/cache.git",
    "dots": "{top}/../repo/vendor/cache.git",
    "link": "{top}/../link",
    "itself": ".",
}


@pytest.mark.parametrize("url", INSIDE.values(), ids=INSIDE)
def test_a_remote_inside_the_product_is_refused(
    url: str, made: MadeRepository, marks: Path, tmp_path: Path
) -> None:
    bare = hostile_bare(made.path / "vendor" / "cache.git", marks)
    (tmp_path / "link").symlink_to(bare)
    made.git("remote", "add", "origin", url.format(top=made.path))
    with pytest.raises(Refused, match="inside the product"):
        push(made, "origin")
    assert not marks.exists()


def test_a_remote_beside_the_product_is_reached_as_git_would(
    made: MadeRepository, tmp_path: Path
) -> None:
    beside = tmp_path / "with space.git"
    made.git("clone", "-q", "--bare", ".", str(beside))
    escaped = beside.as_uri()
    for number, url in enumerate(("../with space.git", str(beside), escaped)):
        made.git("remote", "add", f"r{number}", url)
        push(made, f"r{number}", f"loop/{number}")
        tip = remotes.tip(GitRepository(made.path).shadow, f"r{number}", f"loop/{number}")
        assert tip == made.git("rev-parse", "main")


class Forge(http.server.ThreadingHTTPServer):
    """A forge that asks for a login, then breaks; notes what it hears and every command line."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.heard: list[str] = []
        self.seen: list[str] = []


class Visit(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Forge

    def do_GET(self) -> None:
        login = self.headers.get("Authorization", "")
        self.server.heard.append(login)
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.server.seen.append(process.read_text(errors="replace"))
            except OSError:
                pass  # it ended while we looked
        self.send_response(503 if login else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="forge"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def forge() -> Iterator[Forge]:
    server = Forge()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


LOGINS = {
    "password": ("bot:ghp_SECRETTOKEN", "bot:ghp_SECRETTOKEN"),
    "an @ inside": ("bot:ghp_SECRET@TOKEN", "bot:ghp_SECRET@TOKEN"),
    "escaped": ("b%20t:ghp_SECRET%2FTOKEN", "b t:ghp_SECRET/TOKEN"),
}


@pytest.mark.parametrize(("written", "meant"), LOGINS.values(), ids=LOGINS)
@pytest.mark.parametrize("is_named", [False, True], ids=["in the settings", "in git's config"])
def test_a_login_reaches_the_forge_and_nobody_else(
    written: str, meant: str, is_named: bool, made: MadeRepository
) -> None:
    with forge() as there:
        url = f"http://{written}@127.0.0.1:{there.server_port}/x.git"
        made.git("remote", "add", "origin", url)
        repository = GitRepository(made.path)
        remote = "origin" if is_named else url
        for act in (
            lambda: push(made, remote),
            lambda: repository.fetch(remote, "main"),
            lambda: remotes.tip(repository.shadow, remote, "main"),
        ):
            with pytest.raises(SelfdriveError, match="could not be read or written") as caught:
                act()
            assert "SECRET" not in str(caught.value)
            assert "TOKEN" not in str(caught.value)
    sent = f"Basic {base64.b64encode(meant.encode()).decode()}"
    assert there.heard.count(sent) == 3
    assert any("git" in line for line in there.seen)
    assert not any("SECRET" in line for line in there.seen)
    left = [file.read_text(errors="replace") for file in repository.shadow.folder.glob("c*")]
    assert not any("SECRET" in text for text in left)


def test_a_token_in_the_users_place_is_not_shown_either(made: MadeRepository) -> None:
    with forge() as there, pytest.raises(SelfdriveError) as caught:
        push(made, f"http://ghp_SECRETTOKEN@127.0.0.1:{there.server_port}/x.git")
    assert "SECRET" not in str(caught.value)
    assert not any("SECRET" in line for line in there.seen)


@pytest.mark.parametrize("url", ["https://bot:hunter2@[::1/x.git", "https://b:hunt/er2@h/x.git"])
def test_an_address_that_nobody_can_read_is_told_without_its_login(
    url: str, made: MadeRepository
) -> None:
    with pytest.raises(BadInput, match="cannot be read") as caught:
        push(made, url)
    assert "hunt" not in str(caught.value)


def test_a_remote_that_is_not_there_is_told(made: MadeRepository) -> None:
    with pytest.raises(BadInput, match="git remote add"):
        push(made, "nowhere")
