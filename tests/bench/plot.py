"""The plot of silence by fault: one row for each fault, one dot for each time it was done. SVG."""

from collections.abc import Sequence
from html import escape

from tests.bench.figures import Figure, number

WIDTH, LEFT, RIGHT, TOP, ROW = 900, 350, 60, 70, 34
STYLE = (
    "text{font:13px sans-serif;fill:#222}.dim{fill:#777}.grid{stroke:#ddd}.beat{stroke:#4a4;"
    "stroke-dasharray:4 3}.limit{stroke:#c33;stroke-width:2}.dot{fill:#2563a8;fill-opacity:.35}"
    ".peer{fill:#c07a20;fill-opacity:.5}.median{stroke:#123;stroke-width:3}"
)


def svg(figures: Sequence[Figure], title: str) -> str:
    """The figures that are silences; empty rows are not drawn. `title`: machine and day."""
    rows = [figure for figure in figures if figure.silence]
    most = max((max(*figure.values, figure.asked or 0.0) for figure in rows), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / max(most * 1.05, 1.2)
    height = TOP + ROW * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(20, 26, "Seconds without a count, by fault"),
        _text(20, 46, f"{title}; dashed: the beat of 1 s; red: what was asked", "dim"),
        *_grid(max(most * 1.05, 1.2), scale, height - 40),
    ]
    for index, figure in enumerate(rows):
        parts += _figure(figure, TOP + ROW * index + ROW // 2, scale)
    return "\n".join([*parts, "</svg>", ""])


def _grid(most: float, scale: float, bottom: int) -> list[str]:
    step = next((s for s in (0.25, 0.5, 1, 2, 5, 10) if most / s <= 12), 30)
    parts = []
    for index in range(int(most / step) + 1):
        x = LEFT + index * step * scale
        parts.append(_vertical(x, TOP, bottom, "grid"))
        parts.append(_text(x - 8, bottom + 18, f"{index * step:g}", "dim"))
    parts.append(_vertical(LEFT + scale, TOP, bottom, "beat"))
    return parts


def _figure(figure: Figure, middle: int, scale: float) -> list[str]:
    kind = "peer" if figure.section == "peers" else "dot"
    dots = [
        f'<circle class="{kind}" cx="{LEFT + value * scale:.1f}" cy="{middle}" r="4"/>'
        for value in figure.values
    ]
    label = f"{figure.name} (worst {number(figure.worst)})"
    marks = [_vertical(LEFT + figure.median * scale, middle - 9, middle + 9, "median")]
    if figure.asked is not None:
        marks.append(_vertical(LEFT + figure.asked * scale, middle - 13, middle + 13, "limit"))
    return [_text(20, middle + 4, label), *dots, *marks]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" class="{kind}">{escape(text)}</text>'


def _vertical(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
