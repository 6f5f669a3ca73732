"""The ledger in PostgreSQL: one chain whoever writes, and no way to forget."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import Entry, FaultKind, verify

AT = datetime(2026, 11, 23, 6, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
CHANGE = "chg_00000000000000aa"


def entry(kind: str = "change.opened", **fields: object) -> Entry:
    return Entry(**{"at": AT, "actor": "loop", "kind": kind, "run_id": "run-1", **fields})


def test_an_empty_ledger_has_no_head_and_no_fault(engine: Engine) -> None:
    ledger = Ledger(engine)
    assert ledger.head() is None
    assert verify(ledger.entries()) is None


def test_what_is_appended_is_read_back_and_verifies(engine: Engine) -> None:
    ledger = Ledger(engine)
    first = ledger.append(entry(change_id=CHANGE, body={"score": 1.5, "big": 1e22, "z": None}))
    second = ledger.append(entry("note", signature="sig", run_id=""))
    assert ledger.entries() == (first, second)
    assert ledger.entries(CHANGE) == (first,)
    assert ledger.head() is not None and ledger.head().seq == 2
    assert first.entry.at == AT
    assert verify(ledger.entries(), ledger.head()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.dictionaries(st.text(), JSON, max_size=4))
def test_any_json_keeps_its_seal_through_the_database(engine: Engine, body: dict) -> None:
    ledger = Ledger(engine)
    ledger.append(entry(body=body))
    assert verify(ledger.entries()) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE selfdrive.ledger SET actor = 'nobody'",
        "DELETE FROM selfdrive.ledger",
        "TRUNCATE selfdrive.ledger CASCADE",
    ],
)
def test_the_table_refuses_to_forget(engine: Engine, statement: str) -> None:
    ledger = Ledger(engine)
    ledger.append(entry())
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    assert len(ledger.entries()) == 1


def test_rows_are_found_by_what_they_say_newest_first(engine: Engine) -> None:
    ledger = Ledger(engine)
    made = [
        ledger.append(entry("made", change_id=change, body={"asset": asset}, run_id=f"run-{n}"))
        for n, (change, asset) in enumerate(
            [(CHANGE, "a"), (CHANGE, "b"), ("", "a"), (CHANGE, "a")]
        )
    ]
    ledger.append(entry("other", change_id=CHANGE, body={"asset": "a"}))
    assert ledger.find("made", CHANGE, {"asset": "a"}) == (made[3],)
    assert ledger.find("made", CHANGE, {"asset": "a"}, limit=9) == (made[3], made[0])
    assert ledger.find("made", CHANGE, {"asset": "a"}, run_id="run-0") == (made[0],)
    assert ledger.find("made", "", limit=9) == (made[2],)
    assert ledger.find("made", CHANGE, {"asset": "c"}) == ledger.find("none", CHANGE) == ()


def test_a_row_without_run_or_signature_is_refused_by_the_table_too(engine: Engine) -> None:
    with (
        pytest.raises(IntegrityError, match="names_a_run_or_a_signature"),
        engine.begin() as connection,
    ):
        connection.execute(
            text(
                "INSERT INTO selfdrive.ledger VALUES"
                " (1, now(), 'x', 'y', '', '', '{}', '', '', 'p', 'h')"
            )
        )


def test_tampering_past_the_trigger_is_named(engine: Engine) -> None:
    ledger = Ledger(engine)
    for number in range(5):
        ledger.append(entry(body={"n": number}))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE selfdrive.ledger DISABLE TRIGGER append_only"))
        connection.execute(text("UPDATE selfdrive.ledger SET actor = 'boss' WHERE seq = 3"))
    fault = verify(ledger.entries())
    assert fault is not None
    assert (fault.seq, fault.kind) == (3, FaultKind.ALTERED)


def test_an_append_that_is_rolled_back_leaves_no_gap(engine: Engine) -> None:
    ledger = Ledger(engine)
    with engine.connect() as connection:
        ledger.append(entry("lost"), connection)
        connection.rollback()
    ledger.append(entry("kept"))
    assert [(row.seq, row.entry.kind) for row in ledger.entries()] == [(1, "kept")]


WRITER = """
import sys
from datetime import UTC, datetime
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres import connect
from selfdrive_dagster.audit import Entry
engine = connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    Ledger(engine).append(
        Entry(at=datetime.now(UTC), actor=sys.argv[2], kind="race", run_id="r", body={"n": number})
    )
engine.dispose()
"""


def test_writers_in_several_processes_keep_one_chain(database_url: str, engine: Engine) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, database_url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("one", "two", "three")
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.communicate(b"go\n", timeout=60)
        assert writer.returncode == 0
    rows = Ledger(engine).entries()
    assert len(rows) == 120
    assert verify(rows) is None
    by_writer = [row.entry.body["n"] for row in rows if row.entry.actor == "two"]
    assert by_writer == list(range(40))
    assert rows[0].entry.at.tzinfo is UTC
