"""How long answers are: decayed histograms of output tokens, by team, model and class of request.

The distribution is kept, not a point: what a slot that has written `g` tokens will do next is read from it as a
hazard. A class with few samples is judged by its model's histogram of that class, then by its model's of all.
"""

import math
from collections import OrderedDict

from policies.admitting.ticket import Ticket

BINS = 64
LONGEST_TOKENS = 65536
"""Each bin is 19 % wider than the one before: finer would be noise at 200 samples."""
DECAY = 1.005
"""Each sample weighs this much more than the one before: a memory of about 200."""
FIRST_GUESS_TOKENS = 256.0
ENOUGH = 20
"""Samples from which a histogram speaks for itself."""
MAX_HISTOGRAMS = 1024
LOOK_AHEAD_TOKENS = 32.0

_BIN_OF = BINS / math.log(LONGEST_TOKENS)
_RENORMALISE_AT = 1e12


class LengthHistogram:
    """Output lengths of one kind of request. `samples` counts all that were added."""

    def __init__(self) -> None:
        self.samples = 0
        self.mean_tokens = FIRST_GUESS_TOKENS
        self._mass = [0.0] * BINS
        self._weight = 1.0
        self._beyond: list[float] | None = None

    def add(self, tokens: int) -> None:
        """Count one answer of `tokens` output tokens."""
        self.samples += 1
        self._weight *= DECAY
        self._mass[min(BINS - 1, int(math.log(max(tokens, 1)) * _BIN_OF))] += self._weight
        self.mean_tokens += (tokens - self.mean_tokens) * max(1 / self.samples, DECAY - 1)
        self._beyond = None
        if self._weight > _RENORMALISE_AT:
            self._mass = [mass / self._weight for mass in self._mass]
            self._weight = 1.0

    def hazard(self, tokens: float) -> float:
        """The chance, for each further token, that an answer which has `tokens` by now ends: 1/token.

        The mass within the next few tokens over all mass beyond `tokens`; where there is none, 1/tokens, as of a Pareto
        tail.
        """
        ahead = min(LOOK_AHEAD_TOKENS, max(2.0, self.mean_tokens / 6))
        alive = self._mass_beyond(tokens)
        ending = alive - self._mass_beyond(tokens + ahead)
        if alive <= 0 or ending <= 0:
            return 1 / max(tokens, self.mean_tokens, 1.0)
        return ending / alive / ahead

    def _mass_beyond(self, tokens: float) -> float:
        """The mass of longer answers, that of the bin itself in proportion: whole bins would be steps in time."""
        beyond = self._beyond if self._beyond is not None else self._sum_up()
        place = math.log(max(tokens, 1.0)) * _BIN_OF
        index = min(int(place), BINS - 1)
        return beyond[index] - (beyond[index] - beyond[index + 1]) * min(place - index, 1.0)

    def _sum_up(self) -> list[float]:
        beyond, total = [0.0], 0.0
        for mass in reversed(self._mass):
            total += mass
            beyond.append(total)
        beyond.reverse()
        self._beyond = beyond
        return beyond


class OutputLengths:
    """All histograms; the least recently used of more than `MAX_HISTOGRAMS` is forgotten."""

    def __init__(self) -> None:
        self._histograms: OrderedDict[tuple[str, ...], LengthHistogram] = OrderedDict()

    def add(self, ticket: Ticket, tokens: int) -> None:
        """Count the answer to `ticket`."""
        for key in _keys(ticket):
            histogram = self._histograms.setdefault(key, LengthHistogram())
            self._histograms.move_to_end(key)
            histogram.add(tokens)
        while len(self._histograms) > MAX_HISTOGRAMS:
            self._histograms.popitem(last=False)

    def expected_tokens(self, ticket: Ticket) -> float:
        """The mean length of the answer to `ticket`, at most its cap; 0 for what writes none."""
        if ticket.kind == "embedding":
            return 0.0
        return min(self._of(ticket).mean_tokens, float(ticket.output_cap))

    def hazard(self, ticket: Ticket, tokens: int) -> float:
        """The chance for each further token that the answer to `ticket` ends, given that it has `tokens`: 1/token."""
        left = max(ticket.output_cap - tokens, 1)
        hazard = self._of(ticket).hazard(tokens)
        return max(hazard, 1 / left) if left <= LOOK_AHEAD_TOKENS else hazard

    def _of(self, ticket: Ticket) -> LengthHistogram:
        """The finest with enough samples, else the coarsest there is."""
        coarsest = _UNKNOWN
        for key in _keys(ticket):
            histogram = self._histograms.get(key)
            if histogram is not None:
                if histogram.samples >= ENOUGH:
                    return histogram
                coarsest = histogram
        return coarsest


_UNKNOWN = LengthHistogram()


def _keys(ticket: Ticket) -> tuple[tuple[str, ...], ...]:
    """From the finest to the coarsest. The cap's magnitude is part of the class: who asks for 16 tokens gets few."""
    request_class = f"{ticket.kind}/{ticket.traits}/{ticket.output_cap.bit_length()}"
    return (ticket.team, ticket.model, request_class), (ticket.model, request_class), (ticket.model,)
