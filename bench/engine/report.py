"""One run as a tree of figures: what docs/proofs/engine.json holds and docs/engine-bench.md tells. Pure."""

from typing import Any

from bench.engine import bounds, figures
from bench.engine.board import Found
from bench.engine.way import BATCH_TOKENS, Setting
from bench.pool_admission.faster_model import MODEL_NAME
from bench.pool_admission.statistics import rounded


def report(found: Found, setting: Setting, memory: list[dict[str, Any]], *, small: bool) -> dict[str, Any]:
    """Everything but what the machine says of itself."""
    return dict(
        rounded(
            {
                "small": small,
                "model": MODEL_NAME,
                "slots": setting.slots,
                "context_tokens": setting.context_tokens,
                "batch_tokens": BATCH_TOKENS,
                "rounds": len(found.rounds_s),
                "rounds_s": found.rounds_s,
                "rows": rows(found),
                "bounds": bounds.all_bounds(found.samples, memory),
                "memory": memory,
                "missing": found.missing,
                "not_offered": [
                    {"way": way, "load": load, "why": why} for (way, load), why in found.not_offered.items()
                ],
            }
        )
    )


def rows(found: Found) -> list[dict[str, Any]]:
    """One for each load and way that ran, in the order of loads, streams and ways."""
    cells = sorted({(each.load, each.streams, each.way) for each in found.samples})
    return [_row(found, *cell) for cell in cells]


def _row(found: Found, load: str, streams: int, way: str) -> dict[str, Any]:
    samples = figures.of_cell(found.samples, load, streams, way)
    made = figures.row(samples)
    beside = {"of_server": bounds.SERVER, "of_raw": bounds.RAW}
    for name, other in beside.items():
        theirs = figures.of_cell(found.samples, load, streams, other)
        made[name] = figures.ratio(samples, theirs).told() if theirs and other != way else None
    server = figures.of_cell(found.samples, load, streams, bounds.SERVER)
    made["cpu_of_server"] = figures.ratio(server, samples, figures.cpu_rate).told() if way != bounds.SERVER else None
    made["same_work"] = figures.same_work(made)
    return made
