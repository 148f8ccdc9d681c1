"""The picture of `sendrecv proof --svg`: what is drawn, and where."""

from pathlib import Path
from xml.etree import ElementTree

from sendrecv.proof.show import picture
from sendrecv.proof.statements import At
from tests.unit.proof.journals import World, export
from tests.unit.proof.judging import judge
from tests.unit.proof.test_prove import run, world


def draw(entries: World, tmp_path: Path) -> ElementTree.Element:
    path, svg = tmp_path / "entries", tmp_path / "picture.svg"
    path.write_bytes(export(entries.entries))
    run("--file", path, "--svg", svg)
    return ElementTree.parse(svg).getroot()


def shapes(drawn: ElementTree.Element, kind: str) -> int:
    return sum(element.get("class") == kind for element in drawn.iter())


def texts(drawn: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_has_bars_dots_and_gaps(tmp_path: Path) -> None:
    drawn = draw(world(), tmp_path)
    legend = 1
    assert (shapes(drawn, "main"), shapes(drawn, "failover")) == (3 + legend, 1 + legend)
    assert shapes(drawn, "takeover") == 2 + legend
    dots = "".join(path.get("d", "") for path in drawn.iter() if path.get("stroke-linecap"))
    assert dots.count("M") == 10
    assert {"PROVEN", "x", "y", "main", "failover", "1,046 ms"} <= set(texts(drawn))


def test_the_picture_shows_violations_and_escapes_names(tmp_path: Path) -> None:
    wrong = world()
    wrong.print("x", "main", 1)
    assert shapes(draw(wrong, tmp_path), "wrong") == 1


def test_the_picture_of_nothing(tmp_path: Path) -> None:
    assert "INCONCLUSIVE" in texts(draw(World(), tmp_path))


def test_a_moment_that_names_no_boot_has_a_place() -> None:
    """A damaged entry may name none. Chance found one; it was a traceback."""
    verdict = judge(world())
    frame = picture._Frame(verdict)  # pylint: disable=protected-access
    assert frame.of(At("", 5, 5)) == frame.of(At("", 5, 9))


def test_the_time_between_boots_is_cut_short(tmp_path: Path) -> None:
    two = world()
    two.wait(30)
    two.boot(clean=True)
    two.boots += 24 * 7  # hours
    two.start_receiver()
    two.admit(two.start("x", "main"))
    two.count("x", times=30)
    runs = [shape for shape in draw(two, tmp_path).iter() if shape.get("class") == "main"]
    assert max(float(shape.get("width", 0)) for shape in runs) > 300
