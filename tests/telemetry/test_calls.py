"""The recorder's lines as a stranger might write them, read to calls that may be sent again."""

import json
from typing import Any

import pytest

from selfdrive_dagster.telemetry import Redactor
from selfdrive_dagster.telemetry.calls import MOST_CALLS, read_calls

GOOD = {"method": "POST", "path": "/cart", "query": "", "content_type": "application/json"}
GOOD |= {"body": {"sku": "tea", "count": 2}, "status": 201}


def lines(*told: Any) -> bytes:
    return b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in told)


def test_a_call_is_read_and_redacted_again() -> None:
    body = {"sku": "tea", "password": "hunter2", "to": "ada@example.com"}
    [call] = read_calls(lines({**GOOD, "query": "page=2", "body": body}), Redactor())
    assert (call.request.method, call.request.url, call.status) == ("POST", "/cart?page=2", 201)
    assert "hunter2" not in str(call)
    assert call.request.body["to"] == "[email]"


REFUSED = {
    "a torn line": b'{"method": "GET", "pa',
    "no object": b"[1]",
    "too deep": b"[" * 20_000,
    "too long": {**GOOD, "body": "x" * 70_000},
    "a method of the client": {**GOOD, "method": "close"},
    "another host": {**GOOD, "path": "//evil.example/x"},
    "an address": {**GOOD, "path": "http://evil.example/x"},
    "a failure": {**GOOD, "status": 500},
    "no status": {**GOOD, "status": "fine"},
    "a secret in the address": {**GOOD, "query": "to=ada@example.com"},
    "a secret in disguise": {**GOOD, "path": "/to/ada%40example.com"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_sent_again_is_left_out(case: str) -> None:
    read = read_calls(lines(REFUSED[case], GOOD), Redactor())
    assert [call.request.url for call in read] == ["/cart"]


def test_the_newest_different_calls_are_taken() -> None:
    many = [{**GOOD, "body": {"count": n}} for n in range(2 * MOST_CALLS)]
    read = read_calls(lines(*many, *many[-3:]), Redactor())
    assert [one.request.body["count"] for one in read] == [
        *range(MOST_CALLS, 2 * MOST_CALLS - 3),
        *range(2 * MOST_CALLS - 3, 2 * MOST_CALLS),
    ]
