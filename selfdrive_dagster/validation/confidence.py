"""How sure we may be that a repair is right: four parts, each between 0 and 1, and their value.

- `agreement`: the share of weight of the repairs that behave like this one (`standing`).
- `pinned`: the share of mutants of the patch's own lines that tests notice (`mutating`).
- `recorded`: calls and neighbours on which base and patch agree, n of them: (n + 1) / (n + 2).
- `demanded`: failing tests that demand the change, n of them: (n + 1) / (n + 2).

The value is the agreement times the mean of the other three: other evidence cannot heal that
another repair, as small, does something else. The least value to propose is a setting,
`[repair] least_confidence`; below it we abstain.

Belongs here: parts, value and the check. Does not belong: gathering what the parts count.
"""

from collections.abc import Mapping

from selfdrive_dagster.model import Check, Confidence


def confidence(*, agreement: float, pinned: float, agreed: int, failing_tests: int) -> Confidence:
    """Return the confidence of a repair from what was counted."""
    parts = {
        "agreement": agreement,
        "pinned": pinned,
        "recorded": laplace(agreed),
        "demanded": laplace(failing_tests),
    }
    rounded = {name: round(part, 3) for name, part in parts.items()}
    return Confidence(value=round(value(parts), 3), parts=rounded)


def value(parts: Mapping[str, float]) -> float:
    """Return the value of all parts, 0 to 1."""
    others = [part for name, part in parts.items() if name != "agreement"]
    return parts["agreement"] * sum(others) / len(others)


def laplace(count: int) -> float:
    """Return Laplace's estimate after `count` agreements and no disagreement: 0.5 after none."""
    return (count + 1) / (count + 2)


def check(found: Confidence | None, least: float) -> Check:
    """Return the check `confidence`; a mitigation has none and needs none."""
    if found is None:
        says = "a mitigation does not claim to be right"
        return Check(name="confidence", passed=True, says=says)
    numbers = {"value": found.value, **found.parts}
    says = f"{found.value:.2f}, at least {least:.2f} is wanted"
    passed = True if found.value >= least else None
    return Check(name="confidence", passed=passed, says=says, numbers=numbers)
