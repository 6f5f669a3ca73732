"""The demo's table: each issue with its change, from what the commands print."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.render import clean

if TYPE_CHECKING:
    from selfdrive_dagster.cli.demo.theatre import Theatre

SETTLED = ("awaiting_approval", "rejected", "expired")
ENDED = ("learned", "rejected", "expired")
WIDE = 140
STYLES = {"certified": "bold green", "contained": "yellow"}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table; what is not known yet is ""."""

    issue: str
    users: str = ""
    change: str = ""
    state: str = ""
    reproducer: str = ""
    tried: str = ""
    verdict: str = ""
    claim: str = ""
    seconds: str = ""
    triage: str = ""
    outcome: str = ""
    is_left: bool = False
    """The demonstration signs no more: this one is left to people."""

    @property
    def waits_for_a_key(self) -> bool:
        """Say whether a proven repair waits for an approval."""
        return self.verdict == "certified" and self.state == "awaiting_approval"

    @property
    def is_over(self) -> bool:
        """Say whether a proven repair has been with users and was judged, and others settled."""
        ends = ENDED if self.verdict == "certified" else (*SETTLED, *ENDED)
        return self.triage != "autofix" or self.state in ends or self.is_left

    @property
    def is_settled(self) -> bool:
        """Say whether nothing more will come of this issue by itself."""
        return self.triage != "autofix" or self.state in SETTLED

    @property
    def came_of_it(self) -> str:
        """The verdict, or in words why there is none."""
        if self.verdict:
            return self.verdict
        if self.triage != "autofix":
            return self.triage.replace("_", " ")
        if self.state in SETTLED:
            return "diagnosis only"
        return "in the making" if self.change else "not tried"

    @classmethod
    def of_repair(cls, found: dict[str, Any]) -> "Row":
        """Return the row of a `selfdrive repair --json`."""
        best = found.get("best") or {}
        made = (found.get("reproduction") or {}).get("reproducer") or {}
        reports = found.get("reports") or []
        verdict = next((r["verdict"] for r in reports if r["candidate_id"] == best.get("id")), "")
        return cls(
            issue=str((found.get("diagnosis") or {}).get("sentence", "the failing test")),
            users="silent",
            change="selfdrive repair",
            state="done",
            reproducer=str(made.get("way", "none")),
            tried=str((found.get("search") or {}).get("tried", "")),
            verdict=verdict or "nothing proven",
            claim=str(best.get("claim", "")),
            seconds=f"{found.get('seconds', 0):.0f}",
        )


def rows_of(issues: Sequence[dict[str, Any]], changes: Sequence[dict[str, Any]]) -> list[Row]:
    """Join the ranking and the board of changes by cause: one change serves all its issues."""
    cause = {issue["issue_id"]: (issue["exception_type"], issue["culprit"]) for issue in issues}
    by_cause = {cause.get(change["issue_id"]): change for change in changes}
    return [_row(issue, by_cause.get(cause[issue["issue_id"]], {})) for issue in issues]


def _row(issue: dict[str, Any], change: dict[str, Any]) -> Row:
    def word(name: str, missing: str = "") -> str:
        value = change.get(name)
        return missing if value is None else str(value)

    users = issue.get("users")
    return Row(
        issue=issue["title"],
        users="unknown" if users is None else str(users),
        change=word("change_id"),
        state=word("state"),
        reproducer=word("way"),
        tried=word("tried"),
        verdict=word("verdict"),
        claim=word("claim"),
        seconds=f"{change['seconds']:.0f}" if change.get("seconds") is not None else "",
        triage=issue["triage"]["decision"],
        outcome=word("outcome"),
    )


def settled(rows: Sequence[Row], theatre: "Theatre") -> bool:
    """Say whether visitors have left and every issue has come to its end.

    Where changes are driven visitors stay, and the end is what came of them with users.
    """
    if theatre.drives:
        return bool(rows) and all(row.is_over for row in rows)
    return theatre.traffic_is_over and bool(rows) and all(row.is_settled for row in rows)


def draw(rows: Sequence[Row], seconds: float, ui: str, *, stays: bool, console: Console) -> None:
    """Draw the table and say where to look, and whether that is still there."""
    wide = console if console.is_terminal else Console(width=WIDE)
    table = Table(title="What hurt, and what came of it")
    table.add_column("issue", no_wrap=True, max_width=44)
    for head in ("users", "reproducer", "tried", "verdict", "claim", "s", "with users", "change"):
        table.add_column(head, no_wrap=True)
    for row in rows:
        verdict = Text(row.came_of_it, style=STYLES.get(row.verdict, ""))
        cells = [Text(clean(cell)) for cell in (row.issue, row.users, row.reproducer or "none")]
        table.add_row(*cells, row.tried, verdict, row.claim, row.seconds, row.outcome, row.change)
    wide.print(table)
    console.print(Text(f"{seconds:.0f} s in all."))
    console.print(Text(f"Assets: {ui}/asset-groups  Runs: {ui}/runs"))
    if not stays:
        console.print("They ended with the demo; `make demo KEEP=1` leaves them up to browse.")
