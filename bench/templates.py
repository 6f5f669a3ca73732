"""Templates: messages a second, typed placeholders, in the SQL of the models and beside Polars.

`python bench/templates.py [--count 2000000] [--threads 2]`

Messages of 24 forms, common ones more often, of which a share is distinct, as in logs that repeat
themselves much or little. `error_logs.sql` asks for templates of distinct messages and joins them
back: that is measured, reading and joining included, with the chain of patterns as it stands and
with the kits that `template_sql` makes of it. Polars runs the same chain. All must find as many
templates; that each is equal is for the tests.
"""

import argparse
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import polars

from selfdrive_dagster.issues import template, template_sql
from selfdrive_dagster.issues.normalise import LENGTH, steps

SHARES = (0.01, 0.1, 0.3, 1.0)
GOAL = 1_000_000

FORMS: tuple[Callable[[random.Random], str], ...] = (
    lambda r: f"user {r.randrange(10**7)} not found",
    lambda r: f"order {r.randrange(10**7)} rejected: payment declined after {r.randrange(9)} tries",
    lambda r: f"request took {r.randrange(10**5)} ms, slower than {r.randrange(10**4)} ms",
    lambda r: f"cart {r.randrange(10**7)} is empty for session {r.randrange(10**7)}",
    lambda r: f"could not convert string to float: '{r.randrange(10**4)},{r.randrange(10**4)}'",
    lambda r: f"'NoneType' object has no attribute 'price' in line {r.randrange(10**7)}",
    lambda r: f"list index {r.randrange(10**7)} out of range",
    lambda r: f"queue {r.choice('abcdefgh')}-{r.randrange(10**6)} is full at {r.random():.6f}",
    lambda r: f"retry {r.randrange(10**7)} of job sync_{r.randrange(10**4)}",
    lambda r: f"no stock of item_{r.randrange(10**7)} in warehouse {r.randrange(99)}",
    lambda r: f"GET /api/items/{r.randrange(10**7)} answered {r.choice((404, 500, 502))}",
    lambda r: f"no answer of 10.{r.randrange(255)}.{r.randrange(255)}.{r.randrange(255)}:5432",
    lambda r: f"invalid token {r.getrandbits(128):032x}",
    lambda r: f"order {uuid.UUID(int=r.getrandbits(128))} has no lines",
    lambda r: f"mail to person{r.randrange(10**7)}@example.org bounced",
    lambda r: f"file /var/data/{r.randrange(10**7)}.csv is missing",
    lambda r: f"http://payments.test/v1/charge/{r.randrange(10**7)} did not answer in time",
    lambda r: f"deploy {r.getrandbits(28):07x} failed on node {r.randrange(10**5)}",
    lambda r: f"lease ended 2026-11-{r.randrange(10, 30)}T10:11:12.{r.getrandbits(20)}Z",
    lambda r: f"checksum 0x{r.getrandbits(32):x} differs",
    lambda r: f"disk is {r.randrange(100)}.{r.getrandbits(16)} % full",
    lambda r: f"unknown column \"c {r.getrandbits(24)}\" in batch",
    lambda r: f"worker {r.randrange(10**7)} was killed\n",
    lambda r: f"trace 00-{r.getrandbits(128):032x}-{r.getrandbits(64):016x}-01 is broken",
)  # fmt: skip


def messages(count: int, share: float, chance: random.Random) -> list[str]:
    """Return messages of which about this share is distinct, common forms before rare ones."""
    weights = [1 / (place + 1) for place in range(len(FORMS))]
    few = chance.choices(FORMS, weights, k=int(count * share))
    known = [form(chance) for form in few]
    return known if share == 1 else chance.choices(known, k=count)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each share in each way. Returns 1 where the goal is missed at a tenth distinct."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    print(f"load {os.getloadavg()[0]:.1f}, {options.threads} threads, {options.count:,} messages")
    print(f"{'distinct':>10}  {'SQL, kits':>12}  {'SQL, chain':>12}  {'Polars':>12}  k messages/s")
    reached = 0.0
    for share in SHARES:
        told = messages(options.count, share, random.Random(11))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "told.parquet"
            polars.DataFrame({"body": told}).write_parquet(path)
            ways = (
                in_sql(path, template_sql("body"), options.threads),
                in_sql(path, plain_chain("body"), options.threads),
                in_polars(path),
            )
        if len({found for _, found in ways}) != 1:
            print(f"the ways do not agree: {[found for _, found in ways]}")
            return 2
        rates = [options.count / seconds for seconds, _ in ways]
        reached = rates[0] if share == 0.1 else reached
        cells = "  ".join(f"{rate / 1000:12,.0f}" for rate in rates)
        print(f"{len(set(told)):10,}  {cells}", flush=True)
    few = told[:20_000]
    started = time.perf_counter()
    for each in few:
        template(each)
    print(f"Python, one by one: {len(few) / (time.perf_counter() - started) / 1000:,.0f} k/s")
    return int(reached < GOAL)


ASKED = """
WITH messages AS (SELECT DISTINCT body FROM read_parquet('{path}')),
templates AS (SELECT body, {template} AS template FROM messages),
told AS (SELECT templates.template FROM read_parquet('{path}') AS logs JOIN templates USING (body))
SELECT count(*), count(DISTINCT template) FROM told
"""


def in_sql(path: Path, template: str, threads: int) -> tuple[float, tuple[int, int]]:
    """Return the seconds that DuckDB takes, and how many rows and templates there are."""
    with duckdb.connect(":memory:", config={"threads": str(threads)}) as engine:
        started = time.perf_counter()
        found = engine.execute(ASKED.format(path=path, template=template)).fetchone()
        return time.perf_counter() - started, (found[0], found[1])


def plain_chain(expression: str) -> str:
    """Return the chain with every pattern tried on every message."""
    sql = f"substr({expression}, 1, {LENGTH})"
    for regex, instead in steps():
        quoted = regex.replace("'", "''")
        sql = f"regexp_replace({sql}, '{quoted}', '{instead}', 'g')"
    return sql


def in_polars(path: Path) -> tuple[float, tuple[int, int]]:
    """Return the seconds that Polars takes for the same."""
    started = time.perf_counter()
    logs = polars.scan_parquet(path)
    text = polars.col("body").str.slice(0, LENGTH)
    for regex, instead in steps():
        text = text.str.replace_all(
            regex.replace(r"\b", r"(?-u:\b)").replace(r"\B", r"(?-u:\B)"), instead
        )
    templates = logs.select("body").unique().with_columns(template=text)
    told = logs.join(templates, on="body").select(polars.len(), polars.col("template").n_unique())
    [(rows, count)] = told.collect().rows()
    return time.perf_counter() - started, (rows, count)


if __name__ == "__main__":
    sys.exit(main())
