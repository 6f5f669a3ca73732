"""A candidate as text: what can be decided before anything runs.

Belongs here: does it fit, may it run, what may it claim. Does not belong: running anything.
"""

from collections.abc import Callable

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Candidate, Check, Claim, Product, Reproducer, Way
from selfdrive_dagster.patches.claims import is_repair
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.validation import checks
from selfdrive_dagster.validation.policy import check_policy


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate as text: `overlay` is None when it does not fit or must not run."""

    candidate: Candidate
    checks: tuple[Check, ...]
    overlay: dict[str, str | None] | None

    @property
    def source(self) -> str | None:
        """The new text of the one file it changes; None if it changes several."""
        overlay = self.overlay or {}
        return overlay.get(self.candidate.path) if len(overlay) == 1 else None


def read(candidate: Candidate, case: checks.Case) -> Text:
    """Decide what can be decided before anything runs."""
    judged, claim = _granted(candidate, case.reproducer)
    try:
        overlay = apply_patch(case.product.read, candidate.patch)
    except BadInput as error:
        refused = Check(name="applies", passed=False, says=error.message)
        return Text(candidate=judged, checks=(claim, refused), overlay=None)
    applies = Check(name="applies", passed=True, says=f"changes {', '.join(overlay)}")
    policy = check_policy(candidate.patch, overlay, case.product)
    allowed = overlay if policy.passed else None
    return Text(candidate=judged, checks=(claim, applies, policy), overlay=allowed)


def allowed_in(product: Product) -> Callable[[str], bool]:
    """Return what says of a unified diff whether it fits the product and keeps the policy."""

    def allowed(patch: str) -> bool:
        try:
            overlay = apply_patch(product.read, patch)
        except BadInput:
            return False
        return bool(check_policy(patch, overlay, product).passed)

    return allowed


def _granted(candidate: Candidate, reproducer: Reproducer) -> tuple[Candidate, Check]:
    """Return the candidate with the claim that its evidence allows; nobody's word is enough."""
    if candidate.claim is Claim.MITIGATION:
        says = "it claims no more than a mitigation"
    elif is_repair(candidate.supports, failing_test=reproducer.way is Way.FAILING_TEST):
        says = "a repair: a failing test, a sibling idiom or two independent oracles support it"
    else:
        says = "it claims a repair that nothing supports, so it is judged as a mitigation"
        invented = candidate.invented or "does something that nothing in the project supports"
        replace = msgspec.structs.replace
        candidate = replace(candidate, claim=Claim.MITIGATION, invented=invented)
    return candidate, Check(name="claim", passed=True, says=says)
