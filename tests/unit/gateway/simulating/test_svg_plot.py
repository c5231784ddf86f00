"""Invariant: the picture is well-formed, all lines lie in their panels, and a gap is a gap."""

from xml.etree import ElementTree as Tree

import pytest

from gateway.simulating.svg_plot import LEFT, PANEL_HEIGHT, RIGHT, TOP, WIDTH, Line, Panel, clock_text, svg_picture

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*lines: Line, most: float = 10.0) -> Tree.Element:
    return Tree.fromstring(svg_picture("a <title> & more", [Panel("kept, %", most, lines)], 120.0))


def points(polyline: Tree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in polyline.attrib["points"].split()]


def test_titles_are_text() -> None:
    texts = [each.text for each in drawn(Line("<b>", [1.0], 0)).iter(f"{SVG}text")]
    assert {"a <title> & more", "kept, %", "<b>", "0", "10", "2 min"} <= set(texts)


def test_a_line_from_edge_to_edge_with_a_gap() -> None:
    first, second = drawn(Line("a", [0.0, 5.0, None, 99.0], 0)).findall(f"{SVG}polyline")
    step = (WIDTH - RIGHT - LEFT) / 4
    top, base = TOP + 24, TOP + PANEL_HEIGHT
    assert points(first) == [(LEFT, base), (LEFT + step, base), (LEFT + 2 * step, (top + base) / 2)]
    assert points(second) == [(LEFT + 3 * step, top), (LEFT + 4 * step, top)]


def test_lines_are_told_apart() -> None:
    one, two = drawn(Line("a", [1.0], 0), Line("b", [1.0], 8, dashed=True)).findall(f"{SVG}polyline")
    assert one.attrib["stroke"] != two.attrib["stroke"]
    assert "stroke-dasharray" not in one.attrib
    assert "stroke-dasharray" in two.attrib


def test_nothing_to_draw_is_a_picture_too() -> None:
    assert drawn(Line("a", [], 0), Line("b", [None], 1), most=0.0).findall(f"{SVG}polyline") == []
    assert len(drawn(Line("b", [3.0], 1), most=0.0).findall(f"{SVG}polyline")) == 1


@pytest.mark.parametrize(
    ("span_s", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (9000, "2.5 h"), (604800, "7 d")]
)
def test_times_in_their_largest_unit(span_s: float, text: str) -> None:
    assert clock_text(span_s) == text


def test_times_side_by_side_in_one_unit() -> None:
    assert [clock_text(time_s, 240) for time_s in (0, 60, 240)] == ["0 min", "1 min", "4 min"]
