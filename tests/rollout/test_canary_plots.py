"""The plots: well-formed, bounded, and they show what was not measured as that."""

import base64
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from msgspec.structs import replace

from selfdrive_dagster.model.drawing import as_markdown
from selfdrive_dagster.rollout.canary import (
    DEFAULT_PLAN,
    Arms,
    Count,
    Guardrail,
    Window,
    evidence_svg,
    rates_svg,
)

BEGIN = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
PLAN = replace(DEFAULT_PLAN, guardrails=(Guardrail("errors"), Guardrail("<issue>")))


def windows(count: int, hit: Arms) -> list[Window]:
    exposed = Arms(100, 900)
    return [
        Window(start=BEGIN + timedelta(minutes=number), share=0.1, exposed=exposed,
               measured={"errors": Count(exposed, hit)})
        for number in range(count)
    ]  # fmt: skip


def drawn(svg: str) -> tuple[list[list[float]], list[str]]:
    """Return the heights of each line's points, and the texts."""
    tree = ElementTree.fromstring(svg)
    lines = [line.get("points", "").split() for line in tree.findall("{*}polyline")]
    heights = [[float(point.partition(",")[2]) for point in line] for line in lines]
    return heights, [text.text or "" for text in tree.findall("{*}text")]


def test_evidence_of_harm_rises_until_it_crosses_the_threshold() -> None:
    svg = evidence_svg(windows(30, Arms(5, 9)), PLAN)
    (errors, issue), texts = drawn(svg)
    assert len(errors) == 27
    assert errors[-1] < errors[0]  # upwards is towards 0
    assert issue == []
    assert {"HARM from here", "errors", "<issue>: not measured", "30 min"} <= set(texts)


def test_rates_stand_beside_each_other() -> None:
    (canary, stable), texts = drawn(rates_svg(windows(30, Arms(5, 9)), PLAN, "errors"))
    assert len(canary) == len(stable) == 27
    assert canary[-1] < stable[-1]
    assert "5" in texts


def test_a_day_is_drawn_in_few_points_and_nothing_at_all_too() -> None:
    (errors, _), _ = drawn(evidence_svg(windows(1440, Arms(1, 9)), PLAN))
    assert len(errors) < 800
    assert drawn(evidence_svg([], PLAN))[0] == [[], []]
    assert drawn(rates_svg([], PLAN, "errors"))[0] == [[], []]


def test_an_image_within_markdown_needs_no_file() -> None:
    svg = evidence_svg(windows(5, Arms()), PLAN)
    image = as_markdown(svg, "evidence")
    assert image.startswith("![evidence](data:image/svg+xml;base64,")
    assert base64.b64decode(image.partition("base64,")[2].removesuffix(")")).decode() == svg
