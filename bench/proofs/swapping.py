"""Two models of which only one fits, asked at once: `make prove P=swapping`.

Demands: every request is served by the model it asked for, also while a loading worker is killed; never do two workers
live at the same time; and no wait is longer than what the rules of `engine.residency` say: the patience, the answers
that the other model finishes, and two loads.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.swapping.load import Answered, in_turn, together, with_a_kill
from bench.swapping.site import Site, two_models
from tests.e2e.serving import REPOSITORY

MODEL_FILE = REPOSITORY / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
SLACK_S = 3.0
"""Ticks of a quarter of a second, farewells, and what else this machine does meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is asked. `seconds` is how long the callers of both models go on, `kills` how often one loading dies."""

    patience_s: float
    in_turn: int
    callers: int
    seconds: float
    least: int
    kills: int


FULL = Size(patience_s=10.0, in_turn=20, callers=6, seconds=120.0, least=1, kills=5)
SMALL = Size(patience_s=1.0, in_turn=4, callers=4, seconds=0.0, least=3, kills=1)


def prove(size: Size = FULL, model_file: Path = MODEL_FILE) -> dict[str, Any]:
    """Run it. Raises AssertionError when a demand is not met."""
    with (
        tempfile.TemporaryDirectory(prefix="corral-") as folder,
        two_models(model_file.resolve(), Path(folder), patience_s=size.patience_s) as site,
    ):
        _check_needs(site)
        alternating = in_turn(site, size.in_turn)
        over_s = time.monotonic() + size.seconds
        _check_budget(site)
        crowd = together(site, size.callers, lambda asked: asked < size.least or time.monotonic() < over_s)
        killed: list[Answered] = []
        for _ in range(size.kills):
            answers, victim = with_a_kill(site, size.callers)
            killed += answers
            _demand(victim not in site.workers(), f"process {victim} lives though it was killed")
            _check_budget(site)
        residences = site.residences()
        lives = site.lives
    for name, answers in {"in turn": alternating, "together": crowd, "with kills": killed}.items():
        wrong = [each for each in answers if not each.is_right]
        _demand(not wrong, f"{name}: {len(wrong)} of {len(answers)} were not served: {wrong[:3]}")
    _demand(lives.most_at_once == 1, f"{lives.most_at_once} workers lived at the same time")
    load_s = max(each["load_s"] for each in residences)
    return _figures(size, alternating, crowd, killed) | {
        "loads": len(lives.models),
        "most_workers_at_once": lives.most_at_once,
        "looks": lives.looks,
        "last_load_s": round(load_s, 2),
        "longest_wait_allowed_s": round(_bound_s(size, alternating), 2),
    } | _bounded(size, alternating, crowd)  # fmt: skip


def _check_needs(site: Site) -> None:
    """One fits and two do not, or nothing is shown here."""
    plan = site.plan()
    needs = [each.needs_bytes for each in plan.processes if each.role == "chat"]
    _demand(len(needs) == 2 and max(needs) <= plan.memory_budget_bytes < sum(needs), f"{needs} of the budget")


def _check_budget(site: Site) -> None:
    """By the loader's own books too."""
    counted = [each["needs_bytes"] for each in site.residences() if each["state"] not in ("unloaded", "held")]
    _demand(sum(counted) <= site.plan().memory_budget_bytes, f"{counted} are counted at the same time")


def _bound_s(size: Size, alternating: list[Answered]) -> float:
    """The patience, the running answers of the other, two loads: one who alternates waits for a load and its stay."""
    return size.patience_s + 2 * max(each.seconds for each in alternating) + SLACK_S


def _bounded(size: Size, alternating: list[Answered], crowd: list[Answered]) -> dict[str, Any]:
    longest_s = max(each.seconds for each in crowd)
    if size is FULL:
        _demand(longest_s <= _bound_s(size, alternating), f"somebody waited {longest_s:.1f} s")
    return {"longest_s": round(longest_s, 2)}


def _figures(size: Size, alternating: list[Answered], crowd: list[Answered], killed: list[Answered]) -> dict[str, Any]:
    return {
        "patience_s": size.patience_s,
        "in_turn": {
            "asked": len(alternating),
            "median_s": round(median(each.seconds for each in alternating), 2),
            "longest_s": round(max(each.seconds for each in alternating), 2),
        },
        "together": {
            "asked": len(crowd),
            "callers": size.callers,
            "median_s": round(median(each.seconds for each in crowd), 2),
        },
        "with_kills": {
            "asked": len(killed),
            "kills": size.kills,
            "longest_s": round(max((each.seconds for each in killed), default=0.0), 2),
        },
    }


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)
