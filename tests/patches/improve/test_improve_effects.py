"""Expected effects: stated beforehand, and read from later telemetry."""

import pytest

from selfdrive_dagster.patches.improve import Effect, Outcome, SlowPath, came_true, expected

SLOW = SlowPath(
    issue_id="iss_1",
    service_name="shop",
    route="GET /x",
    says="",
    requests=(),
    p95_ms=800.0,
    seen=9,
)


def test_an_effect_is_stated_in_the_signal_that_was_measured() -> None:
    effect = expected(SLOW, 0.1, 0.25)
    assert effect is not None
    assert (effect.before, effect.low, effect.high) == (800.0, 80.0, 200.0)
    assert "800 ms to 80 to 200 ms" in effect.says


def test_without_a_duration_no_effect_is_stated() -> None:
    unknown = SlowPath(
        issue_id="", service_name="", route="GET /x", says="", requests=(), p95_ms=None, seen=0
    )
    assert expected(unknown, 0.1, 0.2) is None


@pytest.mark.parametrize(
    ("value", "seen", "outcome"),
    [
        (150.0, 500, Outcome.CAME_TRUE),
        (500.0, 500, Outcome.CAME_TRUE),
        (501.0, 500, Outcome.DID_NOT),
        (900.0, 500, Outcome.DID_NOT),
        (150.0, 59, Outcome.UNKNOWN),
        (None, 500, Outcome.UNKNOWN),
    ],
)
def test_what_later_telemetry_tells_of_it(value: float | None, seen: int, outcome: Outcome) -> None:
    effect = expected(SLOW, 0.1, 0.25)
    assert effect is not None
    assert came_true(effect, value, seen) is outcome


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(20.0, Outcome.CAME_TRUE), (15.0, Outcome.CAME_TRUE), (9.0, Outcome.DID_NOT)],
)
def test_of_uses_more_is_better(value: float, outcome: Outcome) -> None:
    effect = Effect(signal="uses_24h", service_name="shop", subject="GET /x", before=10.0,
                    low=20.0, high=20.0, unit="uses")  # fmt: skip
    assert came_true(effect, value, 100) is outcome
