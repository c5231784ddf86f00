"""Whether a process that has work still gets on with it. Pure: one look after another goes in.

Rules
 (1) A worker that serves gets on when it says that no slot is busy, or that its loop made a step since it said so last.
     It answers between two steps; one that does not answer has made none.
 (2) A process that loads gets on while it computes or reads: it cannot answer yet.
 (3) It is stuck after `bound_s` without that, and at least `STEPS` times the longest such time that ended well: a long
     prefill of a large model on a slow processor is one step.
 (4) Where it computes all the while it has `COMPUTING` times as long, and so has one that still loads: only a process
     that stands still, stopped or waiting for what never comes, is given up so early.
 (5) Each look counts at most `MOST_LOOK_S`: nobody is blamed when the machine, or whoever looks, stood still.
"""

from msgspec import Struct

STEPS = 4.0
COMPUTING = 10.0
MOST_LOOK_S = 10.0


class Totals(Struct, frozen=True):
    """What a worker says of itself: steps of its loop since its start, and whether a slot is busy."""

    steps: int
    is_busy: bool


class Look(Struct, frozen=True, kw_only=True):
    """One look. `elapsed_s` since the one before; `totals` where an answer came since then; `work` is any count that
    grows while the process computes or reads, None where it cannot be known.
    """

    elapsed_s: float
    totals: Totals | None = None
    work: int | None = None
    serves: bool = False


class Progress(Struct, frozen=True):
    """What the looks so far have shown. `silent_s` without progress by now, `longest_s` the longest that ended well."""

    silent_s: float = 0.0
    longest_s: float = 0.0
    computed: bool = True
    steps: int | None = None
    work: int | None = None


def after_look(known: Progress, look: Look) -> Progress:
    """What is known after one more look."""
    computes = look.work is None or look.work != known.work
    silent_s = known.silent_s + min(max(look.elapsed_s, 0.0), MOST_LOOK_S)
    steps = known.steps if look.totals is None else look.totals.steps
    if _got_on(known, look, computes=computes):
        longest_s = max(known.longest_s, silent_s) if look.serves else known.longest_s
        return Progress(0.0, longest_s, True, steps, look.work)
    return Progress(silent_s, known.longest_s, computes, steps, look.work)


def patience_s(known: Progress, *, bound_s: float, serves: bool) -> float:
    """How long it may be without progress (rules 3 and 4)."""
    longest_s = max(bound_s, STEPS * known.longest_s)
    return longest_s * COMPUTING if known.computed or not serves else longest_s


def is_stuck(known: Progress, *, bound_s: float, serves: bool) -> bool:
    """Whether it is to be given up."""
    return known.silent_s > patience_s(known, bound_s=bound_s, serves=serves)


def _got_on(known: Progress, look: Look, *, computes: bool) -> bool:
    if not look.serves:
        return computes
    return look.totals is not None and (not look.totals.is_busy or look.totals.steps != known.steps)
