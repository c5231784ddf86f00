"""One simulated worker of continuous batching, as a fluid: between two events every request advances at a steady rate.

Exact for what it models, since rates change only when a request comes, goes, or ends its prompt. With one slot and no
prompts it is one server of an M/G/c queue, to the last bits of a float.
"""

from math import inf

from gateway.simulating.engine_model import EngineModel

DONE_TOKENS = 1e-6
"""Less than this much of a token left is rounding, not work."""


class Job:
    """One request in a slot: what is left of its prompt and of its answer, in tokens."""

    __slots__ = ("began", "id", "output_left", "output_tokens", "prompt_left", "prompt_tokens")

    def __init__(self, request_id: int, prompt_tokens: float, output_tokens: float) -> None:
        self.id = request_id
        self.prompt_tokens = self.prompt_left = float(prompt_tokens)
        self.output_tokens = self.output_left = float(output_tokens)
        self.began = False


class FluidWorker:
    """`jobs` in the order they came: the first whose prompt is unread gets the whole chunk of each step."""

    __slots__ = ("_decode_rate", "_last_s", "_model", "_prefill_rate", "jobs")

    def __init__(self, model: EngineModel) -> None:
        self.jobs: list[Job] = []
        self._model = model
        self._last_s = self._prefill_rate = self._decode_rate = 0.0

    def add(self, job: Job, now_s: float) -> None:
        """Give it a slot; who has none left to give must not ask."""
        self._advance(now_s)
        self.jobs.append(job)
        self._set_rates()

    def remove(self, job: Job, now_s: float) -> None:
        """Take it out before it is done."""
        self._advance(now_s)
        self.jobs.remove(job)
        self._set_rates()

    def change(self, model: EngineModel, now_s: float) -> None:
        """From now on it works at other rates."""
        self._advance(now_s)
        self._model = model
        self._set_rates()

    def step(self, now_s: float) -> tuple[list[Job], list[Job]]:
        """Bring it to `now_s`: who began to answer by then, and who is done and gone."""
        self._advance(now_s)
        began = [job for job in self.jobs if not job.began and job.prompt_left <= 0.0]
        for job in began:
            job.began = True
        done = [job for job in self.jobs if job.began and job.output_left <= DONE_TOKENS]
        for job in done:
            job.output_left = 0.0
            self.jobs.remove(job)
        self._set_rates()
        return began, done

    def next_s(self) -> float:
        """When the next prompt or answer here ends; infinite without work."""
        soonest = inf
        for job in self.jobs:
            if job.prompt_left > 0.0:
                soonest = job.prompt_left / self._prefill_rate
                break
        left = min((job.output_left for job in self.jobs if job.prompt_left <= 0.0), default=inf)
        if left < inf:
            soonest = min(soonest, max(left, 0.0) / self._decode_rate)
        return self._last_s + soonest

    def answers(self, now_s: float) -> list[tuple[int, int]]:
        """Whole output tokens of every answer by `now_s`. Changes nothing."""
        grown = (now_s - self._last_s) * self._decode_rate
        return [
            (job.id, int(job.output_tokens - max(job.output_left - grown, 0.0)))
            for job in self.jobs
            if job.prompt_left <= 0.0
        ]

    def _advance(self, now_s: float) -> None:
        passed_s = now_s - self._last_s
        self._last_s = now_s
        if passed_s <= 0.0:
            return
        chunk = self._prefill_rate * passed_s
        grown = self._decode_rate * passed_s
        for job in self.jobs:
            if job.prompt_left <= 0.0:
                job.output_left -= grown
            elif chunk > 0.0:
                read = min(chunk, job.prompt_left)
                chunk -= read
                job.prompt_left = job.prompt_left - read if job.prompt_left - read > DONE_TOKENS else 0.0

    def _set_rates(self) -> None:
        decoding = sum(job.prompt_left <= 0.0 for job in self.jobs)
        model = self._model
        if decoding < len(self.jobs):
            step_s = model.step_s(decoding) + model.chunk_tokens / model.prefill_tokens_per_s
            self._prefill_rate, self._decode_rate = model.chunk_tokens / step_s, 1.0 / step_s
        else:
            self._prefill_rate, self._decode_rate = 0.0, (1.0 / model.step_s(decoding) if decoding else 0.0)
