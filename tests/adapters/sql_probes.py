"""Small questions whose answers are known: what every engine must say to each macro and construct.

A probe is an expression over the columns of a few rows, and the answers in the order of the rows.
"""

import hashlib
import math
from typing import Any

import msgspec

from selfdrive_dagster.adapters.warehouse.portable import expand, parse

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
        named = " WINDOW w AS (ORDER BY place)" if "OVER w" in self.expression else ""
        return f"SELECT place, {self.expression} AS answer FROM {table}{named}"

    def on_duckdb(self, sql: str) -> str:
        return expand(parse(sql, "a probe")).sql(dialect="duckdb")


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

CONSTRUCTS: dict[str, Probe] = {
    "an end is the end, not before a last line break": Probe(
        "regexp_matches(a, '^x.y$')",
        ("'xay'", "'xay' || chr(10)", "'x' || chr(10) || 'y'"),
        (True, False, False),
    ),
    "a word ends before a letter of another alphabet": Probe(
        "regexp_replace(a, '\\b[0-9]+\\b', '<\\0>', 'g')",
        ("'4ü 5'", "'a6 7'"),
        ("<4>ü <5>", "a6 <7>"),
    ),
    "a dollar put in stays one": Probe(
        "regexp_replace(a, '([a-z])([0-9])', '$\\2\\1', 'g')", ("'a1b2'",), ("$1a$2b",)
    ),
    "brackets and ampersands in a class": Probe(
        "regexp_replace(a, '[[&&x\\]]', '_', 'g')", ("'[a&x]z'",), ("_a___z",)
    ),
    "spaces": Probe(
        "regexp_replace(a, '\\s+', '_', 'g')", ("'a' || chr(9) || chr(10) || 'b'",), ("a_b",)
    ),
    "regexp_extract of the whole and of a group": Probe(
        "regexp_extract(a, '/([a-z]+)') || '|' || regexp_extract(a, '/([a-z]+)', 1)",
        ("'/cart/7'", "'none'"),
        ("/cart|cart", "|"),
    ),
    "concat and concat_ws pass over NULL, || does not": Probe(
        "concat(a, b) || '|' || concat_ws('-', a, b, 'c')",
        ("'x', 'y'", "'x', CAST(NULL AS VARCHAR)"),
        ("xy|x-y-c", "x|x-c"),
    ),
    "|| of NULL": Probe("a || b", ("'x', CAST(NULL AS VARCHAR)",), (None,)),
    "greatest and least pass over NULL": Probe(
        "greatest(a, b) * 10 + least(a, b)", ("1, 2", "3, CAST(NULL AS INTEGER)"), (21, 33)
    ),
    "a place beyond the list": Probe("a[1] || coalesce(a[3], '-')", ("['x', 'y']",), ("x-",)),
    "size of a list": Probe(
        "array_length(a)",
        ("['x', 'y']", "CAST([] AS VARCHAR[])", "CAST(NULL AS VARCHAR[])"),
        (2, 0, None),
    ),
    "list_filter": Probe("array_length(list_filter(a, lambda x: x > 1))", ("[1, 2, 3]",), (2,)),
    "isodow": Probe(
        "CAST(extract(isodow FROM a) AS BIGINT)",
        ("TIMESTAMPTZ '2026-11-29 12:00:00+00'", "TIMESTAMPTZ '2026-11-30 12:00:00+00'"),
        (7, 1),
    ),
    "parts of a time": Probe(
        "extract(year FROM a) * 1000000 + extract(day FROM a) * 10000 "
        "+ extract(hour FROM a) * 100 + extract(minute FROM a)",
        ("TIMESTAMPTZ '2026-11-29 12:34:00+00'",),
        (2_026_291_234,),
    ),
    "weeks begin on Monday": Probe(
        "epoch_us(date_trunc('week', a)) - epoch_us(date_trunc('day', a))",
        ("TIMESTAMPTZ '2026-11-30 12:00:00+00'", "TIMESTAMPTZ '2026-11-29 12:00:00+00'"),
        (0, -6 * 86_400_000_000),
    ),
    "NULL comes last, up and down": Probe(
        "row_number() OVER (ORDER BY a) * 10 + row_number() OVER (ORDER BY a DESC)",
        ("1", "2", "CAST(NULL AS INTEGER)"),
        (12, 21, 33),
    ),
    "lag, lead and first_value": Probe(
        "concat_ws(',', lag(a, 2 - 1, 'none') OVER w, lead(a) OVER w, first_value(a) OVER w)",
        ("'x'", "'y'", "'z'"),
        ("none,y,x", "x,z,x", "y,x"),
    ),
    "a frame of rows": Probe(
        "CAST(sum(a) OVER (ORDER BY place ROWS BETWEEN 2 - 1 PRECEDING AND CURRENT ROW) AS BIGINT)",
        ("1", "2", "4"),
        (1, 3, 6),
    ),
    "ranks": Probe(
        "rank() OVER (ORDER BY a) * 10 + dense_rank() OVER (ORDER BY a)",
        ("5", "5", "7"),
        (11, 11, 32),
    ),
    "whole numbers of fractions, by floor, ceil and round": Probe(
        "CAST(floor(a) AS BIGINT) * 100 + CAST(ceil(a) AS BIGINT) * 10 + CAST(round(a) AS BIGINT)",
        ("2.5", "-1.5", "0.2"),
        (233, -212, 10),
    ),
    "try_cast": Probe("try_cast(a AS DOUBLE)", ("'1.5'", "'x'", "''"), (1.5, None, None)),
    "a number as text": Probe("CAST(a AS VARCHAR) || '!'", ("503", "-1"), ("503!", "-1!")),
    "texts": Probe(
        "upper(left(a, 2)) || right(a, 1) || substr(a, 2, 2) || split_part(a, '/', 2) "
        "|| replace(a, '/', '') || reverse(a) || CAST(strpos(a, '/') AS VARCHAR)",
        ("'schön/x'",),
        ("SCxchxschönxx/nöhcs6",),
    ),
    "starts, ends, contains": Probe(
        "starts_with(a, '/') AND ends_with(a, 'é') AND contains(a, '%')",
        ("'/a%é'", "'/ae'"),
        (True, False),
    ),
    "LIKE": Probe(
        "a LIKE '/a%_x' AND a ILIKE '%BX'", ("'/a/bx'", "'/abx'", "'ax'"), (True, True, False)
    ),
    "lengths are counted in letters": Probe("length(a)", ("'né😀'", "''"), (3, 0)),
    "sha256 and md5": Probe(
        "sha256(a) || md5(a)",
        ("'é'",),
        (hashlib.sha256("é".encode()).hexdigest() + _md5("é"),),
    ),
    "is distinct from": Probe(
        "a IS DISTINCT FROM b",
        ("1, CAST(NULL AS INTEGER)", "CAST(NULL AS INTEGER), CAST(NULL AS INTEGER)"),
        (True, False),
    ),
    "an interval that is computed": Probe(
        "epoch_us(a + INTERVAL '1' MINUTE * 2.5) - epoch_us(a)", (NOON,), (150_000_000,)
    ),
    "division by a number, and a power": Probe("a / 4 + a % 4 + pow(a, 2)", ("6",), (39.5,)),
    "ln, exp and sqrt": Probe(
        "ln(greatest(a, 1)) + exp(0) + sqrt(greatest(a, 0))", ("1", "0"), (2.0, 1.0)
    ),
}
"""What models may say beside macros: where engines could differ, and do not."""
