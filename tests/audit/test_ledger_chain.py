"""The chain: any single alteration is found, and named for what it is."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from selfdrive_dagster.audit import (
    GENESIS,
    Entry,
    FaultKind,
    Head,
    Link,
    link,
    verify,
)
from selfdrive_dagster.audit.ledger import seal
from selfdrive_dagster.errors import BadInput

AT = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
replace = msgspec.structs.replace


def entry(number: int) -> Entry:
    return Entry(
        at=AT + timedelta(seconds=number),
        actor="loop",
        kind="change.opened",
        run_id=f"run-{number}",
        body={"n": number},
    )


def head_of(rows: list[Link]) -> Head | None:
    return Head(rows[-1].seq, rows[-1].hash) if rows else None


def chain(length: int) -> list[Link]:
    rows: list[Link] = []
    for number in range(length):
        rows.append(link(head_of(rows), entry(number)))
    return rows


def found(rows: list[Link], anchor: Head | None = None) -> tuple[int, FaultKind] | None:
    fault = verify(rows, anchor)
    return (fault.seq, fault.kind) if fault else None


LENGTH = 8
ROWS = st.integers(0, LENGTH - 1)


def test_a_chain_as_written_is_sound() -> None:
    rows = chain(LENGTH)
    assert found(rows, head_of(rows)) is None
    assert found([]) is None
    assert rows[0].prev_hash == GENESIS
    assert found(rows, head_of(rows[:3])) is None  # an older anchor stays good


ALTERATIONS = {
    "at": AT - timedelta(days=1),
    "actor": "boss",
    "kind": "change.reject",
    "change_id": "chg_00000000000000ff",
    "issue_id": "iss_00000000000000ff",
    "body": {"n": "other"},
    "run_id": "other",
    "signature": "forged",
}


def test_every_field_can_be_altered_in_this_test() -> None:
    assert set(ALTERATIONS) == set(Entry.__struct_fields__)


@given(row=ROWS, field=st.sampled_from(sorted(ALTERATIONS)))
def test_an_altered_field_is_named(row: int, field: str) -> None:
    rows = chain(LENGTH)
    rows[row] = replace(rows[row], entry=replace(rows[row].entry, **{field: ALTERATIONS[field]}))
    assert found(rows) == (row + 1, FaultKind.ALTERED)


@given(row=ROWS, field=st.sampled_from(["hash", "prev_hash"]))
def test_an_altered_seal_is_named(row: int, field: str) -> None:
    rows = chain(LENGTH)
    rows[row] = replace(rows[row], **{field: "0" * 64})
    assert found(rows) == (row + 1, FaultKind.ALTERED)


@given(row=ROWS)
def test_an_altered_row_that_was_sealed_anew_is_named_by_its_successor_or_the_anchor(
    row: int,
) -> None:
    rows = chain(LENGTH)
    anchor = head_of(rows)
    forged = replace(rows[row].entry, actor="boss")
    rows[row] = replace(
        rows[row], entry=forged, hash=seal(rows[row].seq, rows[row].prev_hash, forged)
    )
    assert found(rows, anchor) == (row + 1, FaultKind.ALTERED)


@given(row=ROWS)
def test_a_deleted_row_is_named(row: int) -> None:
    rows = chain(LENGTH)
    anchor = head_of(rows)
    del rows[row]
    kind = FaultKind.DELETED if row < LENGTH - 1 else FaultKind.TRUNCATED
    assert found(rows, anchor) == (row + 1, kind)


@given(row=st.integers(0, LENGTH - 2))
def test_a_deleted_row_is_named_even_when_the_others_were_renumbered(row: int) -> None:
    rows = chain(LENGTH)
    del rows[row]
    rows = [replace(link, seq=place) for place, link in enumerate(rows, 1)]
    assert found(rows) == (row + 1, FaultKind.DELETED)


@given(row=ROWS)
def test_an_inserted_row_is_named(row: int) -> None:
    rows = chain(LENGTH)
    rows.insert(row, link(head_of(rows[:row]), entry(99)))
    assert found(rows) == (row + 1, FaultKind.INSERTED)


@given(row=st.integers(0, LENGTH - 1))
def test_an_inserted_row_is_named_even_when_the_others_were_renumbered(row: int) -> None:
    rows = chain(LENGTH)
    rows.insert(row, link(head_of(rows[:row]), entry(99)))
    rows = [replace(link, seq=place) for place, link in enumerate(rows, 1)]
    assert found(rows) == (row + 1, FaultKind.INSERTED)


@given(places=st.lists(ROWS, min_size=2, max_size=2, unique=True), renumber=st.booleans())
def test_reordered_rows_are_named(places: list[int], renumber: bool) -> None:
    one, two = sorted(places)
    rows = chain(LENGTH)
    rows[one], rows[two] = rows[two], rows[one]
    if renumber:
        rows = [replace(link, seq=place) for place, link in enumerate(rows, 1)]
    assert found(rows) == (one + 1, FaultKind.REORDERED)


@given(row=ROWS, number=st.sampled_from([0, -1, 5, 200_000, 2**63 - 1]))
def test_a_renumbered_row_is_named_by_its_place(row: int, number: int) -> None:
    assume(number != row + 1)
    rows = chain(LENGTH)
    rows[row] = replace(rows[row], seq=number)
    assert found(rows) == (row + 1, FaultKind.ALTERED)


def test_a_forged_number_far_away_does_not_keep_the_first_fault_from_being_told() -> None:
    rows = chain(LENGTH)
    rows[1] = replace(rows[1], entry=replace(rows[1].entry, actor="boss"))
    rows[-1] = replace(rows[-1], seq=9 * 10**18)  # counting up to it would take for ever
    assert found(rows) == (2, FaultKind.ALTERED)


@given(first=st.integers(0, LENGTH - 1), gone=st.integers(1, LENGTH))
def test_deleted_neighbours_are_named_when_the_others_were_renumbered(
    first: int, gone: int
) -> None:
    rows = chain(LENGTH)
    del rows[first : first + gone]
    assume(first < len(rows))
    rows = [replace(link, seq=place) for place, link in enumerate(rows, 1)]
    rows_left_to_count_by = 2 * len(rows) + 1
    kind = FaultKind.DELETED if first + gone < rows_left_to_count_by else FaultKind.ALTERED
    assert found(rows) == (first + 1, kind)


@given(kept=st.integers(0, LENGTH - 1))
def test_truncation_is_named_by_the_anchor(kept: int) -> None:
    rows = chain(LENGTH)
    assert found(rows[:kept], head_of(rows)) == (kept + 1, FaultKind.TRUNCATED)


@given(row=ROWS)
def test_a_ledger_sealed_anew_from_some_row_on_is_named_by_the_anchor(row: int) -> None:
    rows = chain(LENGTH)
    forged = rows[:row]
    for number in range(row, LENGTH):
        forged.append(link(head_of(forged), entry(100 + number)))
    assert found(forged) is None  # sound in itself: that is why anchors exist
    assert found(forged, head_of(rows)) == (LENGTH, FaultKind.ALTERED)


@settings(max_examples=50)
@given(
    numbers=st.lists(st.floats() | st.integers(-(2**60), 2**60) | st.text(), max_size=4),
    hours=st.integers(-12, 12),
)
def test_the_seal_depends_on_the_moment_not_on_its_time_zone(numbers: list, hours: int) -> None:
    here = replace(entry(0), body={"numbers": numbers})
    there = replace(here, at=AT.astimezone(timezone(timedelta(hours=hours))))
    assert link(None, here).hash == link(None, there).hash


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"run_id": ""}, "neither a run nor a signature"),
        ({"actor": ""}, "needs an actor"),
        ({"at": datetime(2026, 1, 1)}, "without a zone"),
        ({"actor": "a\0b"}, "NUL"),
    ],
)
def test_an_entry_names_who_when_and_on_which_authority(fields: dict, says: str) -> None:
    given = {"at": AT, "actor": "loop", "kind": "k", "run_id": "r", **fields}
    with pytest.raises(BadInput, match=says):
        Entry(**given)
