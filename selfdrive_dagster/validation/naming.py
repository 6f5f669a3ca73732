"""Cases of a parametrised test that two runs name otherwise.

pytest names a case after its parameters. Where these come from the product (a duration, a parsed
date) a patch changes the names too; where they stand in a set, each process numbers them in another
order. The same case then looks like one that is missing and one that is new. As the tests come from
the base, a test with as many cases as before has its cases still; only which is which is not known.
So the worst is taken: cases that did not pass now are taken to be those that must pass.

Belongs here: giving cases their names on the base. Does not belong: what an outcome is worth.
"""

from collections.abc import Collection

import msgspec

from selfdrive_dagster.patches.suite import SuiteRun


def named_as_on(base: SuiteRun, run: SuiteRun, must_pass: Collection[str]) -> tuple[SuiteRun, int]:
    """Return a run with its cases named as on the base, and how many were named otherwise.

    A test with more or fewer cases than on the base keeps all its names: what is missing there
    may have been dropped. `must_pass` are node ids of the base.
    """
    names: dict[str, str] = {}
    before, after = _cases(base.collected), _cases(run.collected)
    for test in before.keys() & after.keys():
        if len(before[test]) == len(after[test]):
            gone = [one for one in before[test] if one not in set(after[test])]
            came = [one for one in after[test] if one not in set(before[test])]
            gone.sort(key=lambda one: one not in must_pass)
            came.sort(key=lambda one: _passed(run, one))
            names |= zip(came, gone, strict=False)
    if not names:
        return run, 0
    renamed = msgspec.structs.replace(
        run,
        collected=tuple(names.get(one, one) for one in run.collected),
        tests={names.get(one, one): result for one, result in run.tests.items()},
        lines={names.get(one, one): lines for one, lines in run.lines.items()},
        repeated=tuple(names.get(one, one) for one in run.repeated),
    )
    return renamed, len(names)


def _cases(collected: tuple[str, ...]) -> dict[str, list[str]]:
    """Group the cases of parametrised tests by the test, in the order of collection."""
    found: dict[str, list[str]] = {}
    for node_id in collected:
        test, bracket, _ = node_id.partition("[")
        if bracket:
            found.setdefault(test, []).append(node_id)
    return found


def _passed(run: SuiteRun, node_id: str) -> bool:
    return node_id in run.tests and run.tests[node_id].outcome == "passed"
