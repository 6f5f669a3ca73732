"""Addresses: one spelling, clear refusals, and no password in what people see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from selfdrive_dagster.adapters.postgres import (
    DatabaseUnreachable,
    connect,
    normalised,
    open_database,
    shown,
)
from selfdrive_dagster.errors import BadInput


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg"],
)
def test_every_spelling_becomes_one(scheme: str) -> None:
    url = f"{scheme}://me:pw@db.example:5433/loop?sslmode=require"
    assert normalised(url) == "postgresql+psycopg2://me:pw@db.example:5433/loop?sslmode=require"


WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@given(password=WORDS)
def test_a_password_survives_and_is_never_shown(password: str) -> None:
    url = make_url("postgresql://me@host/loop").set(password=f"s3cr-{password}")
    once = normalised(url.render_as_string(hide_password=False))
    assert normalised(once) == once
    assert make_url(once).password == f"s3cr-{password}"
    assert "s3cr-" not in shown(once)


def test_a_password_in_the_query_is_hidden_too() -> None:
    url = normalised("postgresql://me@host/loop?password=s3cret&sslmode=require")
    assert make_url(url).password == "s3cret"
    assert "s3cret" not in shown(url)
    assert "s3cret" not in shown("postgresql://me@host/loop?password=s3cret")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "cannot be read"),
        ("not an address, s3cret", "cannot be read"),
        ("sqlite:///loop.db", "names sqlite, not PostgreSQL"),
        ("mysql://me:s3cret@host/loop", "names mysql"),
        ("postgresql://me:s3cret@host", "names no database"),
        ("postgresql://me:s3cret@host:port/loop", "cannot be read"),
    ],
)
def test_what_is_no_address_is_told_without_its_password(url: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        normalised(url)
    assert "s3cret" not in str(caught.value)
    assert "Remedy" in str(caught.value)


def test_a_real_server_is_used_as_it_is(database_url: str, tmp_path) -> None:
    plain = database_url.replace("postgresql+psycopg2", "postgres")
    with open_database(tmp_path / "home", plain) as url:
        assert url == database_url
        engine = connect(url)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM selfdrive.ledger").scalar() == 0
        engine.dispose()
    assert not (tmp_path / "home").exists()  # nothing embedded was made


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@127.0.0.1:1/loop",
        "postgresql://me:s3cret@/loop?host=/no/such/folder",
    ],
)
def test_an_unreachable_server_is_told_without_its_password(url: str, tmp_path) -> None:
    with pytest.raises(DatabaseUnreachable) as caught, open_database(tmp_path, url):
        pass
    told = str(caught.value)
    assert "s3cret" not in told
    assert "SELFDRIVE_DATABASE_URL" in told
    assert caught.value.__suppress_context__


def test_a_missing_database_is_named(database_url: str, tmp_path) -> None:
    missing = str(make_url(database_url).set(database="nowhere"))
    with (
        pytest.raises(DatabaseUnreachable, match='"nowhere" does not exist'),
        open_database(tmp_path, missing),
    ):
        pass
