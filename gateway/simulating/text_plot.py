"""Lines over time for a terminal: a row of blocks each, the higher the more; a dot where nothing was measured."""

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING = "·"

Points = Sequence[float | None]


def block_row(points: Points, most: float) -> str:
    """`points` from 0 to `most` (more counts as `most`), a sign each."""
    return "".join(NOTHING if point is None else _block(point, most) for point in points)


def _block(point: float, most: float) -> str:
    level = point / most if most > 0 else 0.0
    return BLOCKS[min(len(BLOCKS) - 1, max(0, int(level * len(BLOCKS))))]
