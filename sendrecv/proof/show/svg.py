"""What the pictures have in common: colours, for light and dark viewers, and the frame."""

from __future__ import annotations

from collections.abc import Iterable

WIDTH = 1200

# Each class with its properties for a light viewer, and what differs for a dark one.
_CLASSES = (
    ("page", "fill: #ffffff", "fill: #0d1117"),
    ("title", "font-size: 17px; font-weight: bold", ""),
    ("app", "font-weight: bold", ""),
    ("small", "font-size: 12px; fill: #57606a", "fill: #9198a1"),
    ("gap", "font-size: 12px; text-anchor: middle", ""),
    ("end", "text-anchor: end", ""),
    ("proven", "fill: #1a7f37", "fill: #3fb950"),
    ("violated", "fill: #cf222e", "fill: #ff7b72"),
    ("inconclusive", "fill: #9a6700", "fill: #d29922"),
    ("tick", "stroke: #eaeef2", "stroke: #262c36"),
    ("lane", "fill: #f6f8fa", "fill: #151b23"),
    ("main", "fill: #8cb8f0", "fill: #2f6fc4"),
    ("failover", "fill: #f5b873", "fill: #b9742a"),
    ("count", "fill: #1b1f24", "fill: #f0f6fc"),
    ("dots", "stroke: #1b1f24; fill: none", "stroke: #f0f6fc"),
    ("boot", "stroke: #57606a; stroke-dasharray: 3 3", "stroke: #9198a1"),
    ("takeover", "stroke: #8250df; stroke-width: 1.5", "stroke: #b48cf5"),
    ("wrong", "fill: none; stroke: #cf222e; stroke-width: 2", "stroke: #ff7b72"),
    ("day", "fill: #c9e7d0", "fill: #1c4428"),
    ("unsure", "fill: #f7dc8f", "fill: #5c4411"),
    ("bad", "fill: #ffc1bc", "fill: #6e2320"),
    ("moved", "stroke: #8250df; stroke-width: 2", "stroke: #b48cf5"),
    ("doubt", "fill: #bf8700; stroke: #7d4e00", "fill: #e3b341; stroke: #f2cc60"),
    ("up", "fill: #24292f", "fill: #f0f6fc"),
    ("leader", "stroke: #9a6700; stroke-width: 0.8; fill: none", "stroke: #d29922"),
)


def _style() -> str:
    light = [f".{name} {{ {rule} }}" for name, rule, _ in _CLASSES]
    dark = [f".{name} {{ {rule} }}" for name, _, rule in _CLASSES if rule]
    text = "text { font: 12px sans-serif; fill: %s }"
    rules = [text % "#24292f", *light]
    rules += ["@media (prefers-color-scheme: dark) {", text % "#e6edf3", *dark, "}"]
    return "\n".join(rules)


def document(height: float, shapes: Iterable[str]) -> str:
    """The shapes as an SVG document."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}"'
            f' viewBox="0 0 {WIDTH} {height:g}">',
            f"<style>{_style()}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height:g}"/>',
            *shapes,
            "</svg>",
            "",
        ]
    )


def legend(entries: Iterable[tuple[str, str]], x: float, y: float) -> Iterable[str]:
    """Shapes with what they mean. In a shape, {x} and {m} are its left end and its middle."""
    for shape, text in entries:
        yield shape.format(x=f"{x:g}", m=f"{x + 11:g}")
        yield f'<text class="small" x="{x + 28:g}" y="{y:g}">{text}</text>'
        x += 50 + 6.6 * len(text)
