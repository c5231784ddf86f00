"""The queue as operators see it. Values only; seconds, slot-seconds and shares between 0 and 1."""

from msgspec import Struct


class TargetView(Struct, frozen=True, kw_only=True):
    """One target. `utilisation` is the share of its slots' time in use, over about the last minute.

    `decode_s` gives, for each number of requests decoded at once, the measured seconds for one token of each.
    `kept`: a request that must run alone runs there, or will. `models` are those it serves.
    """

    id: str
    slots: int
    running: int
    ready: bool
    utilisation: float = 0.0
    load_s: float = 0.0
    decode_s: tuple[tuple[int, float], ...] = ()
    kept: bool = False
    models: tuple[str, ...] = ()


class TeamView(Struct, frozen=True, kw_only=True):
    """One team that has waiting or running work, or had some a short while ago.

    `share` is its part of all slot-seconds charged over about the last ten minutes, `due` what its weight gives it
    among the teams present. `counter` is its virtual counter relative to the least of all (slot-seconds over
    weight). `predicted_wait_s` is what a newcomer would be told now, `p90_wait_s` its 90 % quantile; `actual_wait_s`
    the mean of its last waits. `coverage` is the share of them within the quantile that admission judges by,
    `predicted_ratio` the mean of actual over predicted.
    """

    name: str
    band: str
    weight: float
    waiting: int
    running: int
    backlog_slot_s: float
    share: float
    due: float
    counter: float
    predicted_wait_s: float
    p90_wait_s: float
    actual_wait_s: float
    coverage: float
    predicted_ratio: float


class PoolView(Struct, frozen=True, kw_only=True):
    """One pool: all targets of a model, adapter and kind. What `capacity` computes with is measured here.

    `slots` of ready targets, `running` of this pool. `prefill_s_per_token` and `decode_s_per_token` are slot-seconds
    when the pool is full; `service_s` and `service_cv2` mean and squared coefficient of variation of the time a slot
    is held; `arrivals_per_s` and `arrival_cv2` of all that asked, over about the last ten minutes; `prompt_tokens`
    (uncached) and `output_tokens` are means; `samples` how many requests they come from, those that count by now.
    `promise_s` is the tightest promise asked for (0: none). `targets` are the ready ones that serve it.
    """

    model: str
    adapter: str
    kind: str
    waiting: int
    running: int
    slots: int
    prefill_s_per_token: float
    first_token_s_per_token: float
    decode_s_per_token: float
    service_s: float
    service_cv2: float
    arrivals_per_s: float
    arrival_cv2: float
    prompt_tokens: float
    output_tokens: float
    samples: int
    promise_s: float
    targets: tuple[str, ...] = ()


class QueueView(Struct, frozen=True, kw_only=True):
    """All of it. `decided_by` names the gateway whose queue this is ("" for this one alone); `epoch` its fence."""

    teams: tuple[TeamView, ...]
    pools: tuple[PoolView, ...]
    targets: tuple[TargetView, ...]
    waiting: int
    running: int
    bookings: int
    admitted: int
    refused: int
    refused_late: int
    decided_by: str = ""
    epoch: int = 0
    reason: str = ""
