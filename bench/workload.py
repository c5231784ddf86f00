"""The same work for every way in: the same prompts, the same number of tokens, greedy, one start."""

from dataclasses import dataclass
from statistics import median

OUTPUT_TOKENS = 64
STREAMS = (1, 4, 8)


def prompt(number: int, round_number: int) -> str:
    """About 128 tokens that no other stream or round shares, so no prefix is reused."""
    return f"Log {round_number}-{number}. " + "The keeper lit the lamp and wrote the hour in the book. " * 9


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: output tokens, wall seconds, and each stream's time to its first token."""

    tokens: int
    wall_s: float
    first_token_s: list[float]

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.wall_s

    def summary(self) -> dict[str, float]:
        """Rounded figures; the time to first token is the streams' median."""
        return {
            "tokens": self.tokens,
            "tokens_per_s": round(self.tokens_per_s, 1),
            "ttft_ms": round(1000 * median(self.first_token_s), 1),
        }
