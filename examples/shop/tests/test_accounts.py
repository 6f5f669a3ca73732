"""Signing in and out."""

from starlette.testclient import TestClient


def test_a_member_signs_in_and_out(member_client: TestClient) -> None:
    assert member_client.get("/account").json()["name"] == "Ada Brandt"
    assert member_client.get("/").json()["hello"] == "Ada Brandt"
    member_client.post("/sign-out")
    assert member_client.get("/account").status_code == 401


def test_a_wrong_password_is_refused(client: TestClient) -> None:
    answer = client.post("/sign-in", json={"email": "ada@example.org", "password": "coffee"})
    assert answer.status_code == 401
    assert answer.json()["field"] == "email"


def test_a_body_must_be_a_json_object(client: TestClient) -> None:
    assert client.post("/sign-in", content=b"{").status_code == 400
    assert client.post("/sign-in", json=[1]).status_code == 400
