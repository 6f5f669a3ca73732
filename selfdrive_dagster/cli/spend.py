"""`selfdrive spend`: what models cost the loop today and this month, on which changes, and how
the questions ended.

What `selfdrive repair` spent alone stands in the home's `spend.jsonl` and is not in here.
"""

from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.issues import Repo, settings_of
from selfdrive_dagster.cli.loop_home import is_there, opened
from selfdrive_dagster.cli.render import AsJson, emit, flat
from selfdrive_dagster.config.settings import Patches
from selfdrive_dagster.patches.asking.money import dollars

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.spending import Spent

NOTHING = (
    "Nothing was spent here: no model was asked. docs/claude.md tells how that is switched on."
)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What one change, or one kind of end, took. `open_micros` is set aside and not settled."""

    name: str
    issue_id: str
    asks: int
    micros: int
    open_micros: int


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """The loop's book in short, in micro-dollars. A cap of None is none; a day always has one."""

    today: int = 0
    this_month: int = 0
    open_micros: int = 0
    day_cap: int = 0
    month_cap: int | None = None
    changes: tuple[Item, ...] = ()
    ends: tuple[Item, ...] = ()


def spend(repo: Repo = None, as_json: AsJson = False) -> None:
    """Show what models cost: today, this month, by change, and how the questions ended."""
    patches = settings_of(repo).patches
    found = book(patches) if is_there() else Spending()
    emit(found, lambda console: draw(console, found), as_json=as_json)


def book(patches: Patches) -> Spending:
    """Read the loop's book, with the caps of these settings beside it."""
    from selfdrive_dagster.adapters.claude.opening import caps_of
    from selfdrive_dagster.adapters.spending import Spending as Book

    caps = caps_of(patches)
    with opened() as (_, engine):
        kept = Book(engine)
        issue_of = kept.issues()
        month, ends, changes = kept.this_month(), kept.by_result(), kept.by_change()
        today = kept.today()
    return Spending(
        today=today.micros,
        this_month=month.micros,
        open_micros=month.open_micros,
        day_cap=caps.day or 0,
        month_cap=caps.month,
        changes=tuple(item(name, one, issue_of[name]) for name, one in dearest(changes)),
        ends=tuple(item(name or "open", one) for name, one in dearest(ends)),
    )


def dearest(found: "dict[str, Spent]") -> "list[tuple[str, Spent]]":
    """Return what was spent on, the dearest first."""
    return sorted(found.items(), key=lambda pair: (-pair[1].micros, pair[0]))


def item(name: str, one: "Spent", issue_id: str = "") -> Item:
    """Return a line of the book."""
    return Item(
        name=name,
        issue_id=issue_id,
        asks=one.asks,
        micros=one.micros,
        open_micros=one.open_micros,
    )


def draw(console: Console, found: Spending) -> None:
    """Draw the book."""
    if not found.changes:
        console.print(NOTHING, soft_wrap=True)
        return
    month = f" of {dollars(found.month_cap)}" if found.month_cap is not None else ""
    console.print(
        f"Today {dollars(found.today)} of {dollars(found.day_cap)}, this month "
        f"{dollars(found.this_month)}{month} (UTC)."
    )
    if found.open_micros:
        told = f"{dollars(found.open_micros)} of it is set aside for questions without an end yet."
        console.print(Text(told, style="yellow"), soft_wrap=True)
    for heads, items in (
        (("change", "issue", "questions", "spent"), found.changes),
        (("end", "", "questions", "spent"), found.ends),
    ):
        table = Table(box=None, pad_edge=False)
        for head in heads:
            table.add_column(head, justify="right" if head in heads[2:] else "left")
        for one in items:
            named = flat(one.name).replace("_", " ") if one in found.ends else flat(one.name)
            table.add_row(named, flat(one.issue_id), str(one.asks), dollars(one.micros))
        console.print(table)
