"""Places: where to pull from, and how far a pull came.

How far is one small file per source, written after its rows are safe. It is named by a digest of
what identifies the source; no password gets into it.
"""

from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from selfdrive_dagster.adapters.durable import write_whole
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import digest

Place = TypeVar("Place", bound=msgspec.Struct)


def address(text: str, example: str) -> SplitResult:
    """Return the parts of an address. Raises BadInput, quoting nothing: there may be a password."""
    try:
        return urlsplit(text)
    except ValueError:
        raise BadInput("The source's address cannot be read.", remedy=example) from None


class Places:
    """The places of all sources, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, *identity: str) -> Path:
        """Return the file of a source."""
        return self._folder / f"{digest(list(identity))[:32]}.json"

    def read(self, kind: type[Place], *identity: str) -> Place:
        """Return the place that was kept, a fresh one if none was. Raises BadInput if damaged."""
        path = self.path(*identity)
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return kind()
        except msgspec.DecodeError as error:
            raise BadInput(
                f"{path} is damaged: {error}.",
                remedy="Delete it: the next pull begins anew, and what is known counts once.",
            ) from None

    def keep(self, place: msgspec.Struct, *identity: str) -> None:
        """Keep a place; it outlives a power cut when this returns."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self.path(*identity), msgspec.json.encode(place))
