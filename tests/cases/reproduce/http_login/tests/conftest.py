import pytest
from starlette.testclient import TestClient

from kiosk.app import create_app


@pytest.fixture
def client():
    return TestClient(create_app())


@pytest.fixture
def logged_in(client):
    client.post("/login", json={"user": "ann"})
    return client
