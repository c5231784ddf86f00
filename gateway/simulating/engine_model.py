"""How fast a simulated pool works: seconds of a decode step by occupancy, and prompt tokens a second.

Within a worker all requests share one batch: a step gives each decoding request one token, and carries besides one
chunk of a prompt, which stalls everyone's decoding for as long as it takes (llama.cpp's shared batch). So with D
requests decoding and at least one prompt being read, a step takes decode_s[D] + chunk_tokens / prefill_tokens_per_s.
"""

from itertools import accumulate

from msgspec import Struct
from msgspec.structs import replace

from policies.admitting.queue_view import PoolView, TargetView

LLAMA_7B_F16_DECODE_S = (0.0, 0.0241, 0.0393, 0.0470, 0.0537, 0.0548, 0.0558, 0.0566, 0.0574)
"""llama.cpp tools/batched-bench/README.md, LLaMA-7B F16, PP 128 TG 128: measured at 1, 2, 4 and 8 sequences, the rest
interpolated. Index: requests decoding at once. It is concave, which no straight line in the occupancy is."""
LLAMA_7B_F16_PREFILL_PER_S = 1300.0
"""Prompt tokens a second, from the same table."""
LEAST_CHUNK_SHARE = 0.25
"""Where the measured time of a chunk leaves nothing for the prompt after the decode step in it, the prompt still
takes this share: the two rates were measured at different moments."""


class EngineModel(Struct, frozen=True, kw_only=True):
    """A pool of equal workers. `decode_s[n]` is the seconds of one step with n requests decoding."""

    workers: int = 4
    slots: int = 4
    decode_s: tuple[float, ...] = LLAMA_7B_F16_DECODE_S
    prefill_tokens_per_s: float = LLAMA_7B_F16_PREFILL_PER_S
    chunk_tokens: float = 512.0

    def step_s(self, decoding: int) -> float:
        """Seconds of a step; beyond the table its last two entries go on as a line."""
        if decoding < len(self.decode_s):
            return self.decode_s[decoding]
        last = self.decode_s[-1]
        slope = max(last - self.decode_s[-2], 0.0) if len(self.decode_s) > 2 else last
        return last + slope * (decoding - len(self.decode_s) + 1)

    def work_s(self, prompt_tokens: float, output_tokens: float) -> float:
        """Worker-seconds that so many uncached tokens take in a full worker: the unit of useful and wasted work."""
        return prompt_tokens / self.prefill_tokens_per_s + output_tokens * self.step_s(self.slots) / self.slots

    def slowed(self, factor: float) -> "EngineModel":
        """The same pool, everything taking `factor` times as long."""
        return replace(
            self,
            decode_s=tuple(step_s * factor for step_s in self.decode_s),
            prefill_tokens_per_s=self.prefill_tokens_per_s / factor,
        )


def measured_model(pool: PoolView, targets: tuple[TargetView, ...], *, chunk_tokens: float = 512.0) -> EngineModel:
    """The pool as its queue has measured it: its ready targets, taken as equal, and their rates.

    Raises ValueError when none of them is ready: there is nothing to model then. What was never measured at some
    occupancy is interpolated; nothing measured at all gives the pool's one mean for every occupancy.
    """
    ready = [target for target in targets if target.ready and target.slots > 0]
    if not ready:
        raise ValueError("no target is ready, so nothing was measured")
    slots = max(round(sum(target.slots for target in ready) / len(ready)), 1)
    decode_s = _decode_table(ready, slots, pool.decode_s_per_token)
    chunk_s = chunk_tokens * pool.prefill_s_per_token
    own_s = max(chunk_s - decode_s[slots - 1], chunk_s * LEAST_CHUNK_SHARE)
    rate = chunk_tokens / own_s if own_s > 0 else LLAMA_7B_F16_PREFILL_PER_S
    return EngineModel(
        workers=len(ready), slots=slots, decode_s=decode_s, prefill_tokens_per_s=rate, chunk_tokens=chunk_tokens
    )


def _decode_table(targets: list[TargetView], slots: int, mean_s: float) -> tuple[float, ...]:
    """Steps of occupancies 0 to `slots`, never falling: the mean over the targets that measured each."""
    seen: dict[int, list[float]] = {}
    for target in targets:
        for decoding, step_s in target.decode_s:
            if step_s > 0 and decoding > 0:
                seen.setdefault(decoding, []).append(step_s)
    known = sorted((decoding, sum(steps) / len(steps)) for decoding, steps in seen.items()) or [
        (slots, mean_s or LLAMA_7B_F16_DECODE_S[-1])
    ]
    return tuple(accumulate((0.0, *(step_between(known, n) for n in range(1, slots + 1))), max))


def step_between(known: list[tuple[int, float]], decoding: int) -> float:
    """Seconds of a step of `decoding` at once: between its neighbours in `known` (in order), else the nearest's."""
    below = max((point for point in known if point[0] <= decoding), default=known[0])
    above = min((point for point in known if point[0] >= decoding), default=known[-1])
    if above[0] <= below[0]:
        return below[1]
    return below[1] + (above[1] - below[1]) * (decoding - below[0]) / (above[0] - below[0])
