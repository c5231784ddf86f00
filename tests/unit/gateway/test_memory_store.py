"""The store in memory: all claims or none, and nothing given back twice."""

import pytest

from gateway import memory_store
from gateway.memory_store import MemoryStore
from policies.errors import RateLimited
from policies.limits import ConcurrencyClaim, RateClaim
from policies.rate_limit import Rate

A, B = ConcurrencyClaim("a", 1), ConcurrencyClaim("b", 2)
SLOW, FAST = RateClaim("slow", Rate(1, 1)), RateClaim("fast", Rate(600, 2))


async def test_a_refused_reservation_holds_nothing() -> None:
    store = MemoryStore()
    held = await store.reserve((A,))
    with pytest.raises(RateLimited):
        await store.reserve((B, A))
    await store.reserve((B,))
    await store.reserve((B,))
    await store.settle(held)
    await store.settle(held)
    again = await store.reserve((A,))
    assert again.id != held.id


async def test_a_refused_rate_charges_nothing() -> None:
    store = MemoryStore()
    await store.take((FAST, SLOW), 0)
    with pytest.raises(RateLimited) as caught:
        await store.take((FAST, SLOW), 0)
    assert caught.value.retry_after_s == pytest.approx(60.0)
    await store.take((FAST,), 0)
    with pytest.raises(RateLimited):
        await store.take((FAST,), 0)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_store, "MAX_BUCKETS", 2)
    store = MemoryStore()
    for name in "abc":
        await store.take((RateClaim(name, Rate(1, 1)),), 0)
    await store.take((RateClaim("a", Rate(1, 1)),), 0)
    with pytest.raises(RateLimited):
        await store.take((RateClaim("c", Rate(1, 1)),), 0)
