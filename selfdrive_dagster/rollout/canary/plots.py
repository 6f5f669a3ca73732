"""Two plots of a rollout: the evidence over time, and how often each arm was affected.

SVG written by hand, since it is a few lines and needs no library; names and numbers only, all
escaped. Belongs here: drawing. Does not belong: what is shown beside it (`orchestration.pages`).
"""

import base64
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from html import escape

from selfdrive_dagster.rollout.canary.counts import Count, Window
from selfdrive_dagster.rollout.canary.plan import Plan
from selfdrive_dagster.rollout.canary.readings import harm_so_far

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 680, 240, 48, 172, 28, 28
BESIDE = WIDTH - RIGHT + 6
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart by those who see no red or green (Okabe and Ito)."""

MOST_POINTS = 400

Points = Sequence[tuple[float, float]]
"""Minutes since the rollout began, and a value."""


def evidence_svg(windows: Sequence[Window], plan: Plan) -> str:
    """Draw how strong the evidence of harm became, as log10 of each guardrail's e-value."""
    counted = windows[plan.warm_up_windows :]
    lines = {
        rail.name: [
            (_minute(windows, window, plan), value / math.log(10))
            for window, value in harm_so_far(rail, counted)
        ]
        for rail in plan.guardrails
    }
    limit = math.log10(plan.harm_threshold)
    return _draw("Evidence of harm, log10 of the e-value", lines, {"HARM from here": limit})


def rates_svg(windows: Sequence[Window], plan: Plan, guardrail: str) -> str:
    """Draw in which part of its sessions each arm was affected so far, in percent."""
    total = Count()
    canary: list[tuple[float, float]] = []
    stable: list[tuple[float, float]] = []
    for window in windows[plan.warm_up_windows :]:
        total += window.measured.get(guardrail, Count())
        minute = _minute(windows, window, plan)
        exposed, hit = total.exposed, total.affected
        canary += [(minute, 100 * hit.canary / exposed.canary)] if exposed.canary else []
        stable += [(minute, 100 * hit.stable / exposed.stable)] if exposed.stable else []
    return _draw(f"{guardrail}: affected sessions in %", {"canary": canary, "stable": stable}, {})


def as_markdown(svg: str, says: str) -> str:
    """Return a drawing as an image within Markdown, which Dagster's metadata shows."""
    data = base64.b64encode(svg.encode()).decode()
    return f"![{says}](data:image/svg+xml;base64,{data})"


def _minute(windows: Sequence[Window], window: Window, plan: Plan) -> float:
    """Return the end of a window in minutes since the first one began."""
    end = window.start - windows[0].start + timedelta(seconds=plan.window_seconds)
    return end.total_seconds() / 60


class _Scale:
    """Where a minute and a value lie in the drawing."""

    def __init__(self, end: float, low: float, high: float) -> None:
        self.end, self.low, self.high = end, low, high

    def place(self, minute: float, value: float) -> tuple[float, float]:
        across = (WIDTH - LEFT - RIGHT) * minute / self.end
        upward = (HEIGHT - TOP - BOTTOM) * (value - self.low) / (self.high - self.low)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - upward, 1)


def _scale(lines: Mapping[str, Points], limits: Mapping[str, float]) -> _Scale:
    values = [value for points in lines.values() for _, value in points] + list(limits.values())
    low, high = min([0.0, *values]), max([0.0, *values])
    end = max((minute for points in lines.values() for minute, _ in points), default=1.0)
    return _Scale(end, low, high if high > low else low + 1)


def _draw(title: str, lines: Mapping[str, Points], limits: Mapping[str, float]) -> str:
    scale = _scale(lines, limits)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 16, title),
        *_axes(scale),
    ]
    for says, value in limits.items():
        begin, end = scale.place(0, value), scale.place(scale.end, value)
        parts += [_line(begin, end, "#d00000", "4 3"), _text(BESIDE, end[1] + 4, says, "#d00000")]
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = (scale.place(*point) for point in _thinned(points))
        path = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        shown = name if points else f"{name}: not measured"
        parts.append(_text(BESIDE, TOP + 40 + 16 * number, shown, colour))
    return "\n".join([*parts, "</svg>"])


def _axes(scale: _Scale) -> Iterator[str]:
    zero, top = scale.place(0, 0), scale.place(0, scale.high)
    yield _line(scale.place(0, scale.low), top, "#999999")
    yield _line(zero, scale.place(scale.end, 0), "#999999")
    yield _text(4, top[1] + 4, f"{scale.high:.3g}")
    yield _text(4, zero[1] + 4, "0")
    yield _text(WIDTH - RIGHT - 24, HEIGHT - 8, f"{scale.end:.3g} min")


def _thinned(points: Points) -> Iterable[tuple[float, float]]:
    """Return so many points as can be seen, the last one among them."""
    step = max(1, len(points) // MOST_POINTS)
    return [*points[:-1:step], *points[-1:]]


def _text(x: float, y: float, text: str, colour: str = "#333333") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}">{escape(text)}</text>'


def _line(
    begin: tuple[float, float], end: tuple[float, float], colour: str, dashes: str = "none"
) -> str:
    where = f'x1="{begin[0]}" y1="{begin[1]}" x2="{end[0]}" y2="{end[1]}"'
    return f'<line {where} stroke="{colour}" stroke-dasharray="{dashes}"/>'
