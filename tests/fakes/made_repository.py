"""A real git repository made for one test, driven by plain git as its owner would."""

import os
import subprocess
from pathlib import Path

OWNER = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


class MadeRepository:
    """Makes files and commits in a folder; answers what plain git says."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", *options)

    def git(self, *arguments: str) -> str:
        """Run plain git here and return what it prints."""
        ran = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=OWNER,
            check=True,
            capture_output=True,
            text=True,
        )
        return ran.stdout.strip()

    def write(self, path: str, text: str | bytes) -> Path:
        """Write a file below the repository."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def commit(self, summary: str, **files: str) -> str:
        """Commit everything, after writing `name__py="text"` files, and return the sha."""
        for name, text in files.items():
            self.write(name.replace("__", "."), text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", summary)
        return self.git("rev-parse", "HEAD")
