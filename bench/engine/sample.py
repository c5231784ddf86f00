"""One way running one load once: what came, when, and what the loop says of itself where it can be asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.engine.workload import Load
from bench.pool_admission.statistics import quantile


@dataclass(slots=True)
class Stream:
    """One answer as its reader saw it: seconds since the load began at which tokens came, and how many came then."""

    stamps_s: list[float] = field(default_factory=list)
    tokens: int = 0

    @property
    def gaps_s(self) -> list[float]:
        """Times between two pieces of text."""
        return [later - earlier for earlier, later in pairwise(self.stamps_s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What a loop says of its own steps: seconds in llama_decode and in sampling, and in all; how many.

    `full_s` and `full_tokens` count only steps in which every stream of the load got one token and nothing else ran.
    """

    decode_s: float
    sampling_s: float = 0.0
    total_s: float = 0.0
    steps: int = 0
    full_s: float = 0.0
    full_tokens: int = 0
    prefill_rows: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run. `wall_s` is from the first request sent to the last answer's end, `cpu_s` what its processes took."""

    way: str
    load: str
    streams: int
    round: int
    expected_tokens: int
    wall_s: float
    answers: Sequence[Stream] = ()
    tokens: int = 0
    steps: Steps | None = None
    cpu_s: float | None = None

    @property
    def tokens_per_s(self) -> float:
        """Output tokens a second, prefill included."""
        return self.tokens / self.wall_s

    @property
    def first_token_s(self) -> float | None:
        """The median stream's first token."""
        firsts = [each.stamps_s[0] for each in self.answers if each.stamps_s]
        return quantile(firsts, 0.5) if firsts else None

    def gap_s(self, part: float) -> float | None:
        """A quantile of all gaps between two tokens."""
        gaps = [gap for each in self.answers for gap in each.gaps_s]
        return quantile(gaps, part) if gaps else None


def sample_of(way: str, load: Load, number: int, wall_s: float, answers: Sequence[Stream]) -> Sample:
    """The sample of one load's answers in round `number`."""
    return Sample(
        way=way,
        load=load.name,
        streams=load.streams,
        round=number,
        expected_tokens=load.expected_tokens,
        wall_s=wall_s,
        answers=answers,
        tokens=sum(each.tokens for each in answers),
    )
