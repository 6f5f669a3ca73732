"""Triage: every rule of the table decides somewhere, in the order of the table."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from selfdrive_dagster.issues import Decision, TriageFacts, TriageSettings, triage
from selfdrive_dagster.issues.skips import skipping
from selfdrive_dagster.issues.triage import RULES

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SKIP = skipping("iss_1", "7d", actor="ann", reason="the supplier mends it", at=NOW)
SETTINGS = TriageSettings(
    protected=("**/auth/**", "shop/pay/*.py"),
    on_trial=frozenset({"canary", "older"}),
    skips={"iss_1": SKIP},
)
CODE = TriageFacts(
    exception_type="KeyError",
    level="error",
    events_total=9,
    last_seen=NOW,
    now=NOW,
    in_app_paths=("shop/cart.py",),
    raised_in_app=True,
)

CASES = {
    "skipped": replace(CODE, issue_id="iss_1"),
    "stopped": replace(CODE, exception_type="KeyboardInterrupt"),
    "not_an_error": replace(CODE, level="WARN"),
    "on_trial": replace(CODE, versions=("canary",)),
    "too_old": replace(CODE, last_seen=NOW - timedelta(days=15)),
    "too_few_events": replace(CODE, events_total=1),
    "no_exception": replace(CODE, kind="timeout", exception_type="timeout", level="warning"),
    "no_stack": replace(CODE, in_app_paths=(), raised_in_app=None),
    "transient": replace(CODE, exception_type="ConnectionResetError"),
    "config": replace(CODE, exception_type="ModuleNotFoundError"),
    "data": replace(CODE, exception_type="IntegrityError"),
    "third_party": replace(CODE, in_app_paths=(), raised_in_app=False),
    "protected_path": replace(CODE, in_app_paths=("/srv/app/shop/auth/login.py",)),
    "code": CODE,
}


def test_every_rule_has_a_case() -> None:
    assert list(CASES) == [rule.name for rule in RULES]


@pytest.mark.parametrize("name", CASES)
def test_the_named_rule_decides(name: str) -> None:
    found = triage(CASES[name], SETTINGS)
    rule = next(rule for rule in RULES if rule.name == name)
    says = SKIP.says if name == "skipped" else rule.says
    assert (found.reasons[0], found.decision, found.says) == (name, rule.decision, says)


def test_a_skip_ends_by_itself() -> None:
    skipped, over = replace(CODE, issue_id="iss_1"), NOW + timedelta(days=7)
    assert triage(skipped, SETTINGS).skip == SKIP
    last = triage(replace(skipped, now=over - timedelta(seconds=1)), SETTINGS)
    assert last.decision is Decision.SKIP
    after = triage(replace(skipped, now=over), SETTINGS)
    assert (after.decision, after.reasons, after.skip) == (Decision.AUTOFIX, ("code",), None)


def test_every_reason_that_holds_is_told() -> None:
    found = triage(replace(CASES["transient"], events_total=1), SETTINGS)
    assert found.decision is Decision.SKIP
    assert found.reasons == ("too_few_events", "transient")


def test_what_the_product_itself_has_shown_too_is_no_matter_of_the_trial() -> None:
    found = triage(replace(CODE, versions=("canary", "stable")), SETTINGS)
    assert found.decision is Decision.AUTOFIX


@pytest.mark.parametrize(
    ("path", "is_protected"),
    [
        ("shop/pay/card.py", True),
        ("/srv/app/shop/pay/card.py", True),
        ("shop/payments.py", False),
        ("shop/cart.py", False),
        ("auth/tokens.py", True),
        ("shop/author/page.py", False),
    ],
)
def test_protected_patterns(path: str, is_protected: bool) -> None:
    found = triage(replace(CODE, in_app_paths=(path, "shop/auth/outer.py")), SETTINGS)
    assert (found.reasons == ("protected_path",)) is is_protected
