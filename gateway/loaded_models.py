"""Which models are in memory, and until when: what the loader said, as `/api/ps` and operators see it.

The loader's moments are of the monotonic clock. A model without a worker of ours (an upstream's) is shown as before.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import structs

from engine.residency import Residence
from gateway.clock import Clock
from policies.call import ModelCard

SERVES = ("loaded", "draining")


def loaded_cards(cards: Iterable[ModelCard], residences: Sequence[Residence], clock: Clock) -> tuple[ModelCard, ...]:
    """Of `cards` those that are in memory, each with the Unix time at which it goes if nobody uses it; None: never."""
    found = []
    for card in cards:
        own = [each for each in residences if each.model == (card.parent or card.name)]
        serving = [each for each in own if each.state in SERVES]
        if serving:
            ends = [each.expires_s for each in serving]
            last_s = None if None in ends else max(end for end in ends if end is not None)
            found.append(structs.replace(card, expires_at=None if last_s is None else unix_s(last_s, clock)))
        elif not own:
            found.append(card)
    return tuple(found)


def unix_s(moment_s: float, clock: Clock) -> float:
    """A moment of the monotonic clock as Unix time."""
    return moment_s + (clock.unix_ns() - clock.mono_ns()) / 1e9


def told_residence(residence: Residence, clock: Clock) -> dict[str, Any]:
    """One worker for operators: its state and for how many seconds, in how many it goes, how long its load took."""
    now_s = clock.mono_ns() / 1e9
    expires_s = residence.expires_s
    return {
        "process": residence.name,
        "model": residence.model,
        "role": residence.role,
        "state": residence.state,
        "since_s": round(max(0.0, now_s - residence.since_s), 1) if residence.state != "held" else None,
        "needs_bytes": residence.needs_bytes,
        "load_s": round(residence.load_s, 3),
        "expires_in_s": None if expires_s is None else round(max(0.0, expires_s - now_s), 1),
        "reason": residence.reason,
    }
