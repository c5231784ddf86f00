"""Who asks what, and when: the same for the same seed, and no prompt begins as another does.

Prompts are words drawn at random after a first sentence with a number of its own, so that no prefix is ever
reused. How long an answer gets is the model's own doing: it stops at the first full stop it writes, so nobody
knows the length before. Arrivals are an open loop: Poisson for the light teams, a gamma renewal process with a
coefficient of variation of 3 for the flood.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.e2e.serving import MODEL

_VOCABULARY = (
    "harbour bridge glacier orchard violin clock pottery railway lighthouse volcano spreadsheet falcon sourdough tide "
    "map pigment loom turbine the a of in with slow old bright quiet north near under keeper wrote lamp hour book rain"
)
WORDS = tuple(_VOCABULARY.split())
ENDING = " The old keeper said that"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one team asks: so many words of prompt (log-uniform between the two), answers to the first full stop.

    `cv` is the coefficient of variation of the times between its arrivals.
    """

    team: str
    words: tuple[int, int]
    stop: tuple[str, ...]
    output_cap: int
    cv: float = 1.0

    def asked(self, random_source: random.Random, number: int) -> "Asked":
        """Request `number` of this team."""
        low, high = self.words
        count = round(low * (high / low) ** random_source.random())
        return self._asked(random_source, number, count)

    def spread(self, random_source: random.Random, count: int) -> list["Asked"]:
        """`count` requests whose prompts' lengths are spread evenly over all that occur: for measuring capacity."""
        low, high = self.words
        lengths = [round(low * (high / low) ** ((place + 0.5) / count)) for place in range(count)]
        random_source.shuffle(lengths)
        return [self._asked(random_source, number, length) for number, length in enumerate(lengths)]

    def _asked(self, random_source: random.Random, number: int, words: int) -> "Asked":
        unique = random_source.randrange(10**9)
        prompt = f"Note {unique} of {self.team}. " + " ".join(random_source.choices(WORDS, k=words)) + "." + ENDING
        body: dict[str, Any] = {
            "model": MODEL,
            "prompt": prompt,
            "max_tokens": self.output_cap,
            "stop": list(self.stop),
            "temperature": 1.0,
            "seed": unique,
        }
        return Asked(team=self.team, number=number, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, `at_s` seconds after the block began."""

    team: str
    number: int
    body: dict[str, Any]
    at_s: float = 0.0


LIGHT = Shape(team="light", words=(8, 32), stop=(".", ","), output_cap=32)
FLOOD = Shape(team="flood", words=(32, 128), stop=(".", ","), output_cap=64, cv=3.0)
PROMPT = Shape(team="prompt", words=(4, 64), stop=(".", ","), output_cap=16)
"""The team with a promise of half a second: prompts of at most 128 tokens, answers of at most 16."""
SHAPES = {shape.team: shape for shape in (LIGHT, FLOOD, PROMPT)}


def arrivals(shape: Shape, rate_per_s: float, seconds: float, seed: int) -> list[Asked]:
    """All that `shape`'s team asks in `seconds` at a mean of `rate_per_s`.

    Times and texts come from two generators, so that another rate moves the requests and changes none of them.
    """
    times, texts = random.Random(f"times {shape.team} {seed}"), random.Random(f"texts {shape.team} {seed}")
    moments = enumerate(_moments(times, rate_per_s, shape.cv, seconds))
    return [replace(shape.asked(texts, number), at_s=at_s) for number, at_s in moments]


def schedule(rates_per_s: dict[str, float], seconds: float, seed: int) -> list[Asked]:
    """The arrivals of all teams in order of time."""
    each = (arrivals(SHAPES[team], rate, seconds, seed) for team, rate in rates_per_s.items())
    return sorted((asked for team in each for asked in team), key=lambda asked: asked.at_s)


def _moments(times: random.Random, rate_per_s: float, cv: float, seconds: float) -> Iterator[float]:
    """A gamma renewal process: shape 1/cv², so cv 1 is Poisson."""
    if not rate_per_s:
        return
    shape = 1 / cv**2
    at_s = times.gammavariate(shape, 1 / (rate_per_s * shape))
    while at_s < seconds:
        yield at_s
        at_s += times.gammavariate(shape, 1 / (rate_per_s * shape))
