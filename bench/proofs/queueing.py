"""The formulas of capacity against simulation, customer by customer, seeded; and against exact references.

* P(wait) and loss (Erlang C and B) within 3 % at 600,000 arrivals, P(wait) for heavy tails too, as far as chance tells.
* Mean wait of M/M/c within 5 % up to a utilisation of 0.8, within 10 % at 0.95 (1,200,000 arrivals).
* Allen-Cunneen is an upper bound for heavy tails; Kimura lies between it and the simulated wait.
* Limited processor sharing within 12 %.
* Batching as a state-dependent M/M/1/K: P(wait) within 3 %, mean wait within 5 %, loss within 3 %.
* Bursts: from a utilisation of 0.8 on P(wait) within 6 %.
* The answer itself: at the rate that `capacity` says a pool carries, with heavy tails and bursts, at least the stated
  share of requests waits no longer than the promise leaves; and at a rate a third above it, less than that.
"""

import random
from statistics import fmean
from typing import Any

from bench.line_simulation import (
    Draw,
    batched,
    bursty,
    exponential,
    fixed,
    lognormal,
    losses,
    mean_and_error,
    shared,
    waits,
)
from policies.batching_model import BatchingLine, Work
from policies.capacity import carries_per_s
from policies.pool_model import Flow, PoolModel
from policies.queueing import (
    Line,
    allen_cunneen_mean_wait_s,
    erlang_b,
    erlang_c,
    kimura_mean_wait_s,
    limited_sharing_mean_response_s,
    mmc_mean_wait_s,
    wait_probability,
)

ARRIVALS = 600_000
SEED = 1
STEP_S = ((1, 0.0241), (2, 0.0393), (4, 0.0537), (8, 0.0574))
"""Seconds a decode step for so many rows, as llama.cpp's batched bench printed them for a 7B model in F16."""
Row = dict[str, float]


def compared(simulated: float, half: float, predicted: float) -> Row:
    """One figure: simulated, half its 95 % interval, predicted, and how far that is off, all as shares."""
    off = predicted / simulated - 1 if simulated else 0.0
    return {"simulated": simulated, "half_interval": half / simulated, "predicted": predicted, "off": off}


def erlang_rows(arrivals: int, servers: int, utilisation: float, cv2: float) -> dict[str, Row]:
    """P(wait), loss and mean wait for random arrivals; service exponential for a cv2 of 1, else lognormal."""
    load, randomness = utilisation * servers, random.Random(SEED)
    service: Draw = exponential(1, randomness) if cv2 == 1 else lognormal(1, cv2, randomness)
    line = Line(servers=servers, arrivals_per_s=load, service_s=1, service_cv2=cv2)
    found = list(waits(servers, arrivals, exponential(1 / load, randomness), service))
    lost = list(losses(servers, arrivals, exponential(1 / load, randomness), service))
    mean_s, error_s = mean_and_error(found)
    return {
        "wait": compared(*mean_and_error([float(each > 0) for each in found]), erlang_c(servers, load)),
        "loss": compared(*mean_and_error(lost), erlang_b(servers, load)),
        "mean_wait": compared(mean_s, error_s, mmc_mean_wait_s(line)),
        "bound": compared(mean_s, error_s, allen_cunneen_mean_wait_s(line)),
        "likely": compared(mean_s, error_s, kimura_mean_wait_s(line)),
    }


def sharing_row(arrivals: int, limit: int, cv2: float) -> Row:
    """Mean response of one server shared by at most `limit`, at a utilisation of 0.8."""
    randomness = random.Random(SEED)
    service = exponential(1, randomness) if cv2 == 1 else lognormal(1, cv2, randomness)
    found = shared(limit, lambda n: 1 / n, arrivals, exponential(1 / 0.8, randomness), service)
    formula = limited_sharing_mean_response_s(limit, 0.8, 1, cv2)
    return compared(*mean_and_error([response for _, response in found]), formula)


def batching_rows(arrivals: int, utilisation: float, slots: int) -> dict[str, Row]:
    """One target whose steps take as long as the table says, exponential work."""
    work = Work(fixed_s=0.5, decode_tokens=100, decode_s=STEP_S)
    rates = tuple(n / work.hold_s(n) for n in range(1, slots + 1))
    line = BatchingLine(arrivals_per_s=utilisation * rates[-1], completions_per_s=rates)
    randomness = random.Random(SEED)
    gap = exponential(1 / line.arrivals_per_s, randomness)
    found = shared(slots, lambda n: rates[n - 1] / n, arrivals, gap, exponential(1, randomness))
    waited = [wait for wait, _ in found]
    return {
        "wait": compared(*mean_and_error([float(each > 0) for each in waited]), line.wait_share()),
        "mean_wait": compared(*mean_and_error(waited), line.mean_wait_s()),
        "late": compared(*mean_and_error([float(each > 2) for each in waited]), line.wait_tail(2)),
    }


def bursts_row(arrivals: int, servers: int, utilisation: float, cv2: float) -> dict[str, Row]:
    """P(wait) when arrivals come in bursts: corrected, and as Erlang C alone would have it."""
    load, randomness = utilisation * servers, random.Random(SEED)
    gap = bursty(1 / load, cv2, randomness)
    mean, half = mean_and_error([float(each > 0) for each in waits(servers, arrivals, gap, exponential(1, randomness))])
    line = Line(servers=servers, arrivals_per_s=load, service_s=1, arrival_cv2=cv2)
    return {
        "corrected": compared(mean, half, wait_probability(line)),
        "erlang_c": compared(mean, half, erlang_c(servers, load)),
    }


def promise_row(arrivals: int, slots: int, budget_s: float, variations: tuple[float, float]) -> Row:
    """How many waits fit into the promise at the rate that a pool is said to carry, and at a third more than that."""
    arrival_cv2, service_cv2 = variations
    flow = Flow(arrivals_per_s=1, arrival_cv2=arrival_cv2, work=Work(fixed_s=1), service_cv2=service_cv2)
    model = PoolModel(name="full", own=flow, others=(), slots=slots, slots_per_target=slots)
    carried_per_s = carries_per_s(model, budget_s, 0.95)

    def kept(rate_per_s: float) -> float:
        randomness = random.Random(SEED)
        gap = exponential(1 / rate_per_s, randomness)
        if arrival_cv2 > 1:
            gap = bursty(1 / rate_per_s, arrival_cv2, randomness)
        service = lognormal(1, service_cv2, randomness) if service_cv2 else fixed(1)
        return fmean(wait <= budget_s for wait in waits(slots, arrivals, gap, service))

    return {
        "utilisation": carried_per_s / slots,
        "kept": kept(carried_per_s),
        "kept_at_a_third_more": kept(carried_per_s * 4 / 3),
    }


def pool_row(arrivals: int, variations: tuple[float, float], budget_s: float) -> dict[str, Row]:
    """Four targets of four slots that batch: as `promise_row`, by both models; and P(wait) at a common rate."""
    arrival_cv2, service_cv2 = variations
    work = Work(fixed_s=0.8, decode_tokens=200, decode_s=STEP_S)
    hold_s = [work.hold_s(n) for n in range(1, 5)]
    models = {}
    for name, each in (("batching", work), ("full", Work(fixed_s=hold_s[-1]))):
        flow = Flow(arrivals_per_s=1, arrival_cv2=arrival_cv2, work=each, service_cv2=service_cv2)
        models[name] = PoolModel(name=name, own=flow, others=(), slots=16, slots_per_target=4)

    def waited(rate_per_s: float) -> list[float]:
        randomness = random.Random(SEED)
        gap = (
            bursty(1 / rate_per_s, arrival_cv2, randomness)
            if arrival_cv2 > 1
            else exponential(1 / rate_per_s, randomness)
        )
        amount = lognormal(1, service_cv2, randomness)
        return list(batched((4, 4), lambda n: 1 / hold_s[n - 1], arrivals, gap, amount))

    rows: dict[str, Row] = {}
    for name, model in models.items():
        carried_per_s = carries_per_s(model, budget_s, 0.95)
        found = waited(carried_per_s)
        kept = fmean(wait <= budget_s for wait in found)
        more = fmean(wait <= budget_s for wait in waited(carried_per_s * 4 / 3))
        rows[name] = {"carries_per_s": carried_per_s, "kept": kept, "kept_at_a_third_more": more}
        share = compared(*mean_and_error([float(wait > 0) for wait in found]), model.waits(carried_per_s, 16).share)
        rows[f"{name}, P(wait)"] = share
        mean_s = compared(*mean_and_error(found), model.waits(carried_per_s, 16).mean_s)
        rows[f"{name}, mean wait"] = mean_s
    return rows


def prove() -> dict[str, Any]:
    """See the head of the module."""
    return {
        "erlang": _prove_erlang(),
        "heavy_tails": _prove_heavy_tails(),
        "limited_sharing": _prove_sharing(),
        "batching": _prove_batching(),
        "bursts": _prove_bursts(),
        "promise": _prove_promise(),
        "pool": _prove_pool(),
    }


def _within(name: str, row: Row, most: float) -> None:
    print(f"{name}: off by {row['off']:+.2%} (interval +-{row['half_interval']:.2%})", flush=True)
    assert abs(row["off"]) <= most, f"{name}: off by {row['off']:+.2%}, more than {most:.0%}"


def _prove_erlang() -> dict[str, dict[str, Row]]:
    figures = {}
    for servers, utilisation in ((4, 0.5), (4, 0.8), (4, 0.95), (16, 0.8), (16, 0.95)):
        name = f"{servers} servers at {utilisation}"
        rows = erlang_rows(ARRIVALS if utilisation < 0.9 else 2 * ARRIVALS, servers, utilisation, 1)
        _within(f"{name}, P(wait)", rows["wait"], 0.03)
        _within(f"{name}, loss", rows["loss"], 0.03)
        _within(f"{name}, mean wait", rows["mean_wait"], 0.05 if utilisation < 0.9 else 0.1)
        figures[name] = {key: rows[key] for key in ("wait", "loss", "mean_wait")}
    return figures


def _prove_heavy_tails() -> dict[str, dict[str, Row]]:
    figures = {}
    for servers, utilisation, cv2 in ((4, 0.8, 2.0), (4, 0.8, 4.0), (16, 0.8, 2.0), (16, 0.8, 4.0), (16, 0.9, 4.0)):
        name = f"{servers} servers at {utilisation}, cv2 {cv2:g}"
        rows = erlang_rows(2 * ARRIVALS, servers, utilisation, cv2)
        _within(f"{name}, P(wait)", rows["wait"], 0.03 + rows["wait"]["half_interval"])
        _within(f"{name}, loss", rows["loss"], 0.03 + rows["loss"]["half_interval"])
        bound, likely = rows["bound"]["off"], rows["likely"]["off"]
        print(f"{name}: mean wait by Allen-Cunneen {bound:+.1%}, by Kimura {likely:+.1%}", flush=True)
        assert bound > 0, f"{name}: Allen-Cunneen is no upper bound: {bound:+.1%}"
        assert -rows["likely"]["half_interval"] <= likely < bound, f"{name}: Kimura is not between: {likely:+.1%}"
        figures[name] = {key: rows[key] for key in ("wait", "loss", "bound", "likely")}
    return figures


def _prove_sharing() -> dict[str, Row]:
    figures = {}
    for limit, cv2 in ((1, 4.0), (4, 4.0), (16, 4.0), (4, 1.0), (4, 2.0)):
        name = f"at most {limit} at once, cv2 {cv2:g}"
        figures[name] = sharing_row(ARRIVALS, limit, cv2)
        _within(name, figures[name], 0.12)
    return figures


def _prove_batching() -> dict[str, dict[str, Row]]:
    figures = {}
    for utilisation in (0.6, 0.8, 0.9):
        rows = figures[f"8 slots at {utilisation}"] = batching_rows(2 * ARRIVALS, utilisation, 8)
        for key, most in (("wait", 0.03), ("mean_wait", 0.05), ("late", 0.05)):
            _within(f"8 slots batching at {utilisation}, {key}", rows[key], most)
    return figures


def _prove_bursts() -> dict[str, dict[str, Row]]:
    figures = {}
    for servers, utilisation, cv2 in (
        (4, 0.8, 4),
        (16, 0.5, 4),
        (16, 0.7, 13),
        (16, 0.8, 4),
        (16, 0.9, 4),
        (16, 0.9, 13),
    ):
        name = f"{servers} servers at {utilisation}, arrivals' cv2 {cv2:g}"
        row = figures[name] = bursts_row(ARRIVALS, servers, utilisation, cv2)
        corrected, plain = row["corrected"]["off"], row["erlang_c"]["off"]
        print(f"{name}: P(wait) off by {corrected:+.1%}, Erlang C alone by {plain:+.1%}", flush=True)
        assert -0.1 <= corrected <= 0.5, f"{name}: off by {corrected:+.1%}"
        assert plain < corrected, f"{name}: no better than Erlang C"
    return figures


def _prove_promise() -> dict[str, Row]:
    figures = {}
    cases = [
        (4, 0.5, (1.0, 1.0)),
        (4, 0.5, (1.0, 4.0)),
        (16, 0.5, (1.0, 2.0)),
        (16, 0.5, (4.0, 2.0)),
        (16, 1.0, (1.0, 0.0)),
    ]
    for slots, budget_s, variations in cases:
        name = f"{slots} slots, wait within {budget_s:g} of a mean service, cv2 {variations[0]:g} and {variations[1]:g}"
        row = figures[name] = promise_row(ARRIVALS, slots, budget_s, variations)
        print(f"{name}: {row}", flush=True)
        assert row["kept"] >= 0.95, f"{name}: kept for {row['kept']:.2%} only"
        assert row["kept_at_a_third_more"] < 0.95, f"{name}: a third more would do as well"
    return figures


def _prove_pool() -> dict[str, dict[str, Row]]:
    figures = {}
    for variations, budget_s in (
        ((1.0, 1.0), 2.0),
        ((1.0, 1.0), 8.0),
        ((1.0, 4.0), 2.0),
        ((1.0, 4.0), 8.0),
        ((4.0, 2.0), 8.0),
    ):
        name = f"wait within {budget_s:g} s of 11.5, cv2 {variations[0]:g} and {variations[1]:g}"
        rows = figures[name] = pool_row(ARRIVALS // 2, variations, budget_s)
        for model in ("batching", "full"):
            row, share, mean_wait = rows[model], rows[f"{model}, P(wait)"], rows[f"{model}, mean wait"]
            print(f"{name}, {model}: kept {row['kept']:.2%}, P(wait) off by {share['off']:+.1%}", flush=True)
            assert row["kept"] >= 0.95, f"{name}: kept for {row['kept']:.2%} only"
            assert row["kept_at_a_third_more"] < 0.95, f"{name}: a third more would do as well"
            assert share["off"] >= -0.1 - share["half_interval"], f"{name}: P(wait) off by {share['off']:+.1%}"
            assert mean_wait["off"] >= -mean_wait["half_interval"], f"{name}: no bound: {mean_wait['off']:+.1%}"
        if variations == (1.0, 1.0):
            _within(name, rows["batching, P(wait)"], 0.05)
    return figures
