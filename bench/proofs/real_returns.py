"""Who was told when to come back: `make prove P=real_returns`, on the pool of `real_queue`, with the official client.

A flooding team sends through the `openai` client, whose own retries wait as long as they were told to. Counted is the
first try at the moment that was told. Rounds at loads 1.2 and 2.0 until there are enough of them, a few at most.
"""

import asyncio
import tempfile
from pathlib import Path

from bench.machine import machine
from bench.pool_admission import document
from bench.pool_admission.retries import Tries, first_tries, told
from bench.pool_admission.retries import run as run_retries
from bench.pool_admission.site import Pool, Promises, pools
from bench.pool_admission.statistics import rounded
from bench.pool_admission.workload import schedule
from bench.proofs.real_queue import DOCUMENT, FULL, LIGHT_LOAD, MODEL_FILE, Run

LOADS = (1.2, 2.0)
ROUND_S, MOST_ROUNDS = 110.0, 3
SERVED, FEWEST = 0.80, 200


def prove() -> dict[str, object]:
    """Run it. Raises AssertionError when fewer were served than the bound, or too few came back to tell."""
    start = Promises({"light": None, "flood": None, "prompt": None})
    with (
        tempfile.TemporaryDirectory(prefix="corral-") as folder,
        pools(MODEL_FILE.resolve(), Path(folder), start) as found,
    ):
        one = Run(found, FULL)
        one.learn()
        calls = _rounds(one, found["corral"])
    report = rounded({"loads": list(LOADS), "promise_s": one.promise_s, **told(calls)})
    served = first_tries(calls)
    assert served.count >= FEWEST, f"only {served.count} came back, {FEWEST} were wanted"
    assert served.at_least(SERVED), f"served at the first try: {served}"
    document.write(DOCUMENT, document.returns_section(report, machine()), document.RETURNED)
    return dict(report)


def _rounds(one: Run, pool: Pool) -> list[Tries]:
    calls: list[Tries] = []
    for number in range(MOST_ROUNDS):
        for load in LOADS:
            rates = one.capacity_now().rates({"light": LIGHT_LOAD, "flood": load - LIGHT_LOAD})
            due = schedule(rates, ROUND_S - 2 * one.promise_s, round(load * 7) + 100 * number)
            calls += asyncio.run(run_retries(pool, due, {"flood"}, ROUND_S))
            print(f"load {load:g}: {rounded(told(calls))}", flush=True)
        if first_tries(calls).count >= FEWEST:
            break
    return calls
