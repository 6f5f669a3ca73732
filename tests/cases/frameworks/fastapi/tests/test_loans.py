from fastapi.testclient import TestClient

from library.main import app


def test_a_late_loan_costs():
    client = TestClient(app)
    client.post("/login")
    assert client.post("/loans", json={"days": 7}).json() == {"fine": 14}
