"""Plots as SVG: a few lines over time, with their limits.

Written by hand, since it is a few lines and needs no library; names and numbers only, all
escaped. Belongs here: drawing. Does not belong: what is drawn.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 680, 240, 48, 172, 28, 28
BESIDE = WIDTH - RIGHT + 6
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart by those who see no red or green (Okabe and Ito)."""

MOST_POINTS = 400

Points = Sequence[tuple[float, float]]
"""Units of time since the beginning, and a value."""


def as_markdown(svg: str, says: str) -> str:
    """Return a drawing as an image within Markdown, which Dagster's metadata shows."""
    data = base64.b64encode(svg.encode()).decode()
    return f"![{says}](data:image/svg+xml;base64,{data})"


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


def draw(
    title: str, lines: Mapping[str, Points], limits: Mapping[str, float], unit: str = "min"
) -> str:
    """Return an SVG of lines by name, over `unit` of time, with limits as dashed lines."""
    scale = _scale(lines, limits)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 16, title),
        *_axes(scale, unit),
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


def _axes(scale: _Scale, unit: str) -> Iterator[str]:
    zero, top = scale.place(0, 0), scale.place(0, scale.high)
    yield _line(scale.place(0, scale.low), top, "#999999")
    yield _line(zero, scale.place(scale.end, 0), "#999999")
    yield _text(4, top[1] + 4, f"{scale.high:.3g}")
    yield _text(4, zero[1] + 4, "0")
    yield _text(WIDTH - RIGHT - 24, HEIGHT - 8, f"{scale.end:.3g} {unit}")


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
