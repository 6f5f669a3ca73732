"""The opt-in recorder around real ASGI and WSGI applications, and what its file holds."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client
from werkzeug.wrappers import Request as Asked
from werkzeug.wrappers import Response

from selfdrive_dagster.hooks import recorder
from selfdrive_dagster.telemetry import Redactor
from selfdrive_dagster.telemetry.calls import read_calls

EVERY = {"share": 1.0, "per_minute": 1000}


async def _answer(request: Request) -> JSONResponse:
    body = (await request.body()).decode()
    if request.url.path == "/breaks":
        raise KeyError("no such row")
    return JSONResponse({"heard": body}, 404 if request.url.path == "/missing" else 200)


def asgi(path: Path, **more: Any) -> Callable[..., Any]:
    app = Starlette(routes=[Route("/{any:path}", _answer, methods=["GET", "POST"])])
    return TestClient(recorder.Asgi(app, str(path), **{**EVERY, **more})).request


@Asked.application
def _served(request: Asked) -> Response:
    if request.path == "/breaks":
        raise KeyError("no such row")
    told = json.dumps({"heard": request.get_data(as_text=True)})
    return Response(told, 404 if request.path == "/missing" else 200)


def wsgi(path: Path, **more: Any) -> Callable[..., Any]:
    client = Client(recorder.Wsgi(_served, str(path), **{**EVERY, **more}))

    def request(method: str, url: str, headers: Any = None, **body: Any) -> Any:
        if "content" in body:
            body["data"] = body.pop("content")
        return client.open(url, method=method, headers=headers, buffered=True, **body)

    return request


@pytest.fixture(params=[asgi, wsgi], ids=["asgi", "wsgi"])
def around(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


def kept(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_good_call_is_kept_without_what_nobody_should_know(around, tmp_path) -> None:
    send = around(tmp_path / "calls.jsonl")
    body = {"sku": "tea", "password": "hunter2", "gift": [{"api_key": "k-1"}]}
    headers = {"Cookie": "sid=s3cr3t", "Authorization": "Bearer t0k3n"}
    answer = send("POST", "/käse%3F?page=2", json=body, headers=headers)
    assert "hunter2" in answer.text
    [call] = kept(tmp_path / "calls.jsonl")
    assert call.pop("when") > 0
    assert call == {
        "method": "POST",
        "path": "/k%C3%A4se%3F",
        "query": "page=2",
        "content_type": "application/json",
        "body": {"sku": "tea", "password": "[Filtered]", "gift": [{"api_key": "[Filtered]"}]},
        "status": 200,
    }
    assert stat.S_IMODE((tmp_path / "calls.jsonl").stat().st_mode) == 0o600
    [read] = read_calls((tmp_path / "calls.jsonl").read_bytes(), Redactor())
    assert read.request.url == "/k%C3%A4se%3F?page=2"


TEXT, JSON = {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}
LEFT_OUT = {
    "not found": ("GET", "/missing", {}),
    "a secret in the address": ("GET", "/cart?reset_token=abc", {}),
    "a long body": ("POST", "/cart", {"json": {"a": "x" * 20_000}}),
    "a text": (
        "POST",
        "/cart",
        {"content": b"dear shop", "headers": TEXT},
    ),
    "no JSON": (
        "POST",
        "/cart",
        {"content": b"{", "headers": JSON},
    ),
    "another method": ("OPTIONS", "/cart", {}),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_cannot_vouch_is_not_kept_and_served_all_the_same(case, around, tmp_path) -> None:
    method, url, more = LEFT_OUT[case]
    answer = around(tmp_path / "calls.jsonl")(method, url, **more)
    assert answer.status_code in (200, 404, 405)
    assert kept(tmp_path / "calls.jsonl") == []


def test_what_the_product_raises_goes_on_as_it_came(around, tmp_path) -> None:
    with pytest.raises(KeyError, match="no such row"):
        around(tmp_path / "calls.jsonl")("GET", "/breaks")
    assert kept(tmp_path / "calls.jsonl") == []


def test_few_are_kept_and_none_where_the_disk_says_no(around, tmp_path) -> None:
    send = around(tmp_path / "calls.jsonl", per_minute=2)
    for number in range(5):
        send("GET", f"/cart?page={number}")
    assert 2 <= len(kept(tmp_path / "calls.jsonl")) <= 4  # a minute may end in between
    assert around(tmp_path / "no folder" / "calls.jsonl")("GET", "/cart").status_code == 200
    around(tmp_path / "none.jsonl", share=0.0)("GET", "/cart")
    assert kept(tmp_path / "none.jsonl") == []


def test_a_full_file_is_begun_anew_and_the_one_before_stays(around, tmp_path) -> None:
    send = around(tmp_path / "calls.jsonl", most_bytes=400)
    for number in range(6):
        send("GET", f"/cart?page={number}")
    for name in ("calls.jsonl", "calls.jsonl.1"):
        assert 0 < (tmp_path / name).stat().st_size <= 400


def test_a_link_that_somebody_laid_is_not_followed(around, tmp_path) -> None:
    (tmp_path / "theirs").write_text("")
    (tmp_path / "calls.jsonl").symlink_to(tmp_path / "theirs")
    around(tmp_path / "calls.jsonl")("GET", "/cart")
    assert (tmp_path / "theirs").read_text() == ""


def test_a_body_in_pieces_reaches_a_wsgi_product_untouched(tmp_path) -> None:
    seen = {}

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        seen["input"] = environ["wsgi.input"]
        start("200 OK", [])
        return [b"ok"]

    stream = object()
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "wsgi.input": stream}
    list(recorder.Wsgi(app, str(tmp_path / "c"), **EVERY)(environ, lambda *told: None))
    assert seen["input"] is stream
    assert not kept(tmp_path / "c") or kept(tmp_path / "c")[0]["body"] is None
