"""The kinds of issues: what each is called and what it says to somebody who reads the ranking.

An exception is one kind; the others are patterns (`sql/issues/patterns.sql` sees each sighting)
and findings of a detector (`issues.detect`, told by numbers over hours). Belongs here: names and
words. Does not belong: when a kind counts (`sql/`, `issues.detect`, `config.Detect`).
"""

import msgspec

EXCEPTION = "exception"


class Kind(msgspec.Struct, frozen=True):
    """One kind: `name` as in the tables, `title` for people, `says` what is wrong with it."""

    name: str
    title: str
    says: str


KINDS: tuple[Kind, ...] = (
    Kind(EXCEPTION, "", "the product raised an exception"),
    Kind("failed_request", "failed request", "requests fail, and no exception was reported"),
    Kind("timeout", "timeout", "requests or calls to neighbours run out of time"),
    Kind("error_log", "error in the log", "logged as an error, without an exception"),
    Kind("retry_loop", "retry loop", "visitors ask for the same again and again, mostly in vain"),
    Kind("rage_click", "rage click", "visitors click the same thing several times at once"),
    Kind("dead_click", "dead click", "visitors click and nothing happens"),
    Kind("error_click", "error click", "an exception follows at once upon a click"),
    Kind("u_turn", "U-turn", "visitors open a page and go straight back"),
    Kind("form_abandonment", "abandoned form", "visitors begin a form and do not send it"),
    Kind("latency_change", "latency change", "a route has become slower and stays so"),
    Kind("slow_path", "slow path", "a large share of all waiting is spent here"),
    Kind("resource_leak", "resource leak", "a process uses more and more of a resource"),
    Kind("saturation", "saturation", "a resource is used up nearly all the time"),
    Kind("funnel_drop", "funnel drop", "fewer visitors than usual go on to the next step"),
    Kind(
        "dying_feature",
        "dying feature",
        "a feature is used less and less; its users are those it lost",
    ),
    Kind(
        "unused_feature", "unused feature", "a feature is used no more; its users are those it lost"
    ),
    Kind("failing_test", "failing test", "a test of the product's main branch fails"),
)

_BY_NAME = {kind.name: kind for kind in KINDS}


def kind_of(name: str) -> Kind:
    """Return a kind by its name. Raises KeyError for a name that no table writes."""
    return _BY_NAME[name]


def title_of(kind: str, exception_type: str, template: str) -> str:
    """Return how an issue is called: `KeyError: 'price'`, `timeout: 504`."""
    return f"{kind_of(kind).title or exception_type}: {template}".rstrip(": ")
