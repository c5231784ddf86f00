import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.fitting.machine import GIB, MIB, Gpu, Machine, memory_budget_bytes, share_threads


def test_the_budget_leaves_room_for_the_gateway_and_the_kernel() -> None:
    assert memory_budget_bytes(Machine(cores=1, memory_bytes=GIB)) == 704 * MIB
    assert memory_budget_bytes(Machine(cores=1, memory_bytes=100 * MIB)) == 0


@given(some.integers(0, 2**45), some.integers(0, 2**45))
def test_more_memory_never_makes_a_smaller_budget(memory_bytes: int, more: int) -> None:
    small = memory_budget_bytes(Machine(cores=1, memory_bytes=memory_bytes))
    assert small <= memory_budget_bytes(Machine(cores=1, memory_bytes=memory_bytes + more))


@pytest.mark.parametrize(
    ("cores", "workers", "threads"),
    [(1, 1, (1,)), (1, 2, (1, 1)), (2, 1, (1,)), (8, 1, (7,)), (8, 3, (3, 2, 2)), (4, 5, (1, 1, 1, 1, 1))],
)
def test_workers_share_the_cores_but_one(cores: int, workers: int, threads: tuple[int, ...]) -> None:
    assert share_threads(cores, workers) == threads


@given(some.integers(1, 512), some.integers(1, 32))
def test_threads_are_never_oversubscribed_when_one_each_suffices(cores: int, workers: int) -> None:
    threads = share_threads(cores, workers)
    assert min(threads) >= 1
    assert sum(threads) == max(workers, cores - 1)


def test_only_apple_shares_the_memory_of_the_machine() -> None:
    assert Gpu(name="M", kind="apple", free_bytes=1).shares_memory
    assert not Gpu(name="R", kind="amd", free_bytes=1).shares_memory
