"""Callers of both models, and one that kills a worker while it loads."""

import json
import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.swapping.site import MODELS, Site
from tests.e2e.serving import end, until

OUTPUT_TOKENS = 8
MID_LOAD_S = 0.3
"""After it was seen: about half of the least that interpreter, walls and model take."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: which model was asked and which answered, the status, and its seconds from asking to the end."""

    asked: str
    answered: str
    status: int
    seconds: float

    @property
    def is_right(self) -> bool:
        """Served, by the model that was asked for."""
        return self.status == 200 and self.asked == self.answered


def ask(site: Site, model: str) -> Answered:
    """One short request."""
    began_s = time.monotonic()
    body = {
        "model": model,
        "prompt": f"Say something about the number {random.randrange(10**6)}.",  # no prefix is shared
        "stream": False,
        "options": {"num_predict": OUTPUT_TOKENS},
    }
    status, text = site.corral.request("POST", "/api/generate", body)
    answered = json.loads(text).get("model", "") if status == 200 else text.decode(errors="replace")
    return Answered(model, answered, status, time.monotonic() - began_s)


def in_turn(site: Site, count: int) -> list[Answered]:
    """One caller who changes the model with every request: each but the first waits for a load."""
    return [ask(site, MODELS[(number + 1) % 2]) for number in range(count)]


def together(site: Site, callers: int, goes_on: Callable[[int], bool]) -> list[Answered]:
    """So many callers at once, every second one of them of the second model; each while `goes_on(its requests)`."""

    def call(number: int) -> list[Answered]:
        found: list[Answered] = []
        while goes_on(len(found)):
            found.append(ask(site, MODELS[number % 2]))
        return found

    with ThreadPoolExecutor(callers) as pool:
        return _flat(pool.map(call, range(callers)))


def with_a_kill(site: Site, callers: int) -> tuple[list[Answered], int]:
    """Callers wait for the model that is not there, and its worker is killed while it loads: their answers, its pid."""
    absent = next(model for model in MODELS if model not in site.workers().values())
    with ThreadPoolExecutor(callers) as pool:
        asking = [pool.submit(ask, site, absent) for _ in range(callers)]
        if not until(lambda: absent in site.workers().values(), 60.0):
            raise AssertionError(f"nobody loaded {absent}: {site.corral.log()}")
        time.sleep(MID_LOAD_S)
        victim = next(pid for pid, model in site.workers().items() if model == absent)
        end(victim)
        return [each.result() for each in asking], victim


def _flat(found: Iterable[list[Answered]]) -> list[Answered]:
    return [each for part in found for each in part]
