"""The store in memory: all claims or none, nothing given back twice, budgets that outlive the process."""

import asyncio
from pathlib import Path

import pytest

from gateway.limits import budget_book
from gateway.limits.budget_book import BudgetBook
from gateway.limits.memory_store import MemoryStore
from policies.errors import BeyondLimit, PolicyUnavailable, QuotaExceeded, RateLimited
from policies.limiting.limits import BudgetClaim, Claims, ConcurrencyClaim, RateClaim, Used
from policies.limiting.rate_limit import Rate
from policies.standing import Standing
from tests.fakes import ManualClock

A, B = ConcurrencyClaim("a", 1), ConcurrencyClaim("b", 2)
SLOW, FAST = RateClaim("slow", Rate(1, 1)), RateClaim("fast", Rate(600, 2))
WORDS = RateClaim("words", Rate(100, 100), 60, unit="output_tokens")
DAY = BudgetClaim("day:k", 100, 60, "day")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock, BudgetBook.open(tmp_path / "limits.db"))


async def test_a_refused_reservation_holds_nothing(store: MemoryStore) -> None:
    held = await store.reserve(Claims(concurrency=(A,)))
    for _ in range(3):
        with pytest.raises(RateLimited):
            await store.reserve(Claims((WORDS,), (B, A), (DAY,)))
    await store.reserve(Claims((WORDS,), (B,), (DAY,)))
    second = await store.reserve(Claims(concurrency=(B,)))
    await store.settle(second, Used())
    await store.reserve(Claims(concurrency=(B,)))
    await store.settle(held, Used())
    await store.settle(held, Used())
    again = await store.reserve(Claims(concurrency=(A,)))
    assert again.id != held.id
    with pytest.raises(RateLimited):
        await store.reserve(Claims(concurrency=(A,)))
    await store.close()


async def test_a_refused_rate_charges_nothing(store: MemoryStore) -> None:
    taken = await store.take((FAST, SLOW))
    assert taken.standings == (Standing("requests", "key", 600, 1, 0.1), Standing("requests", "key", 1, 0, 60.0))
    with pytest.raises(RateLimited) as caught:
        await store.take((FAST, SLOW))
    assert caught.value.retry_after_s == pytest.approx(60.0)
    await store.take((FAST,))
    with pytest.raises(RateLimited):
        await store.take((FAST,))


async def test_what_was_not_used_is_given_back(store: MemoryStore) -> None:
    held = await store.reserve(Claims((WORDS,), (), (DAY,)))
    with pytest.raises(RateLimited):
        await store.reserve(Claims((WORDS,)))
    with pytest.raises(QuotaExceeded):
        await store.reserve(Claims(budgets=(DAY,)))
    await store.settle(held, Used(prompt_tokens=10, output_tokens=30))
    await store.reserve(Claims((WORDS,), (), (DAY,)))
    with pytest.raises(QuotaExceeded):
        await store.reserve(Claims(budgets=(BudgetClaim("day:k", 100, 1, "day"),)))
    await store.close()


async def test_what_was_used_beyond_is_charged(store: MemoryStore, clock: ManualClock) -> None:
    held = await store.reserve(Claims((WORDS,), (), (DAY,)))
    clock.move(30.0)
    await store.settle(held, Used(output_tokens=500))
    with pytest.raises(RateLimited) as caught:
        await store.reserve(Claims((WORDS,)))
    clock.move(caught.value.retry_after_s)
    await store.reserve(Claims((WORDS,)))
    with pytest.raises(QuotaExceeded):
        await store.reserve(Claims(budgets=(BudgetClaim("day:k", 400, 1, "day"),)))
    await store.close()


async def test_a_model_s_request_rate_stays_charged(store: MemoryStore) -> None:
    await store.settle(await store.reserve(Claims((SLOW,))), Used())
    with pytest.raises(RateLimited):
        await store.reserve(Claims((SLOW,)))


async def test_report_tells_and_lets_pass(store: MemoryStore) -> None:
    slow = RateClaim("slow", Rate(1, 1), report=True)
    place = ConcurrencyClaim("a", 1, report=True, whose="team")
    day = BudgetClaim("day:k", 100, 101, "day", report=True)
    assert (await store.take((slow,))).would_refuse == ()
    taken = await store.take((slow, FAST))
    assert (taken.would_refuse, len(taken.standings)) == (("rate_limited_key",), 1)
    first = await store.reserve(Claims((), (place,), (day,)))
    second = await store.reserve(Claims((), (place,)))
    assert first.would_refuse == ("day_budget_used_up_key",)
    assert second.would_refuse == ("concurrency_limited_team",)
    assert second.claims == Claims()
    await store.settle(second, Used())
    await store.settle(first, Used())
    assert (await store.reserve(Claims((), (place,)))).would_refuse == ()
    await store.close()


async def test_what_never_fits_is_refused_for_good(store: MemoryStore) -> None:
    with pytest.raises(BeyondLimit):
        await store.reserve(Claims((RateClaim("words", Rate(9, 9), 10, unit="prompt_tokens"),)))


async def test_a_budget_begins_anew_with_its_period(store: MemoryStore, clock: ManualClock) -> None:
    await store.reserve(Claims(budgets=(DAY,)))
    with pytest.raises(QuotaExceeded) as caught:
        await store.reserve(Claims(budgets=(DAY,)))
    clock.move(caught.value.retry_after_s - 2)
    with pytest.raises(QuotaExceeded):
        await store.reserve(Claims(budgets=(DAY,)))
    clock.move(2.0)
    late = await store.reserve(Claims(budgets=(DAY,)))
    clock.move(86400.0)
    await store.settle(late, Used())  # of yesterday: today's budget is as it was
    await store.reserve(Claims(budgets=(DAY,)))
    with pytest.raises(QuotaExceeded):
        await store.reserve(Claims(budgets=(DAY,)))
    await store.close()


async def test_budgets_outlive_the_process_with_what_was_not_settled(tmp_path: Path, clock: ManualClock) -> None:
    first = MemoryStore(clock, BudgetBook.open(tmp_path / "b.db"))
    settled = await first.reserve(Claims(budgets=(DAY,)))
    await first.settle(settled, Used(5, 5))
    await first.reserve(Claims(budgets=(DAY,)))
    await first.close()
    second = MemoryStore(clock, BudgetBook.open(tmp_path / "b.db"))
    await second.reserve(Claims(budgets=(BudgetClaim("day:k", 100, 30, "day"),)))
    with pytest.raises(QuotaExceeded):
        await second.reserve(Claims(budgets=(BudgetClaim("day:k", 100, 1, "day"),)))
    await second.close()


async def test_a_disk_that_refuses_refuses_the_request_and_holds_nothing(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(budget_book, "UPSERT", "INSERT INTO nowhere VALUES (?, ?, ?, ?)")
        for _ in range(3):
            with pytest.raises(PolicyUnavailable):
                await store.reserve(Claims((WORDS,), (A,), (DAY,)))
    held = await store.reserve(Claims((WORDS,), (A,), (DAY,)))
    await store.settle(held, Used())
    await store.close()


async def test_a_caller_who_leaves_while_the_disk_writes_holds_nothing(store: MemoryStore) -> None:
    waiting = asyncio.create_task(store.reserve(Claims((WORDS,), (A,), (DAY,))))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.reserve(Claims((WORDS,), (A,), (DAY,)))
    await store.close()


async def test_a_full_book_refuses_new_names(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_book, "MAX_ROWS", 1)
    await store.reserve(Claims((), (), (DAY,)))
    with pytest.raises(PolicyUnavailable):
        await store.reserve(Claims((WORDS,), (A,), (BudgetClaim("day:other", 9, 1, "day"),)))
    await store.reserve(Claims((WORDS,), (A,), (BudgetClaim("day:k", 100, 1, "day"),)))
    await store.close()


async def test_looking_charges_nothing(store: MemoryStore, clock: ManualClock) -> None:
    claims = Claims((FAST, WORDS), (B,), (DAY,))
    for _ in range(3):
        assert [(use.used, use.most) for use in await store.use(claims)] == [(0, 2), (0, 100), (0, 2), (0, 100)]
    held = await store.reserve(claims)
    await store.take((FAST,))
    used = [(use.limit, use.used) for use in await store.use(claims)]
    assert used == [
        ("requests_per_minute", 2),
        ("output_tokens_per_minute", 60),
        ("concurrent_requests", 1),
        ("tokens_per_day", 60),
    ]
    assert [use.used for use in await store.use(claims)] == [2, 60, 1, 60]
    await store.settle(held, Used(3, 4))
    clock.move(1.0)
    assert [use.used for use in await store.use(claims)] == [0, 4, 0, 7]
    await store.close()
