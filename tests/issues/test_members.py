"""Which fingerprints are one issue: by people, an earlier version, alignment; in any order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import fingerprint
from selfdrive_dagster.issues.align import MERGE, compare, suggest
from selfdrive_dagster.issues.members import (
    VERSION,
    Member,
    Members,
    Verdict,
    merged,
    merging,
    splitting,
    undoing,
)
from selfdrive_dagster.issues.traces import Step, Trace, shared_raisers, trace_of
from selfdrive_dagster.model import Crash, Frame, RaisedException

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def trace(name: str, *steps: str, kind: str = "KeyError", minute: int = 0) -> Trace:
    """`steps` are `module.function: line` texts, the raise first."""
    told = [step.partition(": ") for step in steps]
    return Trace(
        fingerprint=name,
        first_seen=NOW + timedelta(minutes=minute),
        event_id=name,
        type=kind,
        template="no <int>",
        in_app=True,
        steps=tuple(
            Step(module=place.rpartition(".")[0], function=place.rpartition(".")[2], line=line)
            for place, _, line in told
        ),
    )


TOTAL = ("cart.total: return prices[item.code]", "views.buy: total(basket)", "app.serve: buy(r)")
RENAMED = ("cart.sum_up: return prices[item.code]", "views.buy: sum_up(basket)", *TOTAL[2:])
AROUND = (TOTAL[0], "tools.timed: return function(*given)", *TOTAL[1:])
ELSEWHERE = ("search.find: return index[word]", "views.search: find(word)", "app.serve: search(r)")

SAID = {"actor": "ann", "reason": "one bug", "at": NOW}


def issues_of(members: tuple[Member, ...]) -> dict[str, str]:
    return {each.fingerprint: each.issue_id for each in members}


LIKENESS = {
    "a renamed function": (TOTAL, RENAMED, True),
    "a decorator between": (TOTAL, AROUND, True),
    "another place": (TOTAL, ELSEWHERE, False),
    "callers that share a decorator only": (
        (TOTAL[0], "views.buy: total(basket)", AROUND[1], TOTAL[2]),
        (TOTAL[0], AROUND[1], "views.show: total(shelf)", TOTAL[2]),
        False,
    ),
    "another line of one function": (TOTAL, ("cart.total: rate = rates[0]", *TOTAL[1:]), False),
}


@pytest.mark.parametrize("name", LIKENESS)
def test_traces_are_alike_or_not(name: str) -> None:
    one, other, is_like = LIKENESS[name]
    score, says = compare(trace("iss_a", *one), trace("iss_b", *other))
    assert (score >= MERGE, bool(says)) == (is_like, True)


def test_another_type_is_another_issue() -> None:
    assert compare(trace("a", *TOTAL), trace("b", *TOTAL, kind="ValueError"))[0] == 0.0


def test_a_function_that_raises_for_everybody_does_not_make_its_callers_one() -> None:
    fail = "errors.fail: raise Failure(code)"
    callers = [
        trace(
            name, fail, f"{name}.run: fail(code_{name})", f"{name}.main: run()", "app.serve: go()"
        )
        for name in ("cart", "price", "search", "login")
    ]
    assert shared_raisers(callers, 4) == {("errors", "fail")}
    assert shared_raisers(callers[:3], 4) == frozenset()
    assert suggest(callers, MERGE) == ()
    again = trace("cart-again", *(f"{s.module}.{s.function}: {s.line}" for s in callers[0].steps))
    assert [(s.fingerprint, s.like) for s in suggest([*callers, again], MERGE)] == [
        ("cart", "cart-again")
    ]


def test_alike_fingerprints_are_in_the_issue_of_the_first() -> None:
    traces = [trace("iss_b", *RENAMED, minute=5), trace("iss_a", *TOTAL, minute=9)]
    [only] = merged(traces)
    assert (only.fingerprint, only.issue_id) == ("iss_a", "iss_b")
    assert only.merged_by.startswith("alignment") and "alike" in only.reason
    assert merged(traces, merges=False) == ()


@given(order=st.permutations(range(6)))
def test_the_order_in_which_fingerprints_come_does_not_matter(order: list[int]) -> None:
    traces = [
        trace("iss_1", *TOTAL, minute=4),
        trace("iss_2", *RENAMED, minute=2),
        trace("iss_3", *AROUND, minute=7),
        trace("iss_4", *ELSEWHERE, minute=1),
        trace("iss_5", *ELSEWHERE[:2], minute=3),
        trace("iss_6", *TOTAL, kind="TypeError"),
    ]
    assert merged([traces[place] for place in order]) == merged(traces)


def test_a_merge_a_split_and_their_undoing() -> None:
    traces = [
        trace("iss_a", *TOTAL),
        trace("iss_b", *ELSEWHERE),
        trace("iss_c", *RENAMED, minute=1),
    ]
    said: list[Verdict] = []

    def now() -> dict[str, str]:
        return issues_of(merged(traces, said))

    assert now() == {"iss_c": "iss_a"}
    said.append(merging(Members(merged(traces)), "iss_b", "iss_a", **SAID))
    assert now() == {"iss_a": "iss_b", "iss_c": "iss_b"}
    said.append(splitting(Members(merged(traces, said), said), "iss_b", "iss_c", **SAID))
    assert now()["iss_a"] == "iss_b"
    assert now()["iss_c"] == "iss_c"
    said.append(undoing(said, "iss_c", **SAID))
    said.append(undoing(said, "iss_a", **SAID))
    assert now() == {"iss_c": "iss_a"}


def test_what_a_person_split_is_never_put_together_again_by_itself() -> None:
    traces = [trace("iss_a", *TOTAL), trace("iss_c", *RENAMED, minute=1)]
    split = splitting(Members(merged(traces)), "iss_a", "iss_c", **SAID)
    kept = merged([*traces, trace("iss_d", *RENAMED, minute=2)], [split])
    assert issues_of(kept)["iss_c"] == "iss_c"
    assert issues_of(kept)["iss_d"] == "iss_a"


def test_an_issue_of_an_earlier_version_keeps_its_id() -> None:
    """Even where what was seen before it is alike: people know the old id."""
    old = Member(
        fingerprint="iss_b", issue_id="iss_old", merged_by=VERSION, reason="before", valid_from=NOW
    )
    traces = [trace("iss_a", *TOTAL), trace("iss_b", *RENAMED, minute=5)]
    assert issues_of(merged(traces, carried=[old])) == {"iss_a": "iss_old", "iss_b": "iss_old"}


def test_what_was_split_stays_apart_under_a_later_version() -> None:
    """The part has another fingerprint now; its split holds for what it was known by."""
    said = [Verdict(verdict="split", name="iss_old", issue_id="iss_old", **SAID)]
    known = Member(
        fingerprint="iss_b", issue_id="iss_old", merged_by=VERSION, reason="was", valid_from=NOW
    )
    traces = (trace("iss_b", *RENAMED), trace("iss_c", *TOTAL, minute=1))
    assert issues_of(merged(traces, said, [known])) == {"iss_b": "iss_old"}


def test_two_issues_of_an_earlier_version_stay_two() -> None:
    before = [
        Member(fingerprint=f, issue_id=i, merged_by=VERSION, reason="before", valid_from=NOW)
        for f, i in (("iss_a", "iss_1"), ("iss_b", "iss_2"))
    ]
    traces = [trace("iss_a", *TOTAL), trace("iss_b", *RENAMED)]
    assert issues_of(merged(traces, carried=before)) == {"iss_a": "iss_1", "iss_b": "iss_2"}


REFUSED = {
    "one already": lambda: merging(Members(), "iss_a", "iss_a", **SAID),
    "no reason": lambda: merging(Members(), "iss_a", "iss_b", actor="ann", reason=" ", at=NOW),
    "the name itself": lambda: splitting(Members(), "iss_a", "iss_a", **SAID),
    "not in it": lambda: splitting(Members(), "iss_a", "iss_b", **SAID),
    "nothing to undo": lambda: undoing((), "iss_a", **SAID),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_verdict_that_makes_no_sense_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        REFUSED[name]()


def test_verdicts_in_a_circle_end_somewhere() -> None:
    circle = [
        Verdict(verdict="merge", name="iss_a", issue_id="iss_b", **SAID),
        Verdict(verdict="merge", name="iss_b", issue_id="iss_a", **SAID),
    ]
    assert Members((), circle).issue_of("iss_a") in ("iss_a", "iss_b")


def frame(path: str, function: str) -> Frame:
    """A frame as Sentry tells it, with what stood in its variables."""
    return Frame(path=path, function=function, line=1, variables={"x": "1"})


BUY, TOTALS, FIND = (
    frame("/srv/shop/views.py", "buy"),
    frame("/srv/shop/cart.py", "total"),
    frame("/srv/shop/search.py", "find"),
)
KEY = RaisedException(type="KeyError", value="'a'", frames=(BUY, TOTALS))
WRAPPED = RaisedException(type="CartError", value="no total", frames=(BUY,))
OTHER = RaisedException(type="ValueError", value="b", frames=(FIND,))
GROUP = RaisedException(type="ExceptionGroup", value="two", frames=(BUY,))

STACKS = {
    "a plain crash": ((KEY,), ("total", "buy")),
    "a chain": ((KEY, WRAPPED), ("total", "buy")),
    "a group of equal members": ((KEY, KEY, GROUP), ("total", "buy")),
    "a group of one chain": ((KEY, WRAPPED, GROUP), ("total", "buy")),
    "a group of two kinds": ((KEY, OTHER, GROUP), ()),
    "no frames": ((RaisedException(type="KeyError"),), ()),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_trace_is_read_from_the_raise_outwards(name: str) -> None:
    exceptions, functions = STACKS[name]
    crash = Crash(event_id="one", source="test", exceptions=exceptions)
    read = trace_of(crash, fingerprint(crash), NOW)
    assert (read.type, tuple(step.function for step in read.steps)) == ("KeyError", functions)
