"""Inject a fault of each kind into the shop's traffic: does it rank in the top three?

For each seed, weeks of the shop's traffic (`shop_weeks`) become a warehouse; for each kind, a
copy of it gets one fault of the last hours and is refreshed and ranked. A fault is found when
an issue of its kind at its place is among the first three. The generator and the defaults of
`[detect]` were not tuned to each other: what falls short stands in the table.

`python bench/kinds.py [--seeds 10] [--only latency_change]`
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from shop_weeks import (
    DAYS,
    NOW,
    Rows,
    Step,
    Visit,
    event,
    joined,
    log,
    metric,
    span,
    time_of,
    told,
    visits,
    walked,
)

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.config import Issues, Settings
from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.model import Crash, Frame, RaisedException, canonical, digest
from selfdrive_dagster.telemetry.rows import ExceptionRow, TestResultRow

ROOT = Path(__file__).resolve().parents[1]
CHECKOUT = Step("POST", "POST /checkout", "/checkout", 200)
FUNNEL = ("POST /cart/items", "POST /checkout")
SETTINGS = Settings(issues=Issues(funnels={"buy": FUNNEL}))

Past = list[Visit]
Inject = Callable[[Past, random.Random], Rows]


def recent(past: Past, hours: float) -> Past:
    """Return the visits of the last hours."""
    return [visit for visit in past if visit.start >= NOW - timedelta(hours=hours)]


def some(past: Past, chance: random.Random, share: float, hours: float = 2) -> Past:
    """Return a share of the visits of the last hours."""
    return [visit for visit in recent(past, hours) if chance.random() < share]


def after(visit: Visit, seconds: float) -> datetime:
    """Return a time within a visit, before NOW."""
    return min(visit.start + timedelta(seconds=seconds), NOW - timedelta(seconds=1))


def crash(past: Past, chance: random.Random) -> Rows:
    """A new exception in six visits of a hundred."""
    rows = Rows()
    for visit in some(past, chance, 0.06, 4):
        at = after(visit, 3)
        frames = (Frame(path="/srv/shop/tax.py", function="rate_of", line=9, in_app=True),)
        raised = RaisedException(type="KeyError", value="'luxury'", frames=frames, handled=False)
        name = digest(["crash", visit.session])
        seen = Crash(event_id=name, source="sentry", exceptions=(raised,), timestamp=at)
        rows.exceptions.append(
            ExceptionRow(
                event_id=name,
                source="sentry",
                timestamp=at,
                received_at=at,
                service_name="shop",
                session_id=visit.session,
                enduser_pseudo_id=visit.user,
                exception_type="KeyError",
                handled=False,
                chain_json="[]",
                crash_json=canonical(seen).decode(),
            )
        )
    return rows


def failing(past: Past, chance: random.Random) -> Rows:
    """One route answers 502 without an exception, in eight visits of a hundred."""
    rows = Rows()
    for visit in some(past, chance, 0.08, 4):
        rows.spans.append(span(visit, after(visit, 4), CHECKOUT, 502, 40.0))
    return rows


def timing_out(past: Past, chance: random.Random) -> Rows:
    """The bank does not answer, in eight visits of a hundred."""
    rows = Rows()
    for visit in some(past, chance, 0.08, 4):
        change = {"kind": "CLIENT", "name": "POST bank.example", "error_type": "httpx.ReadTimeout"}
        rows.spans.append(span(visit, after(visit, 4), CHECKOUT, 1, 10_000.0, **change))
    return rows


def logging(past: Past, chance: random.Random) -> Rows:
    """Mails are not sent, and only the log knows."""
    rows = Rows()
    for visit in some(past, chance, 0.08, 4):
        number = chance.randrange(100_000)
        rows.log_events.append(
            log(after(visit, 5), f"mail {number} to outbox 7 was not sent", visit)
        )
    return rows


def retrying(past: Past, chance: random.Random) -> Rows:
    """Visitors press on at a checkout that refuses them."""
    rows = Rows()
    for visit in some(past, chance, 0.07, 4):
        for part in range(4):
            rows.spans.append(span(visit, after(visit, 60 + 7 * part), CHECKOUT, 409, 35.0))
    return rows


def raging(past: Past, chance: random.Random) -> Rows:
    """A button does nothing that visitors see, so they click it again and again."""
    rows = Rows()
    for visit in some(past, chance, 0.07, 4):
        for part in range(5):
            at = after(visit, 50 + part / 4)
            rows.product_events.append(event(visit, at, "click", "/cart", target="Pay now"))
    return rows


def dead(past: Past, chance: random.Random) -> Rows:
    """A button does nothing, and visitors look elsewhere after a while."""
    rows = Rows()
    for visit in some(past, chance, 0.08, 4):
        last = visit.steps[-1][0]
        for part, target in enumerate(("Show stock", "Help")):
            at = after(visit, last + 30 + 9 * part)
            rows.product_events.append(event(visit, at, "click", "/products/3", target=target))
    return rows


def erring(past: Past, chance: random.Random) -> Rows:
    """A click raises an exception in the browser."""
    rows = crash(past, chance)
    for row in rows.exceptions:
        visit = next(each for each in past if each.session == row.session_id)
        at = row.timestamp - timedelta(seconds=0.4)
        rows.product_events.append(event(visit, at, "click", "/cart", target="Show tax"))
    return rows


def turning(past: Past, chance: random.Random) -> Rows:
    """A page disappoints: visitors go straight back."""
    rows = Rows()
    for visit in some(past, chance, 0.08, 4):
        last = visit.steps[-1][0] + 40
        for part, page in enumerate(("/products", "/offers", "/products")):
            rows.product_events.append(
                event(visit, after(visit, last + 3 * part), "$pageview", page)
            )
    return rows


def abandoning(past: Past, chance: random.Random) -> Rows:
    """A form is begun and not sent."""
    rows = Rows()
    for visit in some(past, chance, 0.15, 5):
        if visit.start < NOW - timedelta(hours=1):
            for part in range(3):
                at = after(visit, 40 + 5 * part)
                rows.product_events.append(
                    event(visit, at, "form_change", "/gift", form="gift", target=f"line {part}")
                )
    return rows


def slowed(past: Past, chance: random.Random) -> Rows:
    """One route takes half as long again since ten hours, by more than 50 ms."""
    rows = Rows()
    export = Step("GET", "GET /orders/report", "/orders/report", 200)
    for visit in past:
        for part in range(2):
            at = after(visit, 1.5 + part)
            late = 1.6 if visit.start >= NOW - timedelta(hours=10) else 1.0
            rows.spans.append(span(visit, at, export, 200, late * 6 * time_of("", chance)))
    return rows


def slow(past: Past, chance: random.Random) -> Rows:
    """One route takes two seconds, and has done so for a week."""
    rows = Rows()
    page = Step("GET", "GET /recommended", "/recommended", 200)
    for visit in recent(past, 168):
        if chance.random() < 0.3:
            took = 60 * time_of("", chance)
            rows.spans.append(span(visit, after(visit, 2), page, 200, took))
    return rows


def leaking(_: Past, chance: random.Random) -> Rows:
    """A process grows by 60 MB an hour towards its limit."""
    rows = Rows()
    for minute in range(12 * 60):
        at = NOW - timedelta(minutes=12 * 60 - minute)
        used = 300e6 + 1e6 * minute + chance.gauss(0, 4e6)
        rows.metric_points.append(metric(at, "process.memory.usage", used))
        rows.metric_points.append(metric(at, "process.memory.limit", 1.5e9))
    return rows


def saturating(_: Past, chance: random.Random) -> Rows:
    """A processor is busy for four hours."""
    rows = Rows()
    for minute in range(24 * 60):
        at = NOW - timedelta(minutes=24 * 60 - minute)
        busy = 0.97 if minute >= 20 * 60 else 0.4
        value = min(1.0, busy + chance.gauss(0, 0.01))
        rows.metric_points.append(metric(at, "process.cpu.utilization", value))
    return rows


FEATURE = Step("GET", "GET /wishlist", "/wishlist", 200)


def dying(past: Past, chance: random.Random) -> Rows:
    """A feature is used by a third of the visits, and for a week by one in thirty."""
    rows = Rows()
    for visit in past:
        share = 0.033 if visit.start >= NOW - timedelta(days=7) else 0.33
        if chance.random() < share:
            rows.spans.append(span(visit, after(visit, 6), FEATURE, 200, 30.0))
    return rows


def unused(past: Past, chance: random.Random) -> Rows:
    """A feature was used by a fifth of the visits, and for fifteen days by nobody."""
    rows = Rows()
    for visit in past:
        if visit.start < NOW - timedelta(days=15) and chance.random() < 0.2:
            rows.spans.append(span(visit, after(visit, 6), FEATURE, 200, 30.0))
    return rows


def dropping(past: Past, chance: random.Random) -> Rows:
    """Many more visitors than usual fill a cart and do not go on, for three hours."""
    rows = Rows()
    cart = Step("POST", "POST /cart/items", "/cart/items", 200)
    for visit in recent(past, 4):
        for part in range(2):
            other = visit._replace(session=f"{visit.session}-{part}")
            rows.spans.append(span(other, after(visit, 5 + part), cart, 200, 20.0))
    return rows


def breaking(_: Past, chance: random.Random) -> Rows:
    """A test of the main branch fails, in each of three runs of the last hours."""
    rows = Rows()
    for number in range(3):
        at = NOW - timedelta(minutes=20 + 60 * number + chance.randrange(10))
        rows.test_results.append(
            TestResultRow(
                event_id=digest(["test", number]),
                source="junit",
                timestamp=at,
                received_at=at,
                service_name="shop",
                test_case_name="tests.test_tax::test_rate_of_books",
                test_case_result_status="failed",
                message="assert 700 == 500",
            )
        )
    return rows


FAULTS: dict[str, tuple[str, Inject]] = {
    "exception": ("rate_of", crash),
    "failed_request": ("POST /checkout", failing),
    "timeout": ("call POST bank.example", timing_out),
    "error_log": ("mail <int> to outbox <int> was not sent", logging),
    "retry_loop": ("POST /checkout", retrying),
    "rage_click": ("Pay now", raging),
    "dead_click": ("Show stock", dead),
    "error_click": ("Show tax", erring),
    "u_turn": ("/offers", turning),
    "form_abandonment": ("gift", abandoning),
    "latency_change": ("GET /orders/report", slowed),
    "slow_path": ("GET /recommended", slow),
    "resource_leak": ("process.memory.usage", leaking),
    "saturation": ("process.cpu.utilization", saturating),
    "funnel_drop": ("POST /cart/items", dropping),
    "dying_feature": ("GET /wishlist", dying),
    "unused_feature": ("GET /wishlist", unused),
    "failing_test": ("test_rate_of_books", breaking),
}


def store(warehouse: Warehouse, rows: Rows) -> None:
    """Append all rows."""
    for name in Rows.__struct_fields__:
        found = getattr(rows, name)
        for at in range(0, len(found), 20_000):
            warehouse.append(name, found[at : at + 20_000])


def place_of(ranked: tuple[RankedIssue, ...], kind: str, where: str) -> int | None:
    """Return the rank of the first issue of a kind at a place."""
    return next((i.rank for i in ranked if i.kind == kind and where in i.culprit), None)


def main() -> int:
    """Print the table; 0 if each kind was in the top three in nine of ten runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", choices=FAULTS, action="append")
    options = parser.parse_args()
    models = load_models(ROOT / "sql", SETTINGS.detect)
    pool = walked()
    places: dict[str, list[int | None]] = {name: [] for name in options.only or FAULTS}
    began = time.monotonic()
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            chance = random.Random(seed)
            past = list(visits(pool, chance))
            calm = Warehouse(Path(folder) / "calm")
            store(calm, joined([told(visit, chance) for visit in past]))
            refresh(calm, models, settings=SETTINGS)
            quiet = rank_issues(calm, NOW)
            print(
                f"seed {seed}: {len(past)} visits in {DAYS} days; without a fault "
                f"{len(quiet)} issues: {', '.join(i.kind for i in quiet[:6])}",
                flush=True,
            )
            for name, ranks in places.items():
                where, inject = FAULTS[name]
                home = Path(folder) / name
                shutil.copytree(Path(folder) / "calm", home)
                warehouse = Warehouse(home)
                store(warehouse, inject(past, random.Random(f"{seed} {name}")))
                refresh(warehouse, models, settings=SETTINGS)
                ranked = rank_issues(warehouse, NOW)
                ranks.append(place_of(ranked, name, where))
                shutil.rmtree(home)
    print(f"\n{'kind':<18} {'in the top 3':>12}  ranks by seed")
    short = False
    for name, ranks in places.items():
        top = sum(rank is not None and rank <= 3 for rank in ranks)
        short = short or top < 0.9 * len(ranks)
        shown = " ".join("-" if rank is None else str(rank) for rank in ranks)
        print(f"{name:<18} {top:>6} of {len(ranks):<3}  {shown}")
    print(f"{time.monotonic() - began:.0f} s")
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
