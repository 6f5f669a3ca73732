"""Small questions whose answers are known: what every engine must say to each macro and construct.

A probe is an expression over the columns of a few rows, and the answers in the order of the rows.
"""

import hashlib
import math
from typing import Any

import msgspec

NOON = "TIMESTAMPTZ '2026-11-27 12:00:00+00'"


class Probe(msgspec.Struct, frozen=True):
    """`rows` are SQL tuples for columns a, b, c…; a whole-table probe has one answer."""

    expression: str
    rows: tuple[str, ...]
    answers: tuple[Any, ...]

    def sql(self, *, is_whole: bool) -> str:
        width = _width(self.rows[0])
        names = ", ".join("abcdef"[:width])
        rows = ", ".join(f"({place}, {row})" for place, row in enumerate(self.rows))
        table = f"(VALUES {rows}) AS t(place, {names})"
        if is_whole:
            return f"SELECT 0 AS place, {self.expression} AS answer FROM {table}"
        return f"SELECT place, {self.expression} AS answer FROM {table}"


def _width(row: str) -> int:
    depth, width, quoted = 0, 1, False
    for letter in row:
        quoted ^= letter == "'"
        depth += (letter in "([{") - (letter in ")]}") if not quoted else 0
        width += letter == "," and not depth and not quoted
    return width


def _bucket(value: float) -> int:
    return math.ceil(math.log(value) / math.log(1.01 / 0.99))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def alike(one: Any, two: Any) -> bool:
    """Say whether two answers are equal as docs/sql.md has it: floats to 1e-9, all else exactly."""
    if isinstance(one, float) and isinstance(two, float):
        return one == two or math.isclose(one, two, rel_tol=1e-9)
    if isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)):
        return len(one) == len(two) and all(map(alike, one, two))
    return type(one) is type(two) and bool(one == two)


BY_ROW: dict[str, Probe] = {
    "hour_bucket": Probe(
        "epoch_us(hour_bucket(a))",
        (
            "TIMESTAMPTZ '2026-11-27 12:59:59.999999+00'",
            "TIMESTAMPTZ '2026-11-27 12:00:00+00'",
            "TIMESTAMPTZ '2026-11-27 13:30:00+01'",
            "TIMESTAMPTZ '1969-12-31 23:30:00+00'",
            "CAST(NULL AS TIMESTAMPTZ)",
        ),
        (*[1_795_780_800_000_000] * 3, -3_600_000_000, None),
    ),
    "epoch_us keeps microseconds": Probe(
        "epoch_us(a)",
        (
            "TIMESTAMPTZ '2026-11-27 12:00:00.123456+00'",
            "TIMESTAMPTZ '1969-12-31 23:59:59.5+00'",
            "CAST(NULL AS TIMESTAMPTZ)",
        ),
        (1_795_780_800_123_456, -500_000, None),
    ),
    "seconds_between": Probe(
        "seconds_between(a, b)",
        (
            f"{NOON}, TIMESTAMPTZ '2026-11-27 12:00:01.5+00'",
            f"{NOON}, TIMESTAMPTZ '2026-11-27 11:59:59.999999+00'",
            f"{NOON}, TIMESTAMPTZ '2026-11-28 12:00:00+00'",
            f"CAST(NULL AS TIMESTAMPTZ), {NOON}",
        ),
        (1.5, -0.000001, 86_400.0, None),
    ),
    "seconds_between of what is computed": Probe(
        "seconds_between(a, a + INTERVAL '1' SECOND * 1.5) > 1.25",
        (NOON, "TIMESTAMPTZ '2026-11-27 12:00:00.25+00'"),
        (True, True),
    ),
    "stable_hash tells apart what looks alike when joined": Probe(
        "stable_hash(a, b) = stable_hash('x|y', 'z')",
        (
            "'x|y', 'z'",
            "'x', 'y|z'",
            "'x|y|z', ''",
            "'', 'x|y|z'",
            "'x', '1:y|1:z'",
        ),
        (True, False, False, False, False),
    ),
    "stable_hash tells NULL from an empty text and from the dash": Probe(
        "stable_hash(a, b) = stable_hash('', '-')",
        (
            "'', '-'",
            "CAST(NULL AS VARCHAR), '-'",
            "'', CAST(NULL AS VARCHAR)",
            "'-', ''",
        ),
        (True, False, False, False),
    ),
    "stable_hash stays what it was": Probe(
        "stable_hash(a, b, c)",
        ("'shop', 500, TRUE", "'schön', -1, CAST(NULL AS BOOLEAN)"),
        (_md5("4:shop|3:500|4:true"), _md5("5:schön|2:-1|-")),
    ),
    "json_text": Probe(
        "json_text(a, 'http.route')",
        (
            """'{"http.route": "/cart", "http": {"route": "no"}}'""",
            """'{"http": {"route": "no"}}'""",
            """'{"http.route": null}'""",
            """'{"http.route": ""}'""",
            """'{"http.route": true}'""",
            """'{"http.route": 42}'""",
            """'{"http.route": "a \\"b\\" \\u00e9"}'""",
            "'no json'",
            "''",
            "CAST(NULL AS VARCHAR)",
        ),
        ("/cart", None, None, "", "true", "42", 'a "b" é', None, None, None),
    ),
    "json_text of a key with a dollar": Probe(
        "json_text(a, '$event_type')",
        ("""'{"$event_type": "click"}'""", """'{"event_type": "click"}'"""),
        ("click", None),
    ),
    "log_bucket": Probe(
        "log_bucket(a)",
        ("1.0", "20.0", "29999.9", "0.0004", "0.0", "-5.0", "CAST(NULL AS DOUBLE)"),
        (0, _bucket(20), _bucket(29_999.9), _bucket(0.0004), *[_bucket(1e-9)] * 2, None),
    ),
    "bucket_value lies within 1 % of what was counted": Probe(
        "abs(bucket_value(log_bucket(a)) - a) <= a * 0.0100001",
        ("1.0", "1.01", "20.0", "12345.678", "0.5"),
        (True, True, True, True, True),
    ),
    "safe_div": Probe(
        "safe_div(a, b)",
        ("1, 4", "1, 0", "0, 0", "7, CAST(NULL AS INTEGER)", "-3, 2"),
        (0.25, None, None, None, -1.5),
    ),
    "safe_div among other signs": Probe("10 - safe_div(a, b) * 2", ("1, 4",), (9.5,)),
    "macros in macros": Probe(
        "log_bucket(safe_div(seconds_between(a, b), 2))",
        (f"{NOON}, TIMESTAMPTZ '2026-11-27 12:00:40+00'",),
        (_bucket(20),),
    ),
    "array_contains": Probe(
        "array_contains(a, 'x')",
        (
            "['x', 'y']",
            "['y', NULL]",
            "['x', NULL]",
            "CAST([] AS VARCHAR[])",
            "CAST(NULL AS VARCHAR[])",
        ),
        (True, False, True, False, False),
    ),
    "a setting": Probe("a + setting('rage_clicks')", ("1",), (4,)),
    "a number with a point is a double": Probe("a * 0.1", ("3", "1"), (3 * 0.1, 0.1)),
}
"""One answer for each row."""

WHOLE: dict[str, Probe] = {
    "p_quantile between two values": Probe(
        "p_quantile(a, 0.95)", ("10.0", "20.0", "CAST(NULL AS DOUBLE)"), (19.5,)
    ),
    "p_quantile of integers": Probe("p_quantile(a, 0.5)", ("1", "2", "4", "9"), (3.0,)),
    "p_quantile of one, and of none": Probe(
        "p_quantile(a, 0.9) FILTER (WHERE a > 1.5)", ("1.0", "2.0"), (2.0,)
    ),
    "p_quantile of nothing": Probe("p_quantile(a, 0.9)", ("CAST(NULL AS DOUBLE)",), (None,)),
    "p_quantile of a macro": Probe(
        "p_quantile(log_bucket(a), 0.5)", ("20.0", "20.0", "1.0"), (float(_bucket(20)),)
    ),
    "safe_div of aggregates": Probe(
        "safe_div(sum(a), count(*) FILTER (WHERE a > 100))", ("1", "2"), (None,)
    ),
}
"""One answer for all rows."""
