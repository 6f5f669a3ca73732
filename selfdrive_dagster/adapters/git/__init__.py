"""git, without trusting the repository: nothing that its config or attributes name is run.

A product's repository may set `core.fsmonitor`, hooks, filters, textconv, `diff.external`,
`gpg.program` and more, and no list of flags switches all of them off. So all work is done in
a *shadow*: a private, empty git directory of ours that borrows the repository's objects and
holds a copy of its refs. The repository's own directory is only asked where it is, which
refs it has and the address of a remote, and is told a new ref; none of these runs anything.

Belongs here: reading revisions, exporting trees, writing branches. Does not belong: deciding
what may be written.
"""

from selfdrive_dagster.adapters.git.command import GitFailed
from selfdrive_dagster.adapters.git.export import Exported
from selfdrive_dagster.adapters.git.history import GitHistory
from selfdrive_dagster.adapters.git.repository import GitRepository

__all__ = ["Exported", "GitFailed", "GitHistory", "GitRepository"]
