"""The warehouse: tables of Parquet files that are appended to, replaced by hour, and queried.

Files are written to a temporary name, synced and renamed; never edited. What a table consists of
stands in its live list (`live`). An event is stored once: `event_id` decides, looked up in the
files whose event times come near, however late the second delivery comes; that of an event
without a time of its own is looked up in all.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from selfdrive_dagster.adapters.warehouse import engine
from selfdrive_dagster.adapters.warehouse.files import (
    ALL,
    CorruptTable,
    bounds,
    by_hour,
    is_sound,
    load,
    of_hours,
    save,
    schema_digest,
    schema_name,
    to_bytes,
)
from selfdrive_dagster.adapters.warehouse.live import (
    NAME,
    LiveFile,
    LiveList,
    read_list,
    write_file,
    write_list,
    writing,
)
from selfdrive_dagster.adapters.warehouse.merging import FILES_PER_HOUR, groups_to_merge
from selfdrive_dagster.adapters.warehouse.tables import (
    ROW_TYPES,
    TIMELESS,
    conformed,
    frame_of,
    row_type,
    schema_of,
)
from selfdrive_dagster.errors import BadInput

if TYPE_CHECKING:
    import polars

FAR = datetime(9999, 12, 31, tzinfo=UTC)

SAME_EVENT = timedelta(minutes=1)
"""How far apart two senders may time one event: some cut the fraction of a second off."""

Pick = Callable[[str, LiveFile], bool]
"""Says of (table, file) whether a query needs to read it."""

Changed = tuple["polars.DataFrame | None", Collection[str], bool]
"""Rows that take the place of a file's (None: they stay), hours it stands for besides theirs, and
whether it is bare."""

Change = Callable[[LiveFile, "polars.DataFrame"], Changed]

LET_GO = 600.0
"""Seconds for which a file that left a list is kept at least, for who reads by the old list."""

ViewOf = Callable[[str], engine.View]
"""Gives an engine the files of a table."""


class Appended(msgspec.Struct, frozen=True):
    """What an append did: received = stored + duplicate."""

    stored: int
    duplicate: int


class Compacted(msgspec.Struct, frozen=True):
    """Live files before and after."""

    before: int
    after: int


class Warehouse:
    """All tables below `<home>/warehouse`. Holds nothing open between calls."""

    def __init__(self, home: str | Path) -> None:
        self.root = Path(home).resolve() / "warehouse"

    def tables(self) -> tuple[str, ...]:
        """Return every table that can be queried: the typed ones and the models made so far."""
        made = {path.parent.name for path in self.root.glob("*/live.json")}
        return tuple(sorted(made | set(ROW_TYPES)))

    def live(self, table: str) -> LiveList:
        """Return a table's live list; a typed table that nobody wrote to is empty."""
        found = read_list(self._folder(table))
        if table in ROW_TYPES:
            return self._typed(table, found or LiveList())
        if found is None:
            known = ", ".join(self.tables())
            raise BadInput(f"there is no table {table!r}", remedy=f"the tables are {known}")
        return found

    def files(self, table: str) -> tuple[Path, ...]:
        """Return the table's files, the zero-row schema file first: read these, never a glob."""
        live = self.live(table)
        folder = self._folder(table)
        return (folder / schema_name(live.schema), *(folder / file.path for file in live.files))

    def append(self, table: str, records: Sequence[msgspec.Struct]) -> Appended:
        """Store records that are not there yet, by `event_id`; durable when it returns."""
        row_type(table)
        if not records:
            return Appended(0, 0)
        frame = frame_of(table, records)
        if table in TIMELESS:
            frame = frame.sort("timestamp", maintain_order=True)
        frame = frame.unique("event_id", keep="first", maintain_order=True)
        folder = self._folder(table)
        with writing(folder):
            live = self.live(table)
            fresh = self._without_known(table, live, frame)
            added = tuple(
                save(folder, f"ingest_{hour}", part, live.sequence + 1)
                for hour, part in by_hour(fresh, "received_at").items()
            )
            if added:
                _publish(folder, live, files=live.files + added)
        return Appended(stored=len(fresh), duplicate=len(records) - len(fresh))

    def unknown(self, table: str, records: Sequence[msgspec.Struct]) -> tuple[msgspec.Struct, ...]:
        """Return those records whose event is not stored in a typed table."""
        if not records:
            return ()
        frame = frame_of(table, records)
        with writing(self._folder(table)):
            fresh = set(self._without_known(table, self.live(table), frame)["event_id"])
        return tuple(
            one for one, name in zip(records, frame["event_id"], strict=True) if name in fresh
        )

    def replace_partitions(
        self,
        table: str,
        frames: Mapping[str, "polars.DataFrame"],
        *,
        clear: bool = False,
        since: str = "",
        like: "polars.DataFrame | None" = None,
    ) -> None:
        """Put frames in place of event hours, all at once; `clear` drops all else `since` an hour.

        The key `all` is for tables without hours. An empty frame keeps its empty file, so that
        who reads the table later learns that the hour was touched. `like` tells the columns
        when there may be no frame at all.
        """
        folder = self._folder(table)
        with writing(folder):
            live = read_list(folder) or LiveList()
            for frame in (*frames.values(), *([] if like is None else [like])):
                live = _with_schema(folder, live, frame)

            def stays(hour: str) -> bool:
                return hour not in frames and (not clear or hour < since)

            gone = tuple(
                file
                for file in live.files
                if _holds(file, frames) or not all(map(stays, file.hours)) or (clear and not since)
            )
            kept = tuple(file for file in live.files if file not in gone)
            rest = tuple(_leftovers(folder, gone, stays))
            new = tuple(_save_hours(folder, frames, live.sequence + 1))
            retired = tuple(file.path for file in gone)
            lost = () if clear else live.lost
            _publish(folder, live, files=kept + rest + new, retired=retired, lost=lost)

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, pick: Pick | None = None
    ) -> "polars.DataFrame":
        """Answer one SELECT over the tables. `$name` in it takes `parameters[name]`.

        Raises BadInput for SQL that does not run, CorruptTable when a file is damaged.
        """
        import duckdb

        def answer(view_of: ViewOf) -> "polars.DataFrame":
            with engine.connect(self.root) as connection:
                for name in engine.tables_in(connection, sql):
                    engine.add_view(connection, view_of(name))
                engine.lock(connection)
                return engine.run(connection, sql, parameters)

        return self.read(answer, (duckdb.Error, OSError), pick=pick)

    def read(
        self,
        answer: Callable[[ViewOf], "polars.DataFrame"],
        faults: tuple[type[Exception], ...],
        *,
        pick: Pick | None = None,
    ) -> "polars.DataFrame":
        """Let an engine answer from the files that it is given for each table it asks for.

        `faults` are its errors: a file that a compaction took away is read anew from the new
        list; otherwise a damaged file raises CorruptTable, all else BadInput.
        """
        before: dict[str, int] = {}

        def view_of(name: str) -> engine.View:
            live = self.live(name)
            before[name] = live.generation
            return self._view(name, live, pick)

        try:
            return answer(view_of)
        except faults as fault:
            # Compactions may have passed while we read: then the lists have moved on.
            if any(self.live(name).generation != seen for name, seen in before.items()):
                return answer(view_of)
            for name in before:
                self.verify(name)
            raise BadInput(f"the query does not run: {fault}") from fault

    def verify(self, table: str) -> None:
        """Compare every file with its sha256. Sets damaged ones aside and raises CorruptTable."""
        with writing(self._folder(table)):
            self._verify(table)

    def compact(self, table: str, *, everything: bool = False) -> Compacted:
        """Merge small files where that gains something, and delete what no list names any more.

        `everything` merges even the few.
        """
        folder = self._folder(table)
        with writing(folder):
            live = self.live(table)
            files, gone = list(live.files), []
            for group in groups_to_merge(live, everything=everything):
                files = [file for file in files if file not in group]
                files.append(self._merge(table, group))
                gone += [file.path for file in group]
            if gone:
                _publish(folder, live, files=tuple(files), retired=tuple(gone))
            self._sweep(table)
        return Compacted(before=len(live.files), after=len(files))

    def rewrite(self, table: str, which: Callable[[LiveFile], bool], change: Change) -> None:
        """Put what `change` makes of files in their place; one that it empties goes.

        A file keeps its place in the order of writes: nobody who read it before takes it for new.
        """
        folder = self._folder(table)
        with writing(folder):
            live = self.live(table)
            chosen = [file for file in live.files if which(file)]
            new = {file.path: self._rewritten(table, file, change) for file in chosen}
            files = [new.get(file.path, file) for file in live.files]
            kept = tuple(file for file in files if file is not None)
            if kept != live.files:
                stay = {file.path for file in kept}
                gone = tuple(file.path for file in chosen if file.path not in stay)
                _publish(folder, live, files=kept, retired=gone)

    def let_go(self, table: str) -> None:
        """Delete the files that left the list before, if nobody can be reading them any more."""
        folder = self._folder(table)
        with writing(folder):
            live = read_list(folder)
            if live and live.retired and time.time() - (folder / NAME).stat().st_mtime > LET_GO:
                _publish(folder, live, retired=())

    def _rewritten(self, table: str, file: LiveFile, change: Change) -> LiveFile | None:
        folder = self._folder(table)
        try:
            frame = load(folder, file)
        except CorruptTable:
            self._verify(table)
            raise
        changed, hours, bare = change(file, frame)
        if changed is None and bare == file.bare:
            return file
        if changed is None:
            return msgspec.structs.replace(file, bare=bare)
        if changed.is_empty() and not hours:
            return None
        durable = table in ROW_TYPES
        new = save(folder, file.partition, changed, file.sequence, hours, durable=durable)
        return msgspec.structs.replace(new, bare=bare)

    def _view(self, table: str, live: LiveList, pick: Pick | None) -> engine.View:
        folder = self._folder(table)
        wanted = [file for file in live.files if pick is None or pick(table, file)]
        for file in wanted:
            size = (folder / file.path).stat().st_size
            if size != file.bytes:
                raise OSError(f"{folder / file.path} has {size} bytes, not {file.bytes}")
        paths = (schema_name(live.schema), *(file.path for file in wanted if file.rows))
        return engine.View(
            name=table,
            paths=tuple(str(folder / path) for path in paths),
            is_mixed=any(file.schema != live.schema for file in wanted),
        )

    def _folder(self, table: str) -> Path:
        if not table.isidentifier():
            raise BadInput(f"{table!r} cannot be the name of a table")
        return self.root / table

    def _typed(self, table: str, found: LiveList) -> LiveList:
        """Return the list with the row type's schema; its zero-row file is there afterwards."""
        import polars

        empty = polars.DataFrame(schema=schema_of(row_type(table)))
        return _with_schema(self._folder(table), found, empty)

    def _without_known(
        self, table: str, live: LiveList, frame: "polars.DataFrame"
    ) -> "polars.DataFrame":
        """Return the rows whose event is not stored; of timeless ones the earliest is kept too."""
        suspects = _suspects(live, frame, is_timeless=table in TIMELESS)
        if not suspects:
            return frame
        try:
            known = [
                load(self._folder(table), file, ["event_id", "timestamp"]) for file in suspects
            ]
        except CorruptTable:
            self._verify(table)
            raise
        return _not_in(frame, known, only_earlier=table in TIMELESS)

    def _verify(self, table: str) -> None:
        """Do what `verify` says; the caller holds the lock."""
        folder = self._folder(table)
        live = self.live(table)
        bad = tuple(file for file in live.files if not is_sound(folder, file))
        if not bad:
            return
        aside = self.root / "quarantine" / table
        aside.mkdir(parents=True, exist_ok=True)
        for file in bad:
            path = folder / file.path
            if path.exists():
                path.rename(aside / path.name)
        kept = tuple(file for file in live.files if file not in bad)
        _publish(folder, live, files=kept, lost=live.lost + bad)
        names = ", ".join(str(folder / file.path) for file in bad)
        raise CorruptTable(
            f"{table}: {names} is damaged or gone; {sum(file.rows for file in bad)} rows are lost",
            remedy=f"it was moved to {aside}; ingest those events again",
        )

    def _merge(self, table: str, group: Sequence[LiveFile]) -> LiveFile:
        """Merge files into one that stands where the newest stood and is as new as that one."""
        import polars

        folder = self._folder(table)
        try:
            frames = [load(folder, file) for file in group]
        except CorruptTable:
            self._verify(table)
            raise
        frame = polars.concat(frames, how="diagonal")
        if table in ROW_TYPES:
            frame = conformed(table, frame).sort("timestamp", "event_id")
        newest = max(group, key=lambda file: file.sequence)
        return save(folder, newest.partition, frame, newest.sequence)

    def _sweep(self, table: str) -> None:
        """Delete files that a dead writer left: we hold the lock, so nobody is writing them."""
        folder = self._folder(table)
        live = self.live(table)
        kept = {file.path for file in live.files} | set(live.retired)
        for pattern in ("*_date=*/*/*.parquet", "*_date=*/*/.*.tmp", ".live.json.*.tmp"):
            for path in folder.glob(pattern):
                if path.relative_to(folder).as_posix() not in kept:
                    path.unlink(missing_ok=True)


def _suspects(live: LiveList, frame: "polars.DataFrame", *, is_timeless: bool) -> list[LiveFile]:
    """Return the files that may hold one of the frame's events.

    An event without a time of its own has that of its arrival, which says nothing of the first.
    """
    first, last = bounds(frame)
    if first is None or last is None:
        return []
    is_any_undated = bool((frame["timestamp"] == frame["received_at"]).any())
    low = None if is_any_undated or is_timeless else first - SAME_EVENT
    high = None if is_any_undated else last + SAME_EVENT
    return [
        file
        for file in live.files
        if file.first is not None and file.last is not None
        if (low is None or low <= file.last) and (high is None or file.first <= high)
    ]


def _not_in(
    frame: "polars.DataFrame", known: Sequence["polars.DataFrame"], *, only_earlier: bool
) -> "polars.DataFrame":
    """Return the rows whose event is not known; `only_earlier`: nor known from earlier on."""
    import polars

    earliest = polars.concat(known).group_by("event_id").agg(polars.col("timestamp").min())
    if not only_earlier:
        return frame.join(earliest, on="event_id", how="anti", maintain_order="left")
    joined = frame.join(earliest, on="event_id", how="left", suffix="_known", maintain_order="left")
    is_known = polars.col("timestamp_known").fill_null(FAR) <= polars.col("timestamp")
    return joined.filter(~is_known).drop("timestamp_known")


def _publish(folder: Path, live: LiveList, **changes: Any) -> None:
    """Replace the live list by one with these changes, one generation on."""
    files = changes.get("files", live.files)
    sequence = max([live.sequence, *(file.sequence for file in files)])
    newer = msgspec.structs.replace(
        live, generation=live.generation + 1, sequence=sequence, **changes
    )
    write_list(folder, newer)


def _with_schema(folder: Path, live: LiveList, frame: "polars.DataFrame") -> LiveList:
    """Return the list with a frame's schema, whose zero-row file is there afterwards."""
    name = schema_digest(frame.schema)
    path = folder / schema_name(name)
    if not path.exists():
        write_file(path, to_bytes(frame.clear()))
    return msgspec.structs.replace(live, schema=name)


def _holds(file: LiveFile, frames: Mapping[str, object]) -> bool:
    return file.partition == f"event_{ALL}" or not set(file.hours).isdisjoint(frames)


def _save_hours(
    folder: Path, frames: Mapping[str, "polars.DataFrame"], sequence: int
) -> list[LiveFile]:
    """Write a file per hour, or one for all when that would be too many small ones."""
    import polars

    if len(frames) > FILES_PER_HOUR:
        whole = polars.concat(frames.values())
        hours = list(frames)
        return [save(folder, f"event_{max(frames)}", whole, sequence, hours, durable=False)]
    return [
        save(folder, f"event_{hour}", frame, sequence, [hour][: hour != ALL], durable=False)
        for hour, frame in frames.items()
    ]


def _leftovers(
    folder: Path, gone: Sequence[LiveFile], stays: Callable[[str], bool]
) -> list[LiveFile]:
    """Keep what merged files hold of other hours; it is not new to those who read it before."""
    shared = [(file, list(filter(stays, file.hours))) for file in gone]
    return [
        save(
            folder,
            file.partition,
            of_hours(load(folder, file), hours),
            file.sequence,
            durable=False,
        )
        for file, hours in shared
        if hours
    ]
