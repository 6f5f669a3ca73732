"""The real SDK against the stand-in: each fault ends in its named result, and in time."""

import json
import socket
import time
from collections.abc import Iterator

import httpx2
import pytest
from fakes.models import QUESTION, client_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.claude import KEY, Client
from selfdrive_dagster.adapters.claude.client import is_same_model, proxy_for
from selfdrive_dagster.adapters.claude.faults import retry_after
from selfdrive_dagster.adapters.claude.standin import Reply, Script, Standin, serving
from selfdrive_dagster.adapters.claude.standin.faults import FAULTS
from selfdrive_dagster.model import Result
from selfdrive_dagster.patches.asking.questions import AGAIN, Answer
from selfdrive_dagster.patches.asking.testing import TEST_SCHEMA, Written

# fault, result, whether it is certainly free, seconds that the service asks to wait
CASES = [
    ("refusal", Result.REFUSED, False, None),
    ("max_tokens", Result.CUT_AT_MAX_TOKENS, False, None),
    ("context_window", Result.CUT_AT_MAX_TOKENS, False, None),
    ("tool_use", Result.UNEXPECTED_STOP, False, None),
    ("empty", Result.EMPTY, False, None),
    ("malformed", Result.ANSWERED, False, None),  # what the text says is not the wire's business
    ("wrong_schema", Result.ANSWERED, False, None),
    ("bad_edit", Result.ANSWERED, False, None),
    ("wrong_file", Result.ANSWERED, False, None),
    ("other_model", Result.OTHER_MODEL, False, None),
    ("rate_limited", Result.RATE_LIMITED, True, None),
    ("rate_limited_wait", Result.RATE_LIMITED, True, 1.0),
    ("rate_limited_hour", Result.RATE_LIMITED, True, 3600.0),
    ("ramp_limit", Result.RATE_LIMITED, True, 1.0),
    ("spend_limit", Result.SPEND_LIMIT, True, None),
    ("contract_limit", Result.SPEND_LIMIT, True, None),
    ("own_limit", Result.SPEND_LIMIT, True, None),
    ("billing", Result.SPEND_LIMIT, True, None),
    ("no_permission", Result.NOT_ALLOWED, True, None),
    ("wrong_key", Result.NOT_ALLOWED, True, None),
    ("unknown_model", Result.REJECTED, True, None),
    ("moved", Result.REJECTED, True, None),
    ("gave_up", Result.TIMED_OUT, False, None),
    ("request_too_large", Result.TOO_LARGE, True, None),
    ("server_fault", Result.SERVER_FAULT, False, None),
    ("gateway_timeout", Result.TIMED_OUT, False, None),
    ("overloaded", Result.OVERLOADED, False, None),
    ("overloaded_in_stream", Result.OVERLOADED, False, None),
    ("cut_stream", Result.CUT_STREAM, False, None),
    ("torn_event", Result.CUT_STREAM, False, None),
    ("ended_early", Result.CUT_STREAM, False, None),
    ("slow_drip", Result.TOO_SLOW, False, None),
    ("silence", Result.TIMED_OUT, False, None),
    ("garbled", Result.GARBLED, False, None),
    ("ten_megabytes", Result.TOO_LARGE, False, None),
    ("sign_in_page", Result.CUT_STREAM, False, None),
    ("no_usage", Result.ANSWERED, False, None),
    ("in_one_country", Result.ANSWERED, False, None),
]
PROMPT = 3.0
"""Seconds of the total deadline here; silence is noticed after one."""


@pytest.fixture
def standin() -> Iterator[Standin]:
    with serving(Script()) as server:
        yield server


def asked(fault: str) -> tuple[Answer, Standin]:
    with serving(Script(reply=(Reply(fault=fault),))) as server:
        return client_of(server, seconds=PROMPT, silence_seconds=1.0).ask(QUESTION), server


def test_no_fault_is_without_a_case() -> None:
    assert {case[0] for case in CASES} == set(FAULTS)


@pytest.mark.parametrize(("fault", "result", "free", "wait"), CASES, ids=[c[0] for c in CASES])
def test_each_fault_ends_in_its_result(
    fault: str, result: Result, free: bool, wait: float | None
) -> None:
    start = time.monotonic()
    answer, server = asked(fault)
    assert (answer.result, answer.is_free, answer.retry_after) == (result, free, wait), answer
    assert time.monotonic() - start < PROMPT + 5
    assert len(server.asked) == 1  # the SDK tries nothing again by itself


def test_no_limit_of_spending_may_be_asked_again() -> None:
    limits = ("spend_limit", "contract_limit", "own_limit", "billing")
    assert not {asked(fault)[0].result for fault in limits} & AGAIN


def test_an_answer_says_what_was_used_and_by_whom(standin: Standin) -> None:
    first, again = (client_of(standin).ask(QUESTION) for _ in range(2))
    assert (first.result, json.loads(first.text)) == (Result.ANSWERED, {"drafts": []})
    assert (first.model, first.request_id) == (QUESTION.model, "req_standin1")
    assert first.usage is not None and again.usage is not None
    assert first.usage.cache_write_tokens == again.usage.cache_read_tokens > 0


def test_what_is_sent_is_the_question_and_no_tool(standin: Standin) -> None:
    client_of(standin).ask(QUESTION)
    (body,) = standin.asked
    assert [block["text"] for block in body["system"]] == ["rules"]
    assert [block["text"] for block in body["messages"][0]["content"]] == ["code", "facts"]
    assert body["output_config"]["format"]["schema"] == QUESTION.schema
    assert not {"tools", "mcp_servers", "metadata"} & set(body)


@pytest.mark.parametrize("fault", ["no_usage", "in_one_country"])
def test_what_our_prices_do_not_tell_counts_as_unknown(fault: str) -> None:
    answer, _ = asked(fault)
    assert answer.text and answer.usage is None  # the whole reservation is charged


def test_a_question_for_tests_is_answered_with_tests() -> None:
    test = Written(explanation="so", source="def test_it(): ...")
    reply = Reply(tests=(test,))
    with serving(Script(reply=(reply, Reply(when="code")))) as server:
        answers = [
            client_of(server).ask(replace(QUESTION, schema=schema))
            for schema in (TEST_SCHEMA, QUESTION.schema)
        ]
    told = [json.loads(answer.text) for answer in answers]
    assert told == [{"tests": [{"explanation": "so", "source": test.source}]}, {"drafts": []}]


def test_where_no_client_can_be_opened_nothing_is_paid(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "nonsense://proxy")
    monkeypatch.setenv("no_proxy", "")
    environ = {KEY: "k", "ANTHROPIC_BASE_URL": "http://api.example"}
    answer = Client(environ).ask(QUESTION)
    assert (answer.result, answer.is_free) == (Result.UNREACHABLE, True)


def test_a_refusal_is_paid_for(standin: Standin) -> None:
    answer, _ = asked("refusal")
    assert answer.usage is not None and "cyber" in answer.says


def test_without_a_key_nothing_is_sent(standin: Standin) -> None:
    answer = Client({"ANTHROPIC_BASE_URL": standin.url}).ask(QUESTION)
    assert (answer.result, answer.is_free, standin.asked) == (Result.NO_KEY, True, [])
    assert KEY in answer.says


def test_a_refused_connection_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    environ = {KEY: "k", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}
    answer = Client(environ).ask(QUESTION)
    assert (answer.result, answer.is_free) == (Result.UNREACHABLE, True)


def test_a_connection_that_breaks_before_a_reply_may_have_cost_something() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        environ = {KEY: "k", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}
        import threading

        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        answer = Client(environ).ask(QUESTION)
    assert (answer.result, answer.is_free) == (Result.CUT_STREAM, False)


def test_a_proxy_of_the_environment_is_used_and_can_be_passed_by(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", standin.url)
    monkeypatch.setenv("no_proxy", "inside.example")
    environ = {KEY: "k", "ANTHROPIC_BASE_URL": "http://api.example"}
    assert Client(environ).ask(QUESTION).result is Result.REJECTED  # the stand-in is no proxy
    assert len(standin.asked) == 1
    assert proxy_for("http://inside.example/v1") is None
    assert proxy_for("https://api.example") is None


@pytest.mark.parametrize(
    ("asked", "returned", "same"),
    [
        ("claude-x-5", "claude-x-5", True),
        ("claude-x-5", "claude-x-5-20260101", True),
        ("claude-x-5", "claude-x-5-1", False),
        ("claude-x-5", "claude-x-5-20260101-fast", False),
        ("claude-x-5", "", False),
    ],
)
def test_a_dated_name_is_the_same_model(asked: str, returned: str, same: bool) -> None:
    assert is_same_model(asked, returned) is same


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("", None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)
def test_retry_after_is_a_number_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(header) == seconds


def test_a_whole_message_is_told_as_the_stream_is(standin: Standin) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
    told = httpx2.post(f"{standin.url}/v1/messages", json=body, headers=headers).json()
    assert (told["type"], told["model"], told["stop_reason"]) == ("message", "m", "end_turn")
    refused = httpx2.post(f"{standin.url}/v1/messages", json=body)
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
