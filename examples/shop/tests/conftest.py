"""A freshly seeded shop for every test, and its visitors."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from shop import seed
from shop.app import create_app
from shop.catalogue import find_product
from shop.database import Database
from shop.models import Member, Product
from shop.sessions import find_member


@pytest.fixture
def database() -> Iterator[Database]:
    """A database with the first stock."""
    store = Database(":memory:")
    seed.fill(store)
    yield store
    store.close()


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    """A guest's browser."""
    with TestClient(create_app(database)) as browser:
        yield browser


@pytest.fixture
def member_client(client: TestClient) -> TestClient:
    """Ada's browser, signed in."""
    answer = client.post(
        "/sign-in", json={"email": "ada@example.org", "password": seed.DEMO_PASSWORD}
    )
    assert answer.status_code == 200
    return client


@pytest.fixture
def ada(database: Database) -> Member:
    """A gold member from Germany who loves tea."""
    member = find_member(database, 1)
    assert member is not None
    return member


@pytest.fixture
def teapot(database: Database) -> Product:
    """A kitchen thing for 49 euros."""
    return find_product(database, 5)
