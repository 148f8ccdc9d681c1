"""The plot of growth: a chart for each section, a line for each thing that was measured. SVG."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape

from tests.bench.figures import Figure, number

WIDTH, HEIGHT, LEFT, RIGHT, TOP = 900, 360, 70, 390, 60
COLOURS = "#2563a8", "#c07a20", "#4a4", "#c33", "#7a3fa0", "#158a8a", "#777", "#b03a78"
_LABEL = re.compile(r"(\d+) ([^:]+): (.+)")
Lines = Mapping[str, Sequence[tuple[int, float]]]
"""By what was measured: size and median, by size."""


def svg(figures: Sequence[Figure], title: str) -> str:
    """The sections whose figures say a size: "1000 more mounts: CPU at rest".

    Medians, each as a part of the greatest one of its line, so that one chart has them all; the
    legend has the values.
    """
    charts = _charts(figures)
    height = TOP + HEIGHT * len(charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<style>text{font:12px sans-serif;fill:#222}.axis{stroke:#999}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(20, 26, f"What grows with the machine: medians ({title})"),
    ]
    for index, ((_, what), lines) in enumerate(charts.items()):
        parts += _chart(what, lines, TOP + HEIGHT * index)
    return "\n".join([*parts, "</svg>", ""])


def _charts(figures: Sequence[Figure]) -> dict[tuple[str, str], Lines]:
    """By section and what there is more of."""
    found: dict[tuple[str, str], dict[str, list[tuple[int, float]]]] = {}
    for figure in figures:
        if figure.section.startswith("growth.") and (match := _LABEL.fullmatch(figure.name)):
            lines = found.setdefault((figure.section, match[2]), defaultdict(list))
            lines[f"{match[3]}, {figure.unit}"].append((int(match[1]), figure.median))
    return {key: dict(lines) for key, lines in found.items()}


def _chart(what: str, lines: Lines, top: int) -> list[str]:
    sizes = sorted({size for points in lines.values() for size, _ in points})
    bottom, right = top + HEIGHT - 60, WIDTH - RIGHT
    scale = (right - LEFT) / max(sizes[-1] - sizes[0], 1)
    parts = [
        f'<path class="axis" fill="none" d="M{LEFT} {top}V{bottom}H{right}"/>',
        _text(LEFT, bottom + 40, what),
        *(_text(LEFT + (size - sizes[0]) * scale - 8, bottom + 20, f"{size:,}") for size in sizes),
    ]
    for index, (name, points) in enumerate(lines.items()):
        most = max(value for _, value in points) or 1.0
        places = [
            f"{LEFT + (at - sizes[0]) * scale:.1f},{bottom - value / most * (HEIGHT - 80):.1f}"
            for at, value in points
        ]
        parts.append(_line(COLOURS[index % len(COLOURS)], places))
        label = f"{name}: {number(points[0][1])} to {number(points[-1][1])}"
        parts.append(
            _text(right + 15, top + 16 * index + 14, label, f"fill:{COLOURS[index % len(COLOURS)]}")
        )
    return parts


def _line(colour: str, places: Sequence[str]) -> str:
    style = f'fill="none" stroke="{colour}" stroke-width="2"'
    return f'<polyline {style} points="{" ".join(places)}"/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" style="{style}">{escape(text)}</text>'
