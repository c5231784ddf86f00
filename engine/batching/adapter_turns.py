"""Whose slots run the next step: all rows of one `llama_decode` are computed under one adapter.

Decides only that; `adapter_groups` sets it in the context. "" is the bare model, which takes turns like any adapter.
To change makes llama.cpp plan its graph anew inside the next decode: measured, 7 ms beside steps of 11 ms. So:

 (1) a turn is several steps: `MIN_TURN_STEPS`, and on until it has taken `WORTH` times what a change costs, so that
     changes take at most 1 / (1 + WORTH) of the time
 (2) and it is bounded, whatever a change costs: nobody waits longer than `MAX_TURN_STEPS` steps of an adapter, nor
     for a step that begins when its turn has taken `MAX_TURN_NS`
 (3) it ends at once when its adapter has nothing to compute, and never while nobody else has
 (4) next comes the adapter whose last turn lies furthest back, one that had none before all others; among those the
     one whose request is the oldest. So with N adapters at work each waits for N - 1 turns at most

What a change costs is measured here: by how much the first step of a turn was longer than the second, where both
computed as many rows. Slots of an adapter advance together, so turns of equal length treat all slots alike.
"""

from collections.abc import Sequence

WORTH = 10
MIN_TURN_STEPS = 4  # two would do to measure a change; where a change costs next to nothing, turns still are no flicker
MAX_TURN_STEPS = 32
MAX_TURN_NS = 250_000_000  # a pause that a reader of the text hardly sees
FIRST_COST_NS = 7_000_000  # measured on two cores with a model of 135 million weights; taken until it is measured here
MAX_COST_NS = 50_000_000  # more is a stall of the machine
_MEMORY = 8  # measurements that count: each new one has an eighth of the weight


class AdapterTurns:
    """See the head of the module. `current` is the adapter whose turn it is."""

    def __init__(self) -> None:
        self.current = ""
        self.cost_ns = FIRST_COST_NS
        self._steps = 0
        self._taken_ns = 0
        self._first: tuple[int, int] | None = None  # nanoseconds and rows of the first step after a change
        self._last_turn: dict[str, int] = {}
        self._turns = 0

    def choose(self, working: Sequence[str]) -> str:
        """The adapter of the next step. `working` are those with rows to compute, of the oldest request first."""
        if working and (self.current not in working or (self._is_over() and len(set(working)) > 1)):
            self._begin(min(working, key=self._waited_since))
        return self.current

    def stepped(self, step_ns: int, rows: int) -> None:
        """A step of the current adapter was computed."""
        self._steps += 1
        self._taken_ns += step_ns
        if self._turns and self._steps == 1:
            self._first = (step_ns, rows)
        elif self._first is not None:
            first_ns, first_rows = self._first
            self._first = None
            if rows == first_rows:
                self._learn(first_ns - step_ns)

    def _is_over(self) -> bool:
        if self._steps >= MAX_TURN_STEPS or self._taken_ns >= MAX_TURN_NS:
            return True
        return self._steps >= MIN_TURN_STEPS and self._taken_ns >= WORTH * self.cost_ns

    def _waited_since(self, adapter: str) -> int:
        """Serial of its last turn; the current one comes last, it has just had its own."""
        return self._turns + 1 if adapter == self.current else self._last_turn.get(adapter, 0)

    def _begin(self, adapter: str) -> None:
        self._turns += 1
        self._last_turn[self.current] = self._turns
        self.current = adapter
        self._steps = self._taken_ns = 0
        self._first = None

    def _learn(self, cost_ns: int) -> None:
        sample = min(max(cost_ns, 0), MAX_COST_NS)
        self.cost_ns += (sample - self.cost_ns) // _MEMORY
