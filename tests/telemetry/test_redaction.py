"""Redaction against a corpus with its recall told per class, and against anything at all."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from selfdrive_dagster.telemetry.redact import (
    CUT,
    MAX_TEXT_CHARS,
    Redactor,
    is_luhn,
    is_secret_name,
    redact_text,
    redact_value,
)

CASES = Path(__file__).parent.parent / "cases" / "telemetry"
CORPUS = json.loads((CASES / "redaction_corpus.json").read_text())


def leaks(case):
    shown = json.dumps(redact_value(case["value"]), ensure_ascii=False)
    if isinstance(case["value"], dict):  # the name may hold the letters of a short secret
        shown = json.dumps(values_of(redact_value(case["value"])), ensure_ascii=False)
    return case["secret"] in shown


def values_of(value):
    if isinstance(value, dict):
        return [values_of(inner) for key, inner in value.items() if key != "name"]
    return value


def test_every_secret_of_the_corpus_goes():
    totals = Counter(case["class"] for case in CORPUS)
    lost = [case for case in CORPUS if leaks(case)]
    missed = Counter(case["class"] for case in lost)
    for name, total in sorted(totals.items()):
        print(f"{name:12} recall {1 - missed[name] / total:6.1%} of {total}")
    assert not lost, [(case["class"], case["value"]) for case in lost]
    assert len(CORPUS) >= 200


PYDANTIC = (
    "1 validation error for Login\npassword\n  String should have at least 12 characters "
    "[type=string_too_short, input_value='hunter2!', input_type=str]\n    For further information"
)
FASTAPI = (
    "[{'type': 'string_too_short', 'loc': ('body', 'password'), 'msg': 'String should have at "
    "least 12 characters', 'input': 'hunter2!', 'ctx': {'min_length': 12}}]"
)
AS_JSON = FASTAPI.translate({ord("'"): '"', ord("("): "[", ord(")"): "]"})
LONG = "aB3" * 1_500

SHAPES = {
    "short numbers in a query": ("cvv=923&pin=9234&otp=4821", ("923", "9234", "4821")),
    "a short number in a body": ('{"cvv": 923}', ("923",)),
    "a short number as a password": ("login failed for password=1234", ("1234",)),
    "a short number in a list": ('{"pin": 9234, "n": 3}', ("9234",)),
    "a QueryDict": ("<QueryDict: {'user': ['bob'], 'password': ['hunter2!']}>", ("hunter2!",)),
    "a list in JSON": ('{"password": ["hunter2!", "b"], "n": 1}', ("hunter2!",)),
    "a list in a list in JSON": ('{"passwords": [["hunter2!"], "b"]}', ("hunter2!",)),
    "a list that was cut": ('{"password": ["hunter2!", "hun', ("hunter2!", "hun")),
    "a pair in a MultiDict": ("MultiDict([('password', 'hunter2!')])", ("hunter2!",)),
    "a pair in FormData": ("FormData([('a', 'b'), ('password', 'hunter2!')])", ("hunter2!",)),
    "a pair with a list": ("[('password', ['hunter2!'])]", ("hunter2!",)),
    "a pair in JSON": ('[["x-api-key", "hunter2!"]]', ("hunter2!",)),
    "a pair in JSON in JSON": (r'"[[\"x-api-key\", \"hunter2!\"]]"', ("hunter2!",)),
    "headers of ASGI": (
        "[(b'authorization', b'Token s3cr3tvalue'), (b'x-api-key', b'hunter2!')]",
        ("s3cr3tvalue", "hunter2!"),
    ),
    "pydantic's message": (PYDANTIC, ("hunter2!",)),
    "pydantic's message in one line": (PYDANTIC.replace("\n", "\\n"), ("hunter2!",)),
    "pydantic's errors": (FASTAPI, ("hunter2!",)),
    "pydantic's errors in JSON": (AS_JSON, ("hunter2!",)),
    "pass in JSON": ('{"pass": "hunter2!"}', ("hunter2!",)),
    "pass in the environment": ("DB_PASS=hunter2! DEBUG=1", ("hunter2!",)),
    "pass in YAML": ("smtp:\n  mail_pass: hunter2!\n", ("hunter2!",)),
    "dbpass": ("dbpass=hunter2!", ("hunter2!",)),
    "plurals": ('{"passwords": ["hunter2!"]}', ("hunter2!",)),
    "many tokens": ('{"tokens": ["s3cr3tvalue"]}', ("s3cr3tvalue",)),
    "many keys": ('{"api_keys": {"stripe": "hunter2!", "s3": {"a": "b9"}}}', ("hunter2!", "b9")),
    "totp": ("totp=482193", ("482193",)),
    "a code by SMS": ('{"sms_code": 4821, "smscode": "9234"}', ("4821", "9234")),
    "a code for recovery": ("recovery-code: 4821", ("4821",)),
    "a labelled value": ('{"Name":"password","Value":"hunter2!"}', ("hunter2!",)),
    "a scheme and a token": ("Authorization=Token s3cr3t", ("s3cr3t",)),
    "several words": ("password: correct horse\nuser: bob", ("correct", "horse")),
    "several words before a name": ("password: correct horse user: bob", ("correct", "horse")),
    "a slash in a URL": ("postgres://u:p/ss@h/shop", ("p/ss",)),
    "an at sign in a URL": ("postgres://u:p@ss@h/shop", ("p@ss", "ss@h")),
    "a link-local address": ("from fe80::1 refused", ("fe80::1",)),
    "a private address": ("from [fd00::5]:8080", ("fd00::5",)),
    "a very long token": (f"got {LONG} instead", ("aB3aB3",)),
    "a very long bearer": (f"Bearer {LONG}", ("aB3aB3",)),
    "a very long cookie": ("Cookie: " + "a=b; " * 2_000 + "s=hunter2!", ("hunter2!",)),
    "an escaped quote inside": (r'{"password": "hun\"ter2!"}', ("hun", "ter2!")),
    "a quote that was cut": ('{"password": "hunter2!', ("hunter2!",)),
    "triple quotes": ("password = '''hunter2!'''", ("hunter2!",)),
    "a default with a type": ("def login(password: str = 'hunter2!')", ("hunter2!",)),
    "brackets in a form": ("user%5Bpassword%5D=hunter2%21&user[pin]=9234", ("hunter2", "9234")),
    "JSON in a query": ("q=%7B%22password%22%3A%22hunter2%22%7D", ("hunter2",)),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("frame", ["{}", "Bad request: {} was refused", "{}\n  at line 3"])
def test_secrets_go_from_text_in_every_shape(name, frame):
    text, secrets = SHAPES[name]
    shown = redact_text(frame.replace("{}", text))
    assert not [secret for secret in secrets if secret in shown], shown
    assert redact_text(shown) == shown


TREES = {
    "a number under a strong name": ({"cvv": 923, "x": [{"otp": 4821}]}, ("923", "4821")),
    "a number under a pin": ({"pin": 9234}, ("9234",)),
    "a list": ({"password": ["hunter2!"]}, ("hunter2!",)),
    "a tree": ({"api_keys": {"stripe": {"live": 9234}}}, ("9234", "stripe")),
    "plurals": (
        {"passwords": ["hunter2!"], "tokens": ["s3cr3tvalue"]},
        ("hunter2!", "s3cr3tvalue"),
    ),
    "tokens by name": ({"tokens": {"a": "s3cr3tvalue"}}, ("s3cr3tvalue",)),
    "pass": ({"pass": "hunter2!", "smtpPass": "hunter2!"}, ("hunter2!",)),
    "codes": ({"totp": "482193", "sms_code": "4821", "smsCode": 9234}, ("482193", "4821", "9234")),
    "a labelled value": ({"Name": "password", "Value": "hunter2!"}, ("hunter2!",)),
    "a labelled list": ({"name": "password", "values": ["hunter2!"]}, ("hunter2!",)),
    "pydantic": ({"loc": ["body", "password"], "msg": "x", "input": "hunter2!"}, ("hunter2!",)),
    "headers as bytes": ([["b'authorization'", "b'Token s3cr3tvalue'"]], ("s3cr3tvalue",)),
}


@pytest.mark.parametrize("name", TREES)
def test_secrets_go_from_trees_in_every_shape(name):
    tree, secrets = TREES[name]
    shown = json.dumps(redact_value(tree))
    assert not [secret for secret in secrets if secret in shown], shown


@pytest.mark.parametrize(
    "value",
    [
        "12 passes, compass=north, bypass: off, passenger=bob",
        "token_count=50000&max_tokens=128000&total_tokens: 12345",
        "status_code=404 country_code: DE zip_code='12345' exit code: 137",
        "error code: 1234",
        '{"code": "E1234", "status_code": 500, "promo_code": "SPRING"}',
        "All checks pass: yes",
        "pass_rate=0.98, pass=3",
        "gpio pin=17, {'pin': 4}",
        "token = 3, token: 12.5",
        "Unexpected token: '}'",
        "{'tokens': ['(', 'hello', 'world', ')']}",
        "fields = ('username', 'password', 'email')",
        "def login(user: str, password: str, token: str | None = None) -> bool:",
        "password=None&has_token=True",
        "{'password': [], 'secret': {}}",
        "password: [secret], token=[jwt], 'api_key': '[Filtered]'",
        "Enter password:\nTraceback (most recent call last):",
        "cookie_name='sid' token_type=bearer",
        "http://host:8080/users/@bob",
        "x[1::2] dead::beef abc::def",
        "1 validation error for Order\nquantity\n  Input should be a valid integer "
        "[type=int_parsing, input_value='x', input_type=str]",
        "{'type': 'missing', 'loc': ('body', 'quantity'), 'msg': 'm', 'input': 'three'}",
        '{"name": "colour", "value": "red"}',
        "[('colour', 'red')]",
    ],
)
def test_what_only_looks_like_a_secret_stays(value):
    assert redact_text(value) == value


def test_what_stands_around_a_secret_stays():
    shown = redact_text("<QueryDict: {'user': ['bob'], 'password': ['hunter2!'], 'n': ['3']}>")
    assert shown == "<QueryDict: {'user': ['bob'], 'password': [secret], 'n': ['3']}>"
    assert redact_text(FASTAPI) == FASTAPI.replace("'hunter2!'", "[secret]")
    assert redact_text(PYDANTIC) == PYDANTIC.replace("'hunter2!'", "[secret]")
    assert redact_text("password=hunter2! failed") == "password=[secret] failed"


@pytest.mark.parametrize(
    "value",
    [
        "IndexError: list index out of range",
        "invalid literal for int() with base 10: 'x'",
        "2026-03-01T10:00:00.123456Z",
        "12:30:45",
        "1.2.3",
        "127.0.0.1",
        "::1",
        "x[::2]",
        "std::vector<int>",
        "/srv/shop/lib/python3.11/site-packages/jinja2/environment.py",
        "test_a_very_long_name_of_a_function_1_with_numbers_22",
        "e58ed763-928c-4155-bee9-fdbaaadc15f3",
        "The tokenizer saw 12 tokens",
        "author: Jane",
        "1763881234567890123",
        "0.30000000000000004",
        "[secret]",
        "[Filtered]",
        "'[email]'",
        "a" * 60,
        "1" * 60,
    ],
)
def test_what_a_reproducer_needs_stays(value):
    assert redact_text(value) == value


@pytest.mark.parametrize(
    "tree",
    [
        {"n": 3, "ratio": 0.5, "ok": True, "none": None, "items": ["1", "'z'", "None"]},
        {"password": None, "has_token": True, "token": "3", "secret": ""},
        {"token_count": "12", "cookie_name": "'sid'", "max_tokens": 512, "author": "Jane"},
        {"password": "[Filtered]", "key": "'a'", "tokens": ["'('", "')'"]},
        {"keyboard": "x", "passenger": "y", "compass": "z", "broken": "t", "monkey": "k"},
        {"passes": "all", "bypass": "off", "pass": 3, "pass_rate": "98%", "first_pass": True},
        {"status_code": "404", "country_code": "DE", "zip_code": "12345", "code": "E1", "pin": 17},
        {"tokens": ["SELECT", "*", "FROM"], "total_tokens": 123456, "token": "'}'"},
        {"name": "colour", "value": "red"},
        {"loc": ["body", "quantity"], "msg": "x", "input": "three"},
        ["host", "shop.example"],
        4242,
        1763881234567890123,
    ],
)
def test_plain_values_stay_as_they_are(tree):
    assert redact_value(tree) == tree


@pytest.mark.parametrize("name", ["userPassword", "X-API-KEY", "b'cookie'", "sessionToken", "AUTH"])
def test_names_are_read_in_every_spelling(name):
    assert is_secret_name(name)


def test_a_weak_name_keeps_numbers_and_a_strong_one_does_not():
    assert redact_value({"token": "3", "pin": "1234"}) == {"token": "3", "pin": "[secret]"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


@given(JSON)
def test_nothing_makes_it_raise_and_twice_is_once(tree):
    once = redact_value(tree)
    json.dumps(once)
    # NaN is not equal to itself; repr is.
    assert repr(redact_value(once)) == repr(once)


@given(st.text(alphabet="ab@.:=1- '\"/%eyJ", max_size=200))
def test_redacted_text_holds_nothing_more_to_redact(text):
    once = redact_text(text)
    assert redact_text(once) == once


@given(st.emails(), st.text(max_size=20))
def test_an_email_never_stays_whole(mail, around):
    assume(mail.split("@")[0][-1].isalnum())  # "{@a.ar" is an address by the letter only
    assert f" {mail} " not in redact_text(f"{around} {mail} {around}")


def test_depth_and_length_are_bounded():
    deep = "x"
    for _ in range(500):
        deep = [deep]
    assert CUT in json.dumps(redact_value(deep))
    assert len(redact_text("a b" * MAX_TEXT_CHARS)) <= MAX_TEXT_CHARS + len(CUT)
    assert len(redact_value(["x"] * 100_000)) < 25_000


@pytest.mark.parametrize(
    "piece",
    [
        "a", "a.", "@a", "1.", "1:", "=", "password", "'", "eyJa", "eyJ-", "eyJaaaaaa.", "Bearer ",
        "a1B", "-", "\\", '\\"', "password:[", "password=", "pin='\\'", 'pin="', "token=[",
        "token:",
        "('a',", "('a','", "['pin',[", "'loc':('a'", "'loc':('a')", "\na\n ", "\\na\\n ",
        '"name":"pin",', "://", "://a:", "://a:1/", "cookie:", "a ", "pass word: ", "fe80::", "%5B",
        "a:b:",
        "[type=a, input_value=", "-----BEGIN PRIVATE KEY-----", "6d1e-", '["\\"',
    ],
)  # fmt: skip
def test_time_grows_with_the_text_whatever_is_repeated(piece):
    def seconds(chars, times):
        texts = [(head + piece * chars)[:chars] for head in ("", "password:[")]
        begun = time.process_time()
        for _ in range(times):
            for text in texts:
                redact_text(text)
        return (time.process_time() - begun) / times

    # Growth is compared, never a time: a square would be 16,384, other work on this machine
    # may double either side, and the better of several counts.
    growth = min(seconds(MAX_TEXT_CHARS, 1) / seconds(512, 20) for _ in range(3))
    assert growth <= 4 * (MAX_TEXT_CHARS / 512)


def test_a_pseudonym_needs_the_key_and_tells_kinds_apart():
    one, other = Redactor(b"one"), Redactor(b"other")
    assert one.pseudonym("user", "42") == one.pseudonym("user", "42")
    assert one.pseudonym("user", "42") != other.pseudonym("user", "42")
    assert one.pseudonym("user", "42") != one.pseudonym("session", "42")
    assert len(one.pseudonym("user", "42")) == 32
    assert one.pseudonym("user", "") == ""
    assert Redactor().pseudonym("user", "42") == "[user]"


def test_luhn_finds_a_changed_digit():
    assert is_luhn("4111111111111111")
    assert not is_luhn("4111111111111112")
