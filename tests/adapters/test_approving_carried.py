"""A base that moved: the same signature holds on, where nothing changed that was decided on."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.signers import ADA, NOTED, SignedProduct
from msgspec.structs import replace
from sqlalchemy import Engine

from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import Verdict, digest
from selfdrive_dagster.orchestration.proposing import put_forward
from selfdrive_dagster.rollout import Findings
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


class Moved(SignedProduct):
    """A product whose approved change is proven anew on a base that others moved."""

    def approve(self) -> None:
        self.propose()
        self.carry_out(self.sign())
        self.approvals.holding(found.CHANGE, datetime.now(UTC))

    def move_base(self, path: str, text: str, made: Findings | None = None) -> None:
        """Let others commit a file, and the loop prove the change again, up to its proposal."""
        self.product.git("checkout", "-q", "main")
        self.product.write(path, text)
        self.base = self.product.commit("Elsewhere")
        findings = self.findings(made or found.certified())
        guard = self.by(Actor.GUARD)
        self.changes.move(
            found.CHANGE, Event.BASE_MOVED, by=guard, now=datetime.now(UTC), base_revision=self.base
        )
        for asset, field in NOTED.items():
            self.note(asset, getattr(findings, field))
        for event, role in ((Event.PROVEN, Actor.VALIDATOR), (Event.PROPOSE, Actor.LOOP)):
            self.move(event, role)
        self.note("rollout/proposal", put_forward(self.workshop, findings))

    def bring_forward(self) -> None:
        """Note the same signed statement once more, and examine it as the loop's run does."""
        given = self.decisions.of(found.CHANGE)[0]
        again = self.decisions.record(
            found.CHANGE, "approve", actor=given.actor, reason=given.reason,
            now=datetime.now(UTC), digests=given.digests, signature=given.signature,
        )  # fmt: skip
        self.approvals.examine(again, datetime.now(UTC))
        self.carry_out(again)


@pytest.fixture
def shop(tmp_path: Path, database_url: str, engine: Engine) -> Iterator[Moved]:
    made = Moved(tmp_path, database_url, engine)
    yield made
    made.workshop.close()


def test_an_approval_follows_a_base_on_which_nothing_else_changed(shop: Moved) -> None:
    shop.approve()
    shop.move_base("shop/elsewhere.py", "x = 1\n")
    with pytest.raises(Refused, match="went to validating"):
        shop.approvals.holding(found.CHANGE, datetime.now(UTC))  # not by itself
    shop.bring_forward()
    change = shop.changes.get(found.CHANGE)
    assert change is not None
    assert (change.state, change.base_revision) == (State.APPROVED, shop.base)
    statement = shop.approvals.holding(found.CHANGE, datetime.now(UTC))
    assert statement.approver == ADA
    assert statement.binding.base != shop.base  # the very statement that was signed
    with pytest.raises(Refused, match="expired"):
        shop.approvals.holding(found.CHANGE, datetime.now(UTC) + timedelta(days=8))


def weaker() -> Findings:
    """The same patch, of which less is proven now."""
    made = found.certified()
    reports = tuple(replace(one, verdict=Verdict.CONTAINED) for one in made.proof.reports)
    return replace(made, proof=replace(made.proof, reports=reports))


def with_best(**other: object) -> Findings:
    """The same patch, of which something else is told now."""
    made = found.certified()
    best = replace(made.proof.best, **other)
    return replace(
        made,
        search=replace(made.search, plausible=(best,)),
        proof=replace(made.proof, best=best),
    )


def other_test() -> Findings:
    """The same patch, proven by a test with another argument."""
    made = found.certified()
    test = found.reproducer(source=found.TEST.replace("islands", "moon"))
    reports = tuple(replace(one, reproducer_sha256=digest(test)) for one in made.proof.reports)
    return replace(
        made,
        reproduction=replace(made.reproduction, reproducer=test),
        proof=replace(made.proof, reports=reports),
    )


def fewer_checks() -> Findings:
    """The same patch and verdict, on fewer checks."""
    made = found.certified()
    reports = tuple(replace(one, checks=one.checks[:-1]) for one in made.proof.reports)
    return replace(made, proof=replace(made.proof, reports=reports))


@pytest.mark.parametrize(
    ("path", "text", "made", "says"),
    [
        ("shop/tax.py", "x = 1\n", None, "shop/tax.py"),
        ("shop/elsewhere.py", "x = 1\n", other_test, "the test that reproduces it"),
        ("shop/elsewhere.py", "x = 1\n", fewer_checks, "its checks"),
        (
            "shop/elsewhere.py",
            "x = 1\n",
            lambda: with_best(invented="returns 9"),
            "with it what it makes up:",
        ),
        (
            "shop/elsewhere.py",
            "x = 1\n",
            lambda: with_best(author="Eve <e@b.c>"),
            "with it who made it:",
        ),
        (
            "shop/elsewhere.py",
            "x = 1\n",
            lambda: with_best(supports=()),
            "with it what supports it:",
        ),
        ("shop/shipping.py", found.SOURCE + "\n\nFREE = 0\n", None, "shop/shipping.py"),
        ("shop/elsewhere.py", "x = 1\n", weaker, "its verdict"),
        (".selfdrive/allowed_signers", "", None, "another|No signature|Nobody"),
    ],
    ids=[
        "a file that vouches for its value",
        "another test",
        "fewer checks",
        "another invention",
        "another author",
        "no support",
        "a file that it changes",
        "another verdict",
        "other signers",
    ],
)
def test_an_approval_stays_behind_when_what_was_decided_on_changed(
    path: str, text: str, made: object, says: str, shop: Moved
) -> None:
    shop.approve()
    if path.endswith("allowed_signers"):
        text = (shop.product.path / path).read_text() + "# one more\n"
    shop.move_base(path, text, made() if callable(made) else None)
    with pytest.raises(Refused, match=says):
        shop.bring_forward()
