"""Random requests of every kind a worker takes: short and long prompts, shared beginnings, grammars, logprobs."""

import random

import numpy as np

from engine.frames import Start
from policies.call import Sampling

FIRST_ID = 10  # below are control tokens of the models used here
SHARED_TOKENS = 96
LONG_TOKENS = (160, 280)
LONG_OUTPUT_TOKENS = 250  # some of these must fill the memory, so that others are parked
GRAMMAR = "root ::= [a-z ]+"  # never at an end, so every request ends by its cap or a cancel
SAMPLINGS = (
    Sampling(temperature=0.0, seed=1),
    Sampling(temperature=0.8, seed=7, top_k=40, top_p=0.9),
    Sampling(temperature=0.0, seed=1, presence_penalty=1.0, repeat_penalty=1.1, repeat_last_n=64),
)


class RandomRequests:
    """Draws requests; the same seed draws the same ones. Prompts keep to the ids FIRST_ID up to `ids`."""

    def __init__(self, seed: int, ids: int) -> None:
        self._draw = random.Random(seed)
        self._ids = ids
        self._shared = {scope: self._tokens(SHARED_TOKENS) for scope in "abc"}

    def start(self, id_: int) -> Start:
        """The next request, under this id."""
        scope = self._draw.choice("abc")
        ids = np.asarray(self._prompt(scope), "<i4").tobytes()
        return Start(
            id=id_,
            token_ids=(ids,),
            sampling=self._draw.choice(SAMPLINGS),
            max_output_tokens=self._draw.choice((1, 8, 24, LONG_OUTPUT_TOKENS)),
            cache_scope=scope,
            top_logprobs=self._draw.choice((None, None, None, 0, 3)),
            grammar=self._draw.choice(("", "", "", GRAMMAR)),
        )

    def _prompt(self, scope: str) -> list[int]:
        kind = self._draw.random()
        if kind < 0.5:
            return self._tokens(self._draw.randint(1, 24))
        if kind < 0.85:
            return self._shared[scope] + self._tokens(self._draw.randint(1, 8))
        return self._tokens(self._draw.randint(*LONG_TOKENS))

    def _tokens(self, count: int) -> list[int]:
        return [self._draw.randrange(FIRST_ID, self._ids) for _ in range(count)]
