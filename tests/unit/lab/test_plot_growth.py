"""The plot of growth has a line for each thing that was measured, over the sizes."""

from xml.etree import ElementTree

from tests.bench.figures import Figure
from tests.bench.plot_growth import svg

SVG = "{http://www.w3.org/2000/svg}"


def test_a_line_for_each_thing_and_a_chart_for_each_section() -> None:
    figures = [
        Figure(section, f"{size} {what}: {name}", "ms", (value, value))
        for section, what, sizes in (
            ("growth.mounts", "more mounts", (0, 100, 1000)),
            ("growth.apps", "Apps", (1, 100)),
        )
        for size in sizes
        for name, value in (("floor, bare", 30.0), ("SIGKILL to READY", 60.0 + size))
    ]
    root = ElementTree.fromstring(svg([*figures, Figure("takeover", "x", "ms", (1.0,))], "a day"))
    lines = [line.get("points", "").split() for line in root.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [3, 3, 2, 2]
    heights = [float(point.split(",")[1]) for point in lines[1]]
    assert heights == sorted(heights, reverse=True)  # the more, the higher
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "SIGKILL to READY, ms: 60.0 to 1,060" in texts and "more mounts" in texts


def test_nothing_that_grows_is_no_chart() -> None:
    assert "polyline" not in svg([Figure("takeover", "x", "ms", (1.0,))], "a day")
