"""Views of a queue, for tests: plausible but for what a test says."""

from typing import Any

from policies.admitting.queue_view import PoolView, QueueView, TargetView, TeamView


def team_view(name: str, **values: Any) -> TeamView:
    """A team that runs one request and has never waited."""
    usual: dict[str, Any] = {
        "band": "standard",
        "weight": 1.0,
        "waiting": 0,
        "running": 1,
        "backlog_slot_s": 0.0,
        "share": 0.5,
        "due": 0.5,
        "counter": 0.0,
        "predicted_wait_s": 0.0,
        "p90_wait_s": 0.0,
        "actual_wait_s": 0.0,
        "coverage": 0.0,
        "predicted_ratio": 0.0,
    }
    return TeamView(**{"name": name, **usual, **values})


def pool_view(model: str, **values: Any) -> PoolView:
    """A pool of four slots that has served forty requests."""
    usual: dict[str, Any] = {
        "adapter": "",
        "kind": "chat",
        "waiting": 0,
        "running": 3,
        "slots": 4,
        "prefill_s_per_token": 0.00077,
        "first_token_s_per_token": 0.001,
        "decode_s_per_token": 0.057,
        "service_s": 9.3,
        "service_cv2": 1.0,
        "arrivals_per_s": 0.42,
        "arrival_cv2": 1.0,
        "prompt_tokens": 412.4,
        "output_tokens": 150.0,
        "samples": 40,
        "promise_s": 10.0,
    }
    return PoolView(**{"model": model, **usual, **values})


def queue_view(**values: Any) -> QueueView:
    """An idle queue, or what a test says."""
    usual: dict[str, Any] = {
        "teams": (),
        "pools": (),
        "targets": (),
        "waiting": 0,
        "running": 0,
        "bookings": 0,
        "admitted": 0,
        "refused": 0,
        "refused_late": 0,
    }
    return QueueView(**{**usual, **values})


WORKER = TargetView(
    models=("m:latest",),
    id="worker",
    slots=4,
    running=3,
    ready=True,
    utilisation=0.93,
    load_s=1.2,
    decode_s=((1, 0.017), (2, 0.02), (3, 0.022), (4, 0.025), (5, 0.031)),
)
