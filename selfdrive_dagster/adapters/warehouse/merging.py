"""What to merge: a policy over live files, without touching any.

Small files of one hour go together first; when a table still has very many, small files go
together across hours, oldest first, as many as fit in one.
"""

from selfdrive_dagster.adapters.warehouse.live import LiveFile, LiveList

FILES_PER_HOUR = 8
"""More small files than this in one partition are merged."""

FILES_IN_ALL = 96
"""More small files than this are merged across hours."""

SMALL_BYTES = 8 * 2**20
MERGED_BYTES = 64 * 2**20


def groups_to_merge(live: LiveList, *, everything: bool = False) -> list[list[LiveFile]]:
    """Return groups of at least two files, each to become one file."""
    small = [file for file in live.files if file.bytes < SMALL_BYTES]
    if everything or len(small) > FILES_IN_ALL:
        groups = [_oldest_that_fit(small)]
    else:
        groups = [group for group in _by_partition(small) if len(group) > FILES_PER_HOUR]
    return [group for group in groups if len(group) > 1]


def _oldest_that_fit(small: list[LiveFile]) -> list[LiveFile]:
    group: list[LiveFile] = []
    size = 0
    for file in sorted(small, key=lambda file: file.sequence):
        size += file.bytes
        if size > MERGED_BYTES:
            break
        group.append(file)
    return group


def _by_partition(files: list[LiveFile]) -> list[list[LiveFile]]:
    parts: dict[str, list[LiveFile]] = {}
    for file in files:
        parts.setdefault(file.partition, []).append(file)
    return list(parts.values())
