"""How much of idle prefixes may lie beside a worker's context memory."""

from hypothesis import given
from hypothesis import strategies as st

from engine.fitting.machine import MIB
from engine.idle_plan import MOST_BYTES, WorkerUse, idle_bytes


def use(needs: int, *, kv: int = 5000, keeps: bool = True) -> WorkerUse:
    return WorkerUse(needs_bytes=needs * MIB, kv_bytes=kv * MIB, may_keep=keeps)


def test_what_all_workers_leave_is_shared_by_those_that_may_keep_any() -> None:
    workers = [use(100), use(100), use(100, keeps=False)]

    assert idle_bytes(None, workers, 400 * MIB) == (50 * MIB, 50 * MIB, 0)
    assert idle_bytes(None, workers, 4000 * MIB) == (MOST_BYTES, MOST_BYTES, 0)
    assert idle_bytes(None, [use(100, kv=3)], 4000 * MIB) == (3 * MIB,)


def test_none_where_workers_take_turns() -> None:
    assert idle_bytes(None, [use(100), use(100)], 150 * MIB) == (0, 0)
    assert idle_bytes(None, [use(100, keeps=False)], 150 * MIB) == (0,)
    assert idle_bytes(None, [], 150 * MIB) == ()


def test_what_is_stated_stays() -> None:
    assert idle_bytes(200, [use(100), use(100, kv=7), use(1, keeps=False)], 150 * MIB) == (200 * MIB, 7 * MIB, 0)
    assert idle_bytes(0, [use(100)], 1000 * MIB) == (0,)


@given(
    needs=st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**9), st.booleans()), max_size=6),
    budget=st.integers(0, 10**10),
)
def test_planned_it_never_takes_the_workers_beyond_the_budget(needs: list[tuple[int, int, bool]], budget: int) -> None:
    workers = [WorkerUse(needs_bytes=size, kv_bytes=kv, may_keep=keeps) for size, kv, keeps in needs]
    found = idle_bytes(None, workers, budget)
    together = sum(worker.needs_bytes for worker in workers)

    assert sum(found) <= max(0, budget - together)
    assert all(0 <= share <= min(MOST_BYTES, worker.kv_bytes) for share, worker in zip(found, workers, strict=True))
