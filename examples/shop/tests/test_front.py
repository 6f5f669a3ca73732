"""The front door, sessions and accounts."""

import pytest
from starlette.testclient import TestClient

from shop import seed
from shop.database import Database


def test_a_guest_is_greeted(client: TestClient) -> None:
    assert client.get("/").json() == {"shop": "Tea & Toast", "hello": "guest"}


def test_the_cookie_is_handed_out_once(client: TestClient) -> None:
    assert "shop_session" in client.get("/").headers["set-cookie"]
    assert "set-cookie" not in client.get("/").headers


def test_an_unknown_cookie_is_replaced(client: TestClient) -> None:
    client.cookies.set("shop_session", "never given out")
    assert "set-cookie" in client.get("/").headers


def test_health_names_the_release(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_RELEASE", "abc")
    assert client.get("/health").json() == {"status": "ok", "release": "abc"}


def test_a_database_is_filled_once(database: Database) -> None:
    before = database.rows("SELECT COUNT(*) FROM products")[0][0]
    seed.fill(database)
    assert database.rows("SELECT COUNT(*) FROM products")[0][0] == before
