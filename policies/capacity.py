"""How much a pool carries: the answer of `corral capacity`, from what the running queue has measured.

Decides nothing about a request. Asked: at which rate do P(first token within the promise) >= quantile still hold,
what do people wait at the present and at an asked load, how many slots would be enough. Each figure names its model
and the error that model is known to have; what cannot be known from the measurements is said instead of guessed.

Rules.
* No figure from too few requests: at least 30, and as many as make the mean time of a slot known to half of it.
* Every rate comes with the spread that the number of requests leaves (95 %).
* The time from slot to first token is that of a mean prompt; longer prompts come later than promised sooner.
* Slots to add: by square-root staffing first, then as few as the tail of the wait allows.
"""

import math
from collections.abc import Iterator

from msgspec import Struct

from policies.admitting.queue_view import PoolView, QueueView
from policies.pool_model import ModelName, PoolModel, explained_share, models_of, sharing_slots, targets_of
from policies.queueing import square_root_staffing

MIN_SAMPLES = 30
"""Below it not even the spread of what was measured is known."""
MAX_SPREAD = 0.5
"""A mean known no better than to half of itself is no basis for buying hardware."""
NORMAL_95 = 1.96
BURSTY = 1.5
"""Arrivals with a squared coefficient of variation above it are worth a word."""
UNEXPLAINED = 0.25
"""So is a measured time of a slot that its parts miss by more than this share."""
MAX_SLOTS = 20_000
"""Nobody asks for more; the formulas take a moment for each slot."""


class Question(Struct, frozen=True, kw_only=True):
    """What is asked. Own requests a second (None: the present load), the promise (None: the pool's own), how sure.

    Raises ValueError for a rate or promise not above 0 and finite, or a quantile not from 0.5 to below 1.
    """

    arrivals_per_s: float | None = None
    promise_s: float | None = None
    quantile: float = 0.95

    def __post_init__(self) -> None:
        for name, value in (("arrivals_per_s", self.arrivals_per_s), ("promise_s", self.promise_s)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0")
        if not 0.5 <= self.quantile < 1:
            raise ValueError("quantile must be at least 0.5 and below 1")


class LoadFigures(Struct, frozen=True, kw_only=True):
    """One load by one model. Waits are None where the line grows without end (utilisation 1 and more).

    `wait_share` is P(wait); `mean_wait_s` and `quantile_wait_s` err on the high side, `likely_wait_s` is the better
    guess of the mean. `kept_share` is P(first token within the promise), None without one. `slots_needed` keeps the
    promise at this load, None where no number of slots up to 20,000 does, or none was promised; `slots_by_rule` is what
    square-root staffing alone would say.
    """

    arrivals_per_s: float
    utilisation: float
    wait_share: float
    mean_wait_s: float | None
    likely_wait_s: float | None
    quantile_wait_s: float | None
    kept_share: float | None
    slots_needed: int | None
    slots_by_rule: int | None


class ModelFigures(Struct, frozen=True, kw_only=True):
    """All figures of one model. `error` says how far they are known to be off.

    `carries_per_s` is the highest rate at which the promise is kept, with its 95 % interval from the number of
    requests measured (None without a promise); from `saturates_per_s` on the line grows without end. `service_s` is
    the time a slot is held when all are busy.
    """

    model: ModelName
    error: str
    service_s: float
    saturates_per_s: float
    carries_per_s: float | None
    carries_low_per_s: float | None
    carries_high_per_s: float | None
    now: LoadFigures
    asked: LoadFigures | None


class CapacityAnswer(Struct, frozen=True, kw_only=True):
    """One pool. `figures` are empty when `unknown` says why there are none; `remarks` limit what they mean.

    `spread` is half the 95 % interval of the mean time of a slot, as a share of it.
    """

    model: str
    adapter: str
    kind: str
    slots: int
    samples: int
    service_s: float
    service_cv2: float
    spread: float
    promise_s: float | None
    quantile: float
    first_token_s: float
    figures: tuple[ModelFigures, ...] = ()
    unknown: str = ""
    remarks: tuple[str, ...] = ()


ERRORS: dict[ModelName, str] = {
    "full": "Erlang C, every slot as slow as when all are busy: the safe side. P(wait) within 3 % where slots are all"
    " alike, whatever the spread of times, up to 2.4 times too high where they batch; mean wait by Allen-Cunneen,"
    " besides that 10 to 52 % too high for heavy tails, the likely one 7 to 18 % (simulated)",
    "batching": "state-dependent M/M/1/K with the decode times measured: P(wait) within 3 % for exponential work, up"
    " to 10 % too low for heavy tails; mean wait up to 55 % too high for them (simulated, four targets of four slots)",
}
"""From docs/proofs/queueing.json."""


def capacity(pool: PoolView, view: QueueView, question: Question) -> CapacityAnswer:
    """What this pool of `view` carries."""
    promise_s = question.promise_s or pool.promise_s or None
    unknown = _unknown(pool)
    budget_s = None if promise_s is None else promise_s - first_token_s(pool)
    figures = () if unknown else tuple(_figures(pool, model, question, budget_s) for model in models_of(pool, view))
    return CapacityAnswer(
        model=pool.model,
        adapter=pool.adapter,
        kind=pool.kind,
        slots=pool.slots,
        samples=pool.samples,
        service_s=pool.service_s,
        service_cv2=pool.service_cv2,
        spread=_spread(pool),
        promise_s=promise_s,
        quantile=question.quantile,
        first_token_s=first_token_s(pool),
        figures=figures,
        unknown=unknown,
        remarks=() if unknown else tuple(_remarks(pool, view, promise_s)),
    )


def first_token_s(pool: PoolView) -> float:
    """From slot to first token, for a prompt of mean length: its prefill, and the step that makes the token."""
    if not pool.first_token_s_per_token:
        return pool.prompt_tokens * pool.prefill_s_per_token
    return pool.prompt_tokens * pool.first_token_s_per_token + pool.decode_s_per_token


def samples_needed(service_cv2: float) -> int:
    """How many requests make the mean time of a slot known to half of it, with 95 %; at least 30."""
    return max(MIN_SAMPLES, math.ceil(service_cv2 * (NORMAL_95 / MAX_SPREAD) ** 2))


def _unknown(pool: PoolView) -> str:
    if pool.slots < 1:
        return "no target of this pool is ready"
    if pool.samples < 1 or pool.service_s <= 0:
        return "nothing measured yet: let it answer requests first"
    if pool.samples < (needed := samples_needed(pool.service_cv2)):
        more = "" if needed == MIN_SAMPLES else f", their times differ so much (cv2 {pool.service_cv2:.1f})"
        return f"too few measured: {pool.samples} requests, {needed} are needed{more}"
    return ""


def _spread(pool: PoolView) -> float:
    return NORMAL_95 * math.sqrt(pool.service_cv2 / pool.samples) if pool.samples else 0.0


def _figures(pool: PoolView, model: PoolModel, question: Question, budget_s: float | None) -> ModelFigures:
    spread, quantile = _spread(pool), question.quantile

    def carried(factor: float) -> float | None:
        return None if budget_s is None else carries_per_s(model.slower(factor), budget_s, quantile)

    def at(arrivals_per_s: float) -> LoadFigures:
        return _load(model, arrivals_per_s, budget_s, quantile)

    return ModelFigures(
        model=model.name,
        error=ERRORS[model.name],
        service_s=model.own.work.hold_s(model.slots_per_target),
        saturates_per_s=model.saturation_per_s(),
        carries_per_s=carried(1.0),
        carries_low_per_s=carried(1 + spread),
        carries_high_per_s=carried(1 - spread),
        now=at(pool.arrivals_per_s),
        asked=None if question.arrivals_per_s is None else at(question.arrivals_per_s),
    )


def carries_per_s(model: PoolModel, budget_s: float, quantile: float) -> float:
    """The highest rate at which at most 1 - quantile wait longer than `budget_s`, to one in 10,000; 0 if none."""
    low, high = 0.0, model.saturation_per_s()
    if budget_s < 0:
        return 0.0
    saturation_per_s = high
    while high - low > saturation_per_s * 1e-4:
        middle = (low + high) / 2
        kept = model.waits(middle, model.slots).tail(budget_s) <= 1 - quantile
        low, high = (middle, high) if kept else (low, middle)
    return low


def slots_needed(model: PoolModel, arrivals_per_s: float, budget_s: float, quantile: float) -> tuple[int, int] | None:
    """How few slots keep the promise at this rate, and what square-root staffing alone says; None above 20,000."""
    load_erlangs = model.load_erlangs(arrivals_per_s)
    by_rule = square_root_staffing(load_erlangs, 1 - quantile)
    if budget_s < 0 or by_rule > MAX_SLOTS:
        return None

    def kept(slots: int) -> bool:
        return model.waits(arrivals_per_s, slots).tail(budget_s) <= 1 - quantile

    low, high = math.floor(load_erlangs), by_rule
    while not kept(high):
        low, high = high, high + max(high // 8, 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle, high)
    return high, by_rule


def _load(model: PoolModel, arrivals_per_s: float, budget_s: float | None, quantile: float) -> LoadFigures:
    waits = model.waits(arrivals_per_s, model.slots)
    kept_share = None
    if budget_s is not None:
        kept_share = 0.0 if budget_s < 0 else 1 - waits.tail(budget_s)
    slots = None if budget_s is None else slots_needed(model, arrivals_per_s, budget_s, quantile)
    return LoadFigures(
        arrivals_per_s=arrivals_per_s,
        utilisation=waits.utilisation,
        wait_share=waits.share,
        mean_wait_s=_finite(waits.mean_s),
        likely_wait_s=_finite(waits.likely_s),
        quantile_wait_s=_finite(waits.quantile_s(quantile)),
        kept_share=kept_share,
        slots_needed=slots and slots[0],
        slots_by_rule=slots and slots[1],
    )


def _finite(value: float) -> float | None:
    return value if value < math.inf else None


def _remarks(pool: PoolView, view: QueueView, promise_s: float | None) -> Iterator[str]:
    if promise_s is None:
        yield "no promise to keep: give one to find the rate that keeps it (the policy's first_token_s, or --promise)"
    elif first_token_s(pool) > promise_s:
        yield "the promise is shorter than the time a mean prompt takes alone: no number of slots keeps it"
    if pool.arrival_cv2 > BURSTY:
        yield (
            f"requests come in bursts (cv2 {pool.arrival_cv2:.1f}): P(wait) is corrected by Hayward's approximation, at"
            " most 10 % too low from a utilisation of 0.5 on and too high below it (simulated)"
        )
    if sharing := sharing_slots(pool, view):
        names = ", ".join(sorted(f"{each.model} {each.kind}".strip() for each in sharing))
        yield f"its slots serve {names} too: those are counted in at their present rate"
    yield from _table_remarks(pool, view)


def _table_remarks(pool: PoolView, view: QueueView) -> Iterator[str]:
    targets = targets_of(pool, view)
    seen = max((rows for each in targets for rows, _ in each.decode_s), default=0)
    if not seen:
        yield "decode times by occupancy are not known for its targets: only the safe model has figures"
        return
    if seen < pool.slots / len(targets):
        yield f"more than {seen} requests at once were not seen on one target yet: beyond it batching counts as no gain"
    if abs(1 - (part := explained_share(pool, view))) > UNEXPLAINED:
        yield (
            f"prompt and output tokens explain {part:.0%} of the time that slots are held: the figures scale the rest"
            " along (slow callers and loads of models are in it)"
        )
