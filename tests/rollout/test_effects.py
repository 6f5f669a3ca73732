"""Which effect may be done in which state, and what follows for one that was not."""

import pytest

from selfdrive_dagster.rollout.effects import MAY, Fate, Kind, fate, key_of, reachable, why_not
from selfdrive_dagster.rollout.lifecycle import ENDS, ROLLING, State

EXPOSES = (Kind.SET_WEIGHT, Kind.MERGE, Kind.MAKE_STABLE)
COMING_BACK = (State.ROLLING_BACK, State.ROLLED_BACK, *sorted(ENDS, key=lambda end: end.value))


def test_every_kind_has_its_states() -> None:
    assert set(MAY) == set(Kind)
    assert all(MAY.values())


@pytest.mark.parametrize("kind", EXPOSES)
@pytest.mark.parametrize("state", COMING_BACK)
def test_what_exposes_users_is_given_up_for_ever_on_the_way_back(kind: Kind, state: State) -> None:
    assert why_not(kind, 1, state, 1)
    assert fate(kind, 1, state, 1) is Fate.GIVE_UP


@pytest.mark.parametrize("state", State)
def test_the_way_to_stable_is_open_from_everywhere(state: State) -> None:
    assert why_not(Kind.TO_STABLE, 0, state, 0) == ""
    assert fate(Kind.TO_STABLE, 0, state, 0) is Fate.REPEAT


@pytest.mark.parametrize(
    ("at", "state", "stage", "follows"),
    [
        (1, State.STAGED, 0, Fate.REPEAT),
        (1, State.CANARY, 1, Fate.REPEAT),
        (1, State.CANARY, 2, Fate.GIVE_UP),
        (2, State.CANARY, 1, Fate.WAIT),
        (1, State.HOLD, 1, Fate.WAIT),
        (3, State.BAKING, 3, Fate.REPEAT),
        (3, State.PROMOTED, 3, Fate.GIVE_UP),
    ],
)
def test_a_weight_belongs_to_its_stage(at: int, state: State, stage: int, follows: Fate) -> None:
    assert fate(Kind.SET_WEIGHT, at, state, stage) is follows


def test_nothing_leads_from_the_way_back_to_users() -> None:
    for state in COMING_BACK:
        assert not reachable(state) & {*ROLLING, State.PROMOTED}
    assert State.BAKING in reachable(State.CANARY)
    assert State.CANARY in reachable(State.HOLD)


def test_a_key_names_one_move_of_one_change() -> None:
    assert key_of("chg_1", 7, Kind.MERGE, "main") == "chg_1:7:merge:main"
    assert key_of("chg_1", 8, Kind.MERGE, "main") != key_of("chg_1", 7, Kind.MERGE, "main")
