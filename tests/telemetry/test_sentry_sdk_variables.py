"""What the real Sentry SDK sends in `vars`: the facts that reproducers are built on.

Written down as a test, so that a new SDK that behaves otherwise is noticed here first.
"""

import sentry_sdk
from sentry_sdk.transport import Transport

from selfdrive_dagster.telemetry import read_crashes


class Kept(Transport):
    """A transport that keeps what it would have sent."""

    def __init__(self):
        super().__init__()
        self.envelopes = []

    def capture_envelope(self, envelope):
        self.envelopes.append(envelope.serialize())


class Opaque:
    def __init__(self):
        self.total = 5


class Counts(dict):
    """A subclass of dict."""


def crash(call):
    """Let the SDK report what `call` raises; return the crash that we read."""
    transport = Kept()
    options = {"default_integrations": False, "auto_enabling_integrations": False}
    client = sentry_sdk.Client(dsn="http://key@127.0.0.1:9/1", transport=transport, **options)
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        try:
            call()
        except Exception as error:
            scope.capture_exception(error)
    (found,) = read_crashes(transport.envelopes[0], "test.envelope")
    return found


def variables_of(call):
    return crash(call).raised.frames[-1].variables


def scalars(number=3, ratio=0.5, name="o'neil", raw=b"ab", nothing=None, yes=True):
    raise LookupError


def containers():
    pair, unique, mapping, empty = (1, "a"), {7}, {1: "one", "k": (2,)}, {}
    raise LookupError(pair, unique, mapping, empty)


def long_ones():
    ten, eleven, wide = list(range(10)), list(range(11)), {n: n for n in range(20)}
    raise LookupError(ten, eleven, wide)


def deep_one():
    deep = {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}
    raise LookupError(deep)


def objects(opaque, counts):
    raise LookupError


def many(a, b, c, d, e, f, g, h, i, j, k, m):
    raise LookupError


def secrets(password="hunter22", token="t0k", api_key="k"):
    headers = {"Cookie": "a=b", "Host": "x"}
    raise LookupError(headers)


def test_scalars_arrive_as_the_text_of_their_repr():
    assert variables_of(scalars) == {
        "number": "3",
        "ratio": "0.5",
        "name": '"o\'neil"',
        "raw": "b'ab'",
        "nothing": "None",
        "yes": "True",
    }


def test_tuples_and_sets_become_lists_and_number_keys_become_texts():
    assert variables_of(containers) == {
        "pair": ["1", "'a'"],
        "unique": ["7"],
        "mapping": {"1": "'one'", "k": ["2"]},
        "empty": {},
    }


def test_containers_are_cut_at_ten_entries_without_a_sign():
    seen = variables_of(long_ones)
    assert seen["ten"] == seen["eleven"] == [str(number) for number in range(10)]
    assert len(seen["wide"]) == 10


def test_below_the_depth_limit_stands_a_repr():
    inner = variables_of(deep_one)["deep"]
    depth = 1
    while isinstance(inner, dict):
        (inner,) = inner.values()
        depth += 1
    assert (depth, inner) == (5, "{'e': {'f': 1}}")


def test_an_object_is_its_default_repr_and_a_dict_subclass_is_a_dict():
    seen = variables_of(lambda: objects(Opaque(), Counts(a=1)))
    assert "Opaque object at 0x" in seen["opaque"]
    assert seen["counts"] == {"a": "1"}


def test_a_frame_keeps_ten_locals_only():
    assert len(variables_of(lambda: many(*range(12)))) == 10


def test_the_sdk_filters_names_it_knows_and_we_filter_the_rest():
    seen = variables_of(secrets)
    assert seen["password"] == seen["token"] == seen["api_key"] == "[Filtered]"
    assert seen["headers"]["Host"] == "'x'"
    assert seen["headers"]["Cookie"] == "[secret]"


def test_variables_are_those_at_the_raise_not_the_arguments():
    def clean(text):
        text = text.strip()
        raise LookupError

    assert variables_of(lambda: clean("  a  ")) == {"text": "'a'"}


def test_the_chain_runs_from_the_cause_to_the_exception_that_was_captured():
    def wrap():
        try:
            scalars()
        except LookupError as error:
            raise ValueError("outer") from error

    found = crash(wrap)
    assert [one.type for one in found.exceptions] == ["LookupError", "ValueError"]
    assert found.raised.frames[-1].function.endswith("wrap")
    assert found.raised.handled is True


def test_by_itself_the_sdk_sends_no_session_and_no_user():
    found = crash(scalars)
    assert (found.session_id, found.user_id) == ("", "")
