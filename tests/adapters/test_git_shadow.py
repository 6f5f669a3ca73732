"""Shadows of real processes: none outlives its process for longer than until the next one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.made_repository import MadeRepository
from fakes.selfdrive_program import environment

OPENS = """
import sys
from pathlib import Path
from selfdrive_dagster.adapters.git import GitRepository

repository = GitRepository(Path(sys.argv[1]))
print(repository.shadow.folder, flush=True)
sys.stdin.read()
repository.revision()
"""


class Opener:
    """A process that has a repository open until its stdin is closed."""

    def __init__(self, product: Path, temporary: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OPENS, str(product)],
            env=environment(temporary, TMPDIR=str(temporary)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.folder = Path(self.process.stdout.readline().strip())

    def end(self) -> int:
        """Let it go on to its end."""
        self.process.communicate(timeout=20)
        return self.process.returncode

    def kill(self) -> None:
        """Kill it so that it cannot clean up."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Callable[[], Opener]]:
    product, temporary = MadeRepository(tmp_path / "product"), tmp_path / "temporary"
    product.commit("Begin", a__py="a = 1\n")
    temporary.mkdir()
    made: list[Opener] = []

    def start() -> Opener:
        made.append(Opener(product.path, temporary))
        return made[-1]

    yield start
    for one in made:
        one.kill()


def test_the_shadow_of_a_killed_process_goes_with_the_next_one(
    opener: Callable[[], Opener],
) -> None:
    living, killed = opener(), opener()
    killed.kill()
    assert killed.folder.is_dir()
    later = opener()
    assert not killed.folder.exists()
    assert living.folder.is_dir()
    assert later.folder.is_dir()
    assert (living.end(), later.end()) == (0, 0)
    assert not list(living.folder.parent.iterdir())


def test_a_folder_that_others_put_there_is_not_followed(opener: Callable[[], Opener]) -> None:
    first = opener()
    elsewhere = first.folder.parent.parent / "elsewhere"
    (elsewhere / "kept").mkdir(parents=True)
    (first.folder.parent / "selfdrive-shadow-link").symlink_to(elsewhere)
    assert opener().end() == 0
    assert (elsewhere / "kept").is_dir()
