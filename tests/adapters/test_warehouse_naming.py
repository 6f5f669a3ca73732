"""Names of issues in the tables: kept over versions, moved by verdicts, taken back."""

from datetime import timedelta
from pathlib import Path

import pytest
from issue_rows import FUNCTIONS, NOW, crash_of, row_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.naming import members_of, read_members
from selfdrive_dagster.adapters.warehouse.pointers import is_undecided, keep_verdicts
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.issues.members import Verdict, merging, undoing
from selfdrive_dagster.model import Crash

MODELS = load_models(Path(__file__).parents[2] / "sql")
SAID = {"actor": "ann", "reason": "one bug", "at": NOW}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


def take(warehouse: Warehouse, *crashes: Crash, grouping: Grouping | None = None) -> None:
    warehouse.append("exceptions", [row_of(crash) for crash in crashes])
    refresh(warehouse, MODELS, grouping)


def counted(warehouse: Warehouse) -> dict[str, int]:
    return {each.issue_id: each.events_total for each in rank_issues(warehouse, NOW)}


def issue_at(warehouse: Warehouse, culprit: str) -> str:
    found = warehouse.query(
        "SELECT DISTINCT issue_id FROM issue_events WHERE culprit = $culprit", {"culprit": culprit}
    )
    [(issue_id,)] = found.rows()
    return str(issue_id)


def lines(crash: Crash, *told: str) -> Crash:
    """Return a crash whose frames carry the text of their lines."""
    [raised] = crash.exceptions
    frames = [replace(f, source=t) for f, t in zip(raised.frames, told, strict=True)]
    return replace(crash, exceptions=(replace(raised, frames=tuple(frames)),))


def test_a_renamed_function_stays_in_its_issue_and_says_why(warehouse: Warehouse) -> None:
    told = ("    total(basket)", "    return prices[item.code]")
    before = lines(crash_of("total", ago=timedelta(hours=2)), *told)
    after = lines(crash_of("sum_up"), *told)
    take(warehouse, before)
    take(warehouse, after)
    assert list(counted(warehouse).values()) == [2]
    [member] = read_members(warehouse)
    assert member.merged_by.startswith("alignment")
    assert issue_at(warehouse, "shop.cart.total") == member.issue_id


def test_other_settings_do_not_rename_what_people_know(warehouse: Warehouse) -> None:
    """The source folder is part of a fingerprint: all of them change, no issue does."""
    take(warehouse, *(crash_of(name) for name in FUNCTIONS))
    before = counted(warehouse)
    fresh = [crash_of(name, ordinal=7) for name in FUNCTIONS]
    take(warehouse, *fresh, grouping=Grouping(source=("app",)))
    keys = {row[0] for row in warehouse.query("SELECT DISTINCT fp_key FROM issue_events").rows()}
    assert not keys & set(before)
    assert counted(warehouse) == {name: 2 * events for name, events in before.items()}
    take(warehouse, crash_of("new"), grouping=Grouping(source=("app",)))
    assert len(counted(warehouse)) == len(before) + 1


def test_a_merge_moves_old_and_new_events_and_its_undoing_brings_them_back(
    warehouse: Warehouse,
) -> None:
    far, near = crash_of("price", ago=timedelta(hours=30)), crash_of("total")
    take(warehouse, far, near)
    price, total = (issue_at(warehouse, f"shop.cart.{name}") for name in ("price", "total"))
    merge = merging(members_of(warehouse), total, price, **SAID)
    keep_verdicts(warehouse.root, [merge])
    assert is_undecided(warehouse)
    take(warehouse, crash_of("price", ordinal=1))
    assert (counted(warehouse), is_undecided(warehouse)) == ({total: 3}, False)
    assert [(m.fingerprint, m.merged_by) for m in read_members(warehouse)] == [
        (price, "person ann")
    ]
    keep_verdicts(warehouse.root, [merge, undoing([merge], price, **SAID)])
    take(warehouse)
    assert counted(warehouse) == {total: 1, price: 2}


def test_a_merge_can_be_taken_back_after_the_settings_changed(warehouse: Warehouse) -> None:
    """What a person said is not frozen into what a version leaves behind."""
    take(warehouse, crash_of("price"), crash_of("total"))
    price, total = (issue_at(warehouse, f"shop.cart.{name}") for name in ("price", "total"))
    merge = merging(members_of(warehouse), total, price, **SAID)
    keep_verdicts(warehouse.root, [merge])
    take(warehouse)
    take(warehouse, crash_of("price", ordinal=1), grouping=Grouping(source=("app",)))
    assert counted(warehouse) == {total: 3}
    keep_verdicts(warehouse.root, [merge, undoing([merge], price, **SAID)])
    take(warehouse, grouping=Grouping(source=("app",)))
    assert counted(warehouse) == {total: 1, price: 2}


def test_an_undone_merge_is_not_in_the_way_of_the_next(warehouse: Warehouse) -> None:
    take(warehouse, crash_of("price"), crash_of("total"))
    price, total = (issue_at(warehouse, f"shop.cart.{name}") for name in ("price", "total"))
    merge = merging(members_of(warehouse), total, price, **SAID)
    keep_verdicts(warehouse.root, [merge])
    take(warehouse)
    keep_verdicts(warehouse.root, [merge, undoing([merge], price, **SAID)])
    assert merging(members_of(warehouse), price, total, **SAID).name == total


def test_a_verdict_writes_only_the_hours_of_its_events_anew(warehouse: Warehouse) -> None:
    take(warehouse, *(crash_of("total", ago=timedelta(hours=n)) for n in range(9)))
    take(warehouse, crash_of("price", ago=timedelta(hours=3)))
    price, total = (issue_at(warehouse, f"shop.cart.{name}") for name in ("price", "total"))
    keep_verdicts(warehouse.root, [merging(members_of(warehouse), total, price, **SAID)])
    hours = {each.table: each.hours for each in refresh(warehouse, MODELS)}
    assert (hours["issue_members"], hours["issue_hourly"]) == (1, 1)
    assert {each.hours for each in refresh(warehouse, MODELS)} == {0}


def test_events_of_a_version_without_keys_are_their_own(warehouse: Warehouse) -> None:
    """Rows that were stored before `fp_key` was a column: their issue is their fingerprint."""
    take(warehouse, crash_of("total"), crash_of("price"))
    price, total = (issue_at(warehouse, f"shop.cart.{name}") for name in ("price", "total"))
    frame = warehouse.query("SELECT * EXCLUDE (fp_key) FROM issue_events")
    warehouse.replace_partitions("issue_events", {"all": frame}, clear=True)
    said = Verdict(verdict="merge", name=price, issue_id=total, **SAID)
    keep_verdicts(warehouse.root, [said])
    refresh(warehouse, MODELS)
    assert counted(warehouse) == {total: 2}
