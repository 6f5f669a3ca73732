import pytest

from library import create_app


@pytest.fixture
def client():
    app = create_app()
    app.testing = True
    return app.test_client()


@pytest.fixture
def member_client(client):
    client.post("/login", json={"user": "ann"})
    return client
