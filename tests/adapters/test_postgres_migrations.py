"""Migrations: once each, all or nothing, and looking changes nothing."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import ProgrammingError

from selfdrive_dagster.adapters.postgres import MIGRATIONS, Migration, connect, migrate, pending
from selfdrive_dagster.adapters.postgres.migrations import FOUNDATIONS, MIGRATIONS_LOCK
from selfdrive_dagster.adapters.postgres.tables import metadata
from selfdrive_dagster.errors import Refused, SelfdriveError


@pytest.fixture
def bare(engine: Engine) -> Iterator[Engine]:
    """A database in which nothing of ours was made yet."""
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA selfdrive CASCADE"))
        connection.execute(text("DROP SCHEMA dagster CASCADE"))
    return engine


def test_numbers_are_in_order_and_without_gaps() -> None:
    assert [step.number for step in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_the_digests_of_published_steps_never_change() -> None:
    published = {
        1: "49e4f3335eaf",
        2: "32ac301711be",
        3: "adbb444356d2",
        4: "5fe567802cca",
        5: "be044fde347b",
        6: "fbe228f10d95",
        7: "1864d04de5af",
    }
    assert {step.number: step.sha256[:12] for step in MIGRATIONS[: len(published)]} == published


def test_looking_writes_nothing(bare: Engine) -> None:
    assert pending(bare) == MIGRATIONS
    assert set(inspect(bare).get_schema_names()) == {"information_schema", "public"}


def test_each_step_is_applied_once(bare: Engine) -> None:
    assert migrate(bare) == MIGRATIONS
    assert migrate(bare) == ()
    assert pending(bare) == ()


def test_the_tables_that_queries_see_are_the_tables_that_are_there(engine: Engine) -> None:
    there = inspect(engine)
    for table in metadata.tables.values():
        columns = {column["name"] for column in there.get_columns(table.name, "selfdrive")}
        assert columns == set(table.columns.keys())
    names = {table.name for table in metadata.tables.values()}
    assert set(there.get_table_names("selfdrive")) == names | {"migrations"}


def test_many_at_once_apply_each_step_once(bare: Engine) -> None:
    applied: list[Migration] = []
    threads = [threading.Thread(target=lambda: applied.extend(migrate(bare))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert applied == list(MIGRATIONS)


def test_who_waited_for_another_does_not_believe_an_old_memory(bare: Engine) -> None:
    with bare.begin() as connection:  # so that the waiting backend knows how to make a schema
        connection.execute(text("CREATE SCHEMA warm"))
        connection.execute(text("DROP SCHEMA warm"))
    applied: list[Migration] = []
    waiting = threading.Thread(target=lambda: applied.extend(migrate(bare)))
    other = connect(bare.url.render_as_string(hide_password=False))
    with other.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATIONS_LOCK})
        waiting.start()
        while not connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            time.sleep(0.05)
        connection.exec_driver_sql(FOUNDATIONS)
    other.dispose()
    waiting.join()
    assert applied == list(MIGRATIONS)


def test_a_step_that_fails_takes_the_others_with_it(bare: Engine) -> None:
    steps = (*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "broken", "CREATE TABLE nonsense ("))
    with pytest.raises(ProgrammingError):
        migrate(bare, steps)
    assert pending(bare) == MIGRATIONS
    assert "selfdrive" not in inspect(bare).get_schema_names()


def test_an_edited_step_is_refused(engine: Engine) -> None:
    edited = (MIGRATIONS[0]._replace(sql="SELECT 1"), *MIGRATIONS[1:])
    with pytest.raises(SelfdriveError, match="edited after it was applied"):
        migrate(engine, edited)


def test_a_newer_database_is_refused(engine: Engine) -> None:
    with pytest.raises(SelfdriveError, match="this program knows 1"):
        migrate(engine, MIGRATIONS[:1])


def test_a_role_without_rights_is_told_what_to_ask_for(bare: Engine) -> None:
    with bare.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS guest"))
        connection.execute(text("CREATE ROLE guest LOGIN"))
    guest = connect(bare.url.set(username="guest").render_as_string(hide_password=False))
    with pytest.raises(Refused, match="permission denied") as caught:
        migrate(guest)
    assert "GRANT CREATE" in str(caught.value)
    guest.dispose()
    with bare.begin() as connection:
        connection.execute(text("DROP ROLE guest"))
