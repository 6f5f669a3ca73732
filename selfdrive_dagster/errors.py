"""The errors a user can meet, and the exit code each one ends a command with.

    SelfdriveError                 exit 1
    ├── BadInput                   exit 2   a file, option or event we cannot read
    │   └── SettingsError                   every fault of selfdrive.toml, told at once
    ├── Refused                    exit 3   we could, but must not (no full sandbox, protected path)
    ├── MissingTool                exit 4   a program or package is not there
    └── Busy                       exit 5   a port, a lock or a database is held by someone else

A message says what happened, names the file or field, and ends with the remedy.
Errors of a product under test are results, not exceptions: they live in `model`.
"""


class SelfdriveError(Exception):
    """Something the user can understand and mend."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  Remedy: {self.remedy}" if self.remedy else self.message


class BadInput(SelfdriveError):
    """A file, option or event that cannot be read; names it and says what would do."""

    exit_code = 2


class SettingsError(BadInput):
    """All faults of one settings file, collected."""

    def __init__(self, path: str, faults: list[str]) -> None:
        lines = "\n".join(f"  - {fault}" for fault in faults)
        super().__init__(f"{path} has {len(faults)} fault{'s' * (len(faults) != 1)}:\n{lines}")
        self.faults = tuple(faults)


class Refused(SelfdriveError):
    """A rule forbids it: nothing was run and nothing was changed."""

    exit_code = 3


class MissingTool(SelfdriveError):
    """A program or package that this command needs is not installed."""

    exit_code = 4


class Busy(SelfdriveError):
    """A port, lock or database that somebody else holds."""

    exit_code = 5
