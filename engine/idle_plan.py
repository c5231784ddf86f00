"""How many bytes of idle prefixes each worker may keep beside its context memory. Pure.

What lies there makes the requests that run faster (`engine.batching.idle_memory`), and nothing depends on it. Rules:

 (1) Only chat workers on the CPU alone have any: what it is worth with layers on a GPU was not measured.
 (2) What `engine.idle_memory_mib` states stays, up to what the worker's context memory takes; 0 is none. Where a worker
     does not fit the budget with it, that is a fault of the settings, told by who makes the plan.
 (3) Planned, it never costs anybody a slot, a token of context or a place beside others: it takes of what all workers
     leave of the budget, in equal parts, and none where they take turns for memory. At most `MOST_BYTES`, some
     thousand tokens of a large model, and never more than the context memory itself. What finds no room outside slows
     everybody: beside 1,700 such cells a prompt of a small model took half as long again.
"""

from collections.abc import Sequence

from msgspec import Struct

from engine.fitting.machine import MIB

MOST_BYTES = 1024 * MIB


class WorkerUse(Struct, frozen=True, kw_only=True):
    """A worker as planned: what it needs, with all that is loaded beside its model, and its context memory on the CPU.
    `may_keep` is rule (1).
    """

    needs_bytes: int
    kv_bytes: int
    may_keep: bool


def idle_bytes(stated_mib: int | None, workers: Sequence[WorkerUse], budget_bytes: int) -> tuple[int, ...]:
    """The bytes of each worker, in order."""
    if stated_mib is not None:
        most = stated_mib * MIB
    else:
        left = max(0, budget_bytes - sum(worker.needs_bytes for worker in workers))
        most = min(MOST_BYTES, left // max(1, sum(worker.may_keep for worker in workers)))
    return tuple(min(most, worker.kv_bytes) if worker.may_keep else 0 for worker in workers)
