"""Interleaving is fair, lazy and deterministic; ranking prefers the simplest change."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.patches.ordering import Stream, interleave, rank_key, round_robin


def stream(name: str, weight: float, count: int, cost: float = 1.0) -> Stream[str]:
    return Stream(weight=weight, items=[(cost, f"{name}{n}") for n in range(count)])


def drawn_from(*streams: Stream[str]) -> list[str]:
    return [item for _, item in interleave(streams)]


@given(st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 30)), max_size=6))
def test_every_item_comes_once_and_each_stream_in_its_order(
    shapes: list[tuple[float, int]],
) -> None:
    streams = [stream(f"{i}-", weight, count) for i, (weight, count) in enumerate(shapes)]
    drawn = drawn_from(*streams)
    assert len(drawn) == sum(count for _, count in shapes)
    for i, (_, count) in enumerate(shapes):
        assert [item for item in drawn if item.startswith(f"{i}-")] == [
            f"{i}-{n}" for n in range(count)
        ]
    assert drawn == drawn_from(*streams)
    clocks = [clock for clock, _ in interleave(streams)]
    assert clocks == sorted(clocks)


def test_shares_follow_weights_and_nobody_starves() -> None:
    drawn = drawn_from(stream("a", 8, 900), stream("b", 1, 100), stream("c", 1, 100))
    first = drawn[:100]
    assert 75 <= sum(item.startswith("a") for item in first) <= 85
    assert sum(item.startswith("b") for item in first) >= 9


def test_a_dear_item_delays_its_own_stream_only() -> None:
    drawn = drawn_from(stream("dear", 1, 3, cost=3.0), stream("cheap", 1, 6))
    assert drawn[:5] == ["dear0", "cheap0", "cheap1", "cheap2", "dear1"]


def test_nothing_is_pulled_before_its_turn() -> None:
    pulled: list[str] = []

    def items(name: str) -> Iterator[tuple[float, str]]:
        for n in range(5):
            pulled.append(f"{name}{n}")
            yield 1.0, name

    drawn = interleave([Stream(weight=4, items=items("a")), Stream(weight=1, items=items("b"))])
    next(drawn)
    assert pulled == ["a0"]


def test_round_robin_serves_each_in_turn() -> None:
    assert list(round_robin(["ad", "b", "", "cef"])) == ["a", "b", "c", "d", "e", "f"]


def test_small_beats_large_and_replacing_beats_deleting() -> None:
    keys = {
        "one token replaced": rank_key("replace", 1, 9),
        "one token guarded": rank_key("guard", 1, 2),
        "many replaced": rank_key("replace", 8, 1),
        "one deleted": rank_key("delete", 1, 3),
        "one wrapped": rank_key("wrap", 1, 5),
    }
    assert sorted(keys, key=lambda name: keys[name]) == [
        "one token replaced",
        "one wrapped",
        "one token guarded",
        "one deleted",
        "many replaced",
    ]
