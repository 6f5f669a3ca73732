"""What a Python file reaches for, counted: two counts of one file differ by what a patch brings in.

The file is read as Python reads it (coding line obeyed, names in their NFKC form), never as
text. A name may have several meanings, since scopes are not told apart: each of them counts,
so that a harmless meaning elsewhere never hides a risky one. Belongs here: what is worth
counting, and how it is said. Does not belong: which growth is refused (`policy`).

It does not see what data do: a function of the product that starts a process may be called
anew, and a call that the base makes may be made with other arguments.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from selfdrive_dagster.validation.reach import habits, names
from selfdrive_dagster.validation.reach.names import Friends
from selfdrive_dagster.validation.reach.source import Source

__all__ = ["READERS", "Friends", "Source", "reach_of"]

Reader = Callable[[Source, Friends], Iterator[str]]
READERS: tuple[Reader, ...] = (
    names.imports,
    names.names,
    names.attributes,
    names.computed,
    names.texts,
    names.annotations,
    habits.swallows,
    habits.catches_all,
    habits.definitions,
    habits.blind_answers,
    habits.hides,
    habits.sets,
    habits.dates,
)


def reach_of(source: Source, friends: Friends) -> Counter[str]:
    """Count what a file reaches for, each in words that a refusal can say."""
    return Counter(said for reader in READERS for said in reader(source, friends))
