"""Views of pools as the queue gives them, for capacity's tests: 4 targets of 4 slots, a 7B model's times."""

from typing import Any

from policies.admitting.queue_view import PoolView, QueueView, TargetView

TABLE = ((1, 0.0241), (2, 0.0393), (4, 0.0537))


def pool(**changes: Any) -> PoolView:
    """1,000 prompt tokens and 200 answered: about 9 s in a slot when half of them are busy."""
    measured: dict[str, Any] = {
        "model": "m:latest",
        "adapter": "",
        "kind": "chat",
        "waiting": 0,
        "running": 8,
        "slots": 16,
        "prefill_s_per_token": 0.00077,
        "first_token_s_per_token": 0.001,
        "decode_s_per_token": 0.0537,
        "service_s": 9.0,
        "service_cv2": 2.0,
        "arrivals_per_s": 0.9,
        "arrival_cv2": 1.0,
        "prompt_tokens": 1000.0,
        "output_tokens": 200.0,
        "samples": 800,
        "promise_s": 10.0,
        "targets": ("t0", "t1", "t2", "t3"),
    }
    return PoolView(**measured | changes)


def target(number: int, **changes: Any) -> TargetView:
    """A ready target of 4 slots with a table."""
    return TargetView(**{"id": f"t{number}", "slots": 4, "running": 2, "ready": True, "decode_s": TABLE} | changes)


FOUR = tuple(target(number) for number in range(4))


def view(*pools: PoolView, targets: tuple[TargetView, ...] = FOUR) -> QueueView:
    """The pools on these targets."""
    return QueueView(
        teams=(),
        pools=pools,
        targets=targets,
        waiting=0,
        running=8,
        bookings=0,
        admitted=900,
        refused=0,
        refused_late=0,
    )
