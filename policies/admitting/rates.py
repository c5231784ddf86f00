"""What a slot-second buys: the measured speed of a pool, and of a target by how much of it is busy.

The unit of account is the slot-second: H = a * (uncached prompt tokens) + tau * (output tokens). `a` and `tau` are
what a request really experiences in a full pool, others' prefills between its steps included, so that the costs of
all that runs add up to slots * seconds by construction.

Rules
 (1) `a` and `tau` learn from requests that ran while the pool was full, since they price contention; until there were
     a few, from all.
 (2) The time to first token after dispatch learns from every request: learnt only when full, a pessimistic first
     guess would refuse for ever what an idle pool serves at once. It is a 60 % quantile, not a mean.
 (3) What is no finite, positive time is left out.
"""

import math

STEADY_GAIN = 0.02
MEMORY_REQUESTS = 50
"""Some minutes of a small pool: what a machine's clock or its neighbours do to the pace is followed within them."""
FIRST_GUESS_PART = 0.1
"""What all that was measured before the pool was ever full counts beside the first request of a full one."""
FIRST_DECODE_S = 0.05
FIRST_PREFILL_S = 0.002
FIRST_TOKEN_QUANTILE = 0.6
QUANTILE_GAIN = 0.05
HEFTIEST = 2.0
"""A prompt so much longer than usual counts so much more: long ones are where a promise is won or lost."""
FEWEST_OUTPUT_TOKENS = 4
FEWEST_PROMPT_TOKENS = 8


class Pace:
    """Seconds for each token: all seconds over all tokens of the last requests, the older ones faded.

    A ratio of sums is not biased by short answers, as a mean of ratios is, and needs no weights.
    """

    def __init__(self, first_guess_s: float) -> None:
        self.value_s = first_guess_s
        self._seconds = 0.0
        self._tokens = 0.0
        self._is_full = False

    def add(self, seconds: float, tokens: float, *, full: bool) -> None:
        """Take a request of the pool, full or not (rule 1)."""
        if not 0 < seconds < math.inf or (not full and self._is_full):
            return
        if full and not self._is_full:
            self._seconds, self._tokens = self._seconds * FIRST_GUESS_PART, self._tokens * FIRST_GUESS_PART
            self._is_full = True
        self._seconds += seconds - self._seconds / MEMORY_REQUESTS
        self._tokens += tokens - self._tokens / MEMORY_REQUESTS
        self.value_s = self._seconds / self._tokens


class PoolRates:
    """The speed of one pool: `prefill_s` (a) and `decode_s` (tau), seconds for each token."""

    def __init__(self) -> None:
        self._prefill = Pace(FIRST_PREFILL_S)
        self._decode = Pace(FIRST_DECODE_S)
        self._first_token_s = 0.0
        self._usual_prompt_tokens = 1.0

    @property
    def prefill_s(self) -> float:
        """Slot-seconds for one uncached prompt token."""
        return self._prefill.value_s

    @property
    def decode_s(self) -> float:
        """Slot-seconds for one output token."""
        return self._decode.value_s

    @property
    def first_token_s(self) -> float:
        """The 60 % quantile of the time from slot to first token, for each uncached prompt token; 0 while unknown."""
        return self._first_token_s

    def cost_s(self, uncached_tokens: float, output_tokens: float) -> float:
        """Slot-seconds of a request."""
        return self.prefill_s * uncached_tokens + self.decode_s * output_tokens

    def until_first_token_s(self, uncached_tokens: float) -> float:
        """From slot to first token. A step under way has to end first: one `tau`, once anything was measured."""
        return self._first_token_s * uncached_tokens + (self.decode_s if self._first_token_s else 0.0)

    def began(self, uncached_tokens: float, elapsed_s: float, *, full: bool) -> None:
        """A request had its first token `elapsed_s` after its slot."""
        if uncached_tokens < FEWEST_PROMPT_TOKENS or not 0 < elapsed_s < math.inf:
            return
        reading_s = max(elapsed_s - self.decode_s, elapsed_s / 10)
        sample = reading_s / uncached_tokens
        if self._first_token_s == 0:
            self._first_token_s, self._usual_prompt_tokens = sample, uncached_tokens
        else:
            towards = FIRST_TOKEN_QUANTILE if sample > self._first_token_s else FIRST_TOKEN_QUANTILE - 1
            heft = min(uncached_tokens / self._usual_prompt_tokens, HEFTIEST)
            self._first_token_s *= math.exp(QUANTILE_GAIN * heft * towards)
        self._usual_prompt_tokens += STEADY_GAIN * (uncached_tokens - self._usual_prompt_tokens)
        self._prefill.add(reading_s, uncached_tokens, full=full)

    def ended(self, output_tokens: int, elapsed_s: float, *, full: bool) -> None:
        """A request wrote `output_tokens` in the `elapsed_s` since its first."""
        if output_tokens >= FEWEST_OUTPUT_TOKENS:
            self._decode.add(elapsed_s, output_tokens - 1, full=full)


class DecodeTable:
    """Seconds of one pure decode step of a target, by the number of requests in it."""

    def __init__(self) -> None:
        self._steps: dict[int, float] = {}

    def stepped(self, decode_rows: int, step_s: float) -> None:
        """A step with these rows and no prompt in it."""
        known_s = self._steps.setdefault(decode_rows, step_s)
        self._steps[decode_rows] = known_s + STEADY_GAIN * (step_s - known_s)

    def rows(self) -> tuple[tuple[int, float], ...]:
        """Occupancy and seconds, made monotone: more requests at once are never faster."""
        table, most = [], 0.0
        for occupancy, step_s in sorted(self._steps.items()):
            most = max(most, step_s)
            table.append((occupancy, most))
        return tuple(table)
