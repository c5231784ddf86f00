"""A cell: all blocks of one load and one queue, as figures with their intervals.

`in_time` counts every request of a team that was sent, refused ones too: a refusal keeps no promise. `wasted` is the
slot time of answers that came too late or that nobody waited for, over all slot time. `coverage` is the share of waits
within the quantile that admission judges by; who was turned away after waiting counts as outside. `bias` is seconds
predicted over seconds waited, less one; who was turned away after waiting counts with what it had waited, as the queue
learns it: the waits of those alone who got a slot are the shorter ones (`bias_of_served`).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from bench.pool_admission.blocks import Block
from bench.pool_admission.site import SLOTS
from bench.pool_admission.statistics import Figure, mean, quantile, ratio_of_sums, share_of, shifted
from bench.pool_admission.stories import Story
from policies.admitting.tuning import Tuning

LEAST_LIGHT = 200
LEAST_WAITS = 200


def judged_quantile() -> float:
    """The quantile of the wait that admission judges by in a pool of this size."""
    tuning = Tuning()
    return tuning.small_quantile if tuning.small_slots >= SLOTS else tuning.quantile


def in_time(blocks: Iterable[Block], team: str, promises_s: dict[str, float]) -> Figure:
    """The share of a team's requests whose first token came within its promise."""
    answers = [each for block in blocks for each in block.counted(promises_s) if each.team == team]
    return share_of([(each.first_token_s or 1e9) <= promises_s[team] for each in answers])


def wasted(blocks: Iterable[Block]) -> Figure:
    """Slot time spent on answers that missed their promise or were abandoned, over all slot time."""
    pairs = []
    for block in blocks:
        for story in block.stories:
            slot_s, kept = story.slot_s(block.from_s, block.until_s), story.in_time(block.until_s)
            left = story.left_s is not None and story.left_s < block.until_s
            if slot_s and kept is not None:
                pairs.append((slot_s if not kept or left else 0.0, slot_s))
    return ratio_of_sums(pairs)


def refused(blocks: Iterable[Block]) -> list[Story]:
    """All that were refused in the counted time."""
    return [
        each
        for block in blocks
        for each in block.stories
        if each.refused_s is not None and block.from_s <= each.refused_s <= block.until_s
    ]


def waits(blocks: Iterable[Block]) -> list[Story]:
    """All that came in the counted time, had to wait, and learnt how it ended."""
    return [
        each
        for block in blocks
        for each in block.stories
        if each.waited and each.arrived_s >= block.from_s and _decided_s(each) <= block.until_s
    ]


def coverage(waited: Iterable[Story]) -> Figure:
    """The share of waits within the quantile."""
    return share_of([each.actual_wait_s is not None and each.actual_wait_s <= each.likely_s for each in waited])


def bias(waited: Iterable[Story]) -> Figure:
    """Predicted over actual, less one."""
    return shifted(ratio_of_sums([(each.wait_s, each.in_line_s) for each in waited if each.in_line_s]), -1.0)


def cell(blocks: list[Block], promises_s: dict[str, float]) -> dict[str, Any]:
    """Everything of one cell, for the report."""
    waited, turned_away = waits(blocks), refused(blocks)
    teams = sorted({each.team for block in blocks for each in block.answers})
    seconds = sum(block.seconds for block in blocks)
    slot_s = sum(story.slot_s(block.from_s, block.until_s) for block in blocks for story in block.stories)
    return {
        "queue": blocks[0].plan.queue,
        "load": blocks[0].plan.load,
        "blocks": len(blocks),
        "seconds": seconds,
        "in_time": {team: in_time(blocks, team, promises_s).told() for team in teams},
        "wasted": wasted(blocks).told(),
        "refusals": {
            "late": share_of([each.refused_late for each in turned_away]).told(),
            "share_of_asked": {team: _refused_share(blocks, team) for team in teams},
            "reasons": dict(Counter(f"{each.team} {each.reason}" for each in turned_away)),
        },
        "waits": {
            "all": _predictions(waited),
            **{team: _predictions([each for each in waited if each.team == team]) for team in teams},
        },
        "utilisation": slot_s / seconds / SLOTS,
        "served_over_capacity": mean([_served_load(block) for block in blocks]),
        "capacity_per_s": {team: mean([block.capacity.per_s[team] for block in blocks]) for team in teams},
        "first_token_after_slot_s": {team: _after_slot(blocks, team) for team in teams},
        "decisions_us": decisions(blocks),
        "cpu_share": {part: mean([block.cpu_share[part] for block in blocks]) for part in blocks[0].cpu_share},
        "steal_percent": mean([block.steal_percent for block in blocks]),
    }


def decisions(blocks: Iterable[Block]) -> dict[str, Any]:
    """Microseconds of a decision: of all events, and of arrivals."""
    lines = [line for block in blocks for line in block.tape if "micros" in line]
    every, arrivals = [each["micros"] for each in lines], [e["micros"] for e in lines if e["kind"] == "arrived"]
    return {
        "n": len(every),
        "p50": quantile(every, 0.5),
        "p99": quantile(every, 0.99),
        "arrival_p50": quantile(arrivals, 0.5),
        "arrival_p99": quantile(arrivals, 0.99),
    }


def _predictions(waited: list[Story]) -> dict[str, Any]:
    served = [each for each in waited if each.actual_wait_s]
    return {
        "n": len(waited),
        "late": sum(each.refused_late for each in waited),
        "coverage": coverage(waited).told(),
        "p90_coverage": share_of([(each.actual_wait_s or 1e9) <= each.p90_s for each in waited]).told(),
        "bias": bias(waited).told(),
        "bias_of_served": bias(served).told(),
        "mean_predicted_s": mean([each.wait_s for each in served]),
        "mean_actual_s": mean([each.actual_wait_s or 0.0 for each in served]),
        "median_error": quantile([abs(e.wait_s / (e.actual_wait_s or 1) - 1) for e in served], 0.5),
    }


def _decided_s(story: Story) -> float:
    """When its wait ended, in a slot or a refusal; never for one that went away."""
    return min(each for each in (story.dispatched_s, story.refused_s, float("inf")) if each is not None)


def _refused_share(blocks: list[Block], team: str) -> float:
    asked = sum(each.team == team for block in blocks for each in block.stories)
    return sum(s.team == team and s.refused_s is not None for b in blocks for s in b.stories) / max(asked, 1)


def _served_load(block: Block) -> float:
    """What was served in the counted time, in units of the capacity measured before."""
    ended = [s for s in block.stories if s.ended_s is not None and block.from_s <= s.ended_s <= block.until_s]
    return sum(1 / block.capacity.per_s[each.team] for each in ended) / block.seconds


def _after_slot(blocks: list[Block], team: str) -> dict[str, float]:
    """Seconds from slot to first token, and what was expected of it for those that had to wait."""
    began = [s for b in blocks for s in b.stories if s.team == team and s.began_s and s.dispatched_s]
    seconds = [(each.began_s or 0.0) - (each.dispatched_s or 0.0) for each in began]
    expected = [each.prefill_s for each in began if each.waited]
    return {"p50": quantile(seconds, 0.5), "p95": quantile(seconds, 0.95), "expected_mean": mean(expected)}
