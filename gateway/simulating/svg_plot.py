"""Lines over time as an SVG picture: panels under each other, one axis of time, a colour a line. Text in, text out."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from msgspec import Struct

from gateway.simulating.text_plot import Points

WIDTH, PANEL_HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 860, 260, 64, 34, 190, 36
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart by colour-blind eyes too: Okabe & Ito, Color Universal Design, 2008."""


class Line(Struct, frozen=True):
    """One line: its name, its points at equal distances in time (None: a gap), its colour's number, and its kind."""

    name: str
    points: Points
    colour: int
    dashed: bool = False


class Panel(Struct, frozen=True):
    """One plot: what it shows with its unit, the value at its upper edge, and its lines."""

    title: str
    most: float
    lines: tuple[Line, ...]


def svg_picture(title: str, panels: Sequence[Panel], span_s: float) -> str:
    """The picture; `span_s` is the time that every line covers."""
    height = TOP + len(panels) * (PANEL_HEIGHT + BOTTOM)
    size = f'width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="white"/>',
        _text(LEFT, 20, title, size=14),
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, TOP + number * (PANEL_HEIGHT + BOTTOM), span_s)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: float, span_s: float) -> list[str]:
    right, base = WIDTH - RIGHT, top + PANEL_HEIGHT
    parts = [_text(LEFT, top + 14, panel.title)]
    for fraction in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = base - fraction * (PANEL_HEIGHT - 24)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{panel.most * fraction:.3g}", anchor="end"))
        x = LEFT + fraction * (right - LEFT)
        parts.append(_text(x, base + 16, clock_text(span_s * fraction, span_s), anchor="middle"))
    for place, line in enumerate(panel.lines):
        parts += _line(line, panel.most, base)
        y = top + 34 + 17 * place
        parts.append(f'<line x1="{right + 10}" y1="{y - 4}" x2="{right + 34}" y2="{y - 4}" {_stroke(line)}/>')
        parts.append(_text(right + 40, y, line.name))
    return parts


def _line(line: Line, most: float, base: float) -> list[str]:
    """A stroke for each stretch without a gap; a single point is a short one."""
    step = (WIDTH - RIGHT - LEFT) / max(len(line.points), 1)
    strokes: list[list[str]] = [[]]
    for number, point in enumerate(line.points):
        if point is None:
            strokes.append([])
            continue
        level = min(max(point / most if most > 0 else 0.0, 0.0), 1.0)
        y = base - level * (PANEL_HEIGHT - 24)
        x = LEFT + number * step
        ends = (x, x + step) if not strokes[-1] else (x + step,)
        strokes[-1] += [f"{x:.1f},{y:.1f}" for x in ends]
    return [f'<polyline points="{" ".join(stroke)}" fill="none" {_stroke(line)}/>' for stroke in strokes if stroke]


def _stroke(line: Line) -> str:
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    return f'stroke="{COLOURS[line.colour % len(COLOURS)]}" stroke-width="1.6"{dash}'


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def clock_text(time_s: float, longest_s: float = 0.0) -> str:
    """A length of time in the largest unit that fits it, or that fits `longest_s` where times stand side by side."""
    for unit, unit_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if (longest_s or time_s) >= 2 * unit_s:
            return f"{time_s / unit_s:.3g} {unit}"
    return f"{time_s:.3g} s"
