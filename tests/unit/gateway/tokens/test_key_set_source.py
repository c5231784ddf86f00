"""When keys are fetched, how long they serve, and what a stranger's `kid` can cause."""

import asyncio
import secrets

import pytest

from gateway.tokens.key_set_fetch import KeySetFault, KeysWithdrawn
from gateway.tokens.key_set_source import FRESH_S, FROM_A_FILE, MAX_NEGATIVE, OVER_THE_NETWORK, KeySetSource
from policies.errors import PolicyUnavailable
from tests.fakes import ManualClock
from tests.tokens import FakeFetch, key_set

KEYS, ROTATED = key_set("rsa-1"), key_set("rsa-1", "rsa-2")
DAY_S = 86_400.0


class Bench:
    """A source with its fetch, its clock, and what it told."""

    def __init__(self, *, stale_s: float = DAY_S, file: bool = False) -> None:
        self.fetch = FakeFetch(KEYS)
        self.clock = ManualClock()
        self.told: list[str] = []
        pace = FROM_A_FILE if file else OVER_THE_NETWORK
        self.source = KeySetSource(self.fetch, self.clock, stale_s, self.told.append, pace)

    async def away(self, kid: str = "rsa-1") -> bool:
        try:
            await self.source.keys_for(kid)
        except PolicyUnavailable as refused:
            return refused.reason == "key_set_away"
        return False


async def test_the_first_token_waits_for_the_keys_and_the_next_does_not() -> None:
    bench = Bench()
    assert not bench.source.usable()
    assert bench.source.age_s() is None
    assert await bench.source.keys_for("rsa-1") is KEYS
    assert await bench.source.keys_for("") is KEYS
    bench.clock.move(10)
    assert (bench.fetch.count, bench.source.age_s(), bench.source.usable()) == (1, 10.0, True)


async def test_a_hundred_at_once_are_one_fetch() -> None:
    bench = Bench()
    bench.fetch.hold = asyncio.Event()
    waiting = [asyncio.create_task(bench.source.keys_for("rsa-1")) for _ in range(100)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # one who leaves does not end it for the others
    await asyncio.sleep(0)
    bench.fetch.hold.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [KEYS] * 99
    assert bench.fetch.count == 1


async def test_two_tokens_at_once_with_a_failing_key_set() -> None:
    """Envoy CVE-2025-64527: two tokens in flight while the fetch fails brought the process down."""
    bench = Bench()
    bench.fetch.hold = asyncio.Event()
    bench.fetch.fault = KeySetFault("away")
    both = [asyncio.create_task(bench.source.keys_for(kid)) for kid in ("rsa-1", "rsa-2")]
    await asyncio.sleep(0)
    bench.fetch.hold.set()
    results = await asyncio.gather(*both, return_exceptions=True)
    assert [type(result) for result in results] == [PolicyUnavailable, PolicyUnavailable]
    assert bench.fetch.count == 1
    bench.fetch.fault, bench.fetch.hold = None, None
    bench.clock.move(5)
    assert await bench.source.keys_for("rsa-1") is KEYS


async def test_without_keys_there_is_a_try_each_five_seconds() -> None:
    bench = Bench()
    bench.fetch.fault = KeySetFault("away")
    for _ in range(100):
        assert await bench.away()
        bench.clock.move(0.1)
    assert bench.fetch.count == 2
    assert bench.told == ["away"], "a change is told once"


async def test_the_background_fetches_ahead_of_need() -> None:
    bench = Bench()
    await bench.source.refresh_if_due()
    bench.clock.move(599)
    await bench.source.refresh_if_due()
    assert bench.fetch.count == 1
    bench.clock.move(1)
    await bench.source.refresh_if_due()
    assert bench.fetch.count == 2
    assert bench.told == []


async def test_a_file_is_looked_at_every_five_seconds() -> None:
    bench = Bench(file=True)
    for _ in range(10):
        await bench.source.refresh_if_due()
        bench.clock.move(1)
    assert bench.fetch.count == 2


async def test_a_provider_away_for_an_hour_fails_no_known_key() -> None:
    bench = Bench()
    await bench.source.refresh_if_due()
    bench.fetch.fault = KeySetFault("away")
    failures = 0
    for _ in range(3600):
        bench.clock.move(1)
        await bench.source.refresh_if_due()
        failures += await bench.away()
    assert failures == 0
    assert bench.told == ["away"]
    assert bench.fetch.count <= 1 + 3000 / 30 + 1
    bench.fetch.fault = None
    bench.clock.move(30)
    await bench.source.refresh_if_due()
    assert bench.told == ["away", ""]


async def test_keys_that_their_owner_withdrew_serve_no_longer() -> None:
    bench = Bench()
    await bench.source.refresh_if_due()
    bench.fetch.fault = KeysWithdrawn("none left")
    bench.clock.move(600)
    await bench.source.refresh_if_due()
    assert await bench.away(), "an outage keeps the last keys, an answer without any does not"
    assert (bench.source.usable(), bench.source.age_s()) == (False, None)
    assert bench.told == ["none left"]
    bench.fetch.fault = None
    bench.clock.move(5)
    assert (await bench.source.keys_for("rsa-1")).has("rsa-1")
    assert bench.told == ["none left", ""]


@pytest.mark.parametrize("stale_s", [0.0, 3600.0, DAY_S])
async def test_how_long_keys_serve_without_their_provider(stale_s: float) -> None:
    bench = Bench(stale_s=stale_s)
    await bench.source.refresh_if_due()
    bench.fetch.fault = KeySetFault("away")
    bench.clock.move(FRESH_S + stale_s)
    assert not await bench.away()
    bench.clock.move(1)
    assert not bench.source.usable()
    assert await bench.away()
    bench.fetch.fault = None
    bench.clock.move(5)
    assert not await bench.away()


async def test_strict_keys_are_renewed_before_they_end() -> None:
    bench = Bench(stale_s=0.0)
    failures = 0
    for _ in range(7200):
        await bench.source.refresh_if_due()
        failures += await bench.away()
        bench.clock.move(1)
    assert failures == 0
    assert bench.fetch.count == 12


async def test_ten_thousand_random_kids_in_a_minute_are_three_fetches() -> None:
    bench = Bench()
    for _ in range(10_000):
        found = await bench.source.keys_for(secrets.token_hex(8))
        assert found is KEYS
        bench.clock.move(60 / 10_000)
    assert bench.fetch.count <= 3


async def test_many_random_kids_at_once_are_one_fetch() -> None:
    bench = Bench()
    await bench.source.refresh_if_due()
    bench.clock.move(60)
    await asyncio.gather(*(bench.source.keys_for(f"kid-{each}") for each in range(1000)))
    assert bench.fetch.count == 2


async def test_a_new_key_is_found_by_the_first_token_that_bears_it() -> None:
    bench = Bench()
    await bench.source.refresh_if_due()
    bench.clock.move(31)
    bench.fetch.keys = ROTATED
    assert (await bench.source.keys_for("rsa-2")).has("rsa-2")
    assert bench.fetch.count == 2


async def test_rotation_with_overlap_has_no_false_refusal() -> None:
    """The provider publishes the new key 15 minutes before it signs with it, and the old one 15 minutes longer."""
    bench = Bench()
    refused = 0
    for second in range(0, 3600, 5):
        bench.fetch.keys = KEYS if second < 900 else ROTATED if second < 2700 else key_set("rsa-2")
        await bench.source.refresh_if_due()
        kid = "rsa-1" if second < 1800 else "rsa-2"
        refused += not (await bench.source.keys_for(kid)).has(kid)
        bench.clock.move(5)
    assert refused == 0
    assert bench.fetch.count == 6


async def test_a_kid_that_was_not_found_is_not_looked_for_again_soon() -> None:
    bench = Bench()
    await bench.source.refresh_if_due()
    for _ in range(60):
        bench.clock.move(2)
        await bench.source.keys_for("lost")
    assert bench.fetch.count == 2
    bench.clock.move(60)
    await bench.source.keys_for("lost")
    assert bench.fetch.count == 3


async def test_a_kid_that_comes_after_all_is_known_at_once() -> None:
    bench = Bench()
    await bench.source.refresh_if_due()
    bench.clock.move(31)
    await bench.source.keys_for("rsa-2")
    bench.fetch.keys = ROTATED
    bench.clock.move(600)
    await bench.source.refresh_if_due()
    assert (await bench.source.keys_for("rsa-2")).has("rsa-2")
    assert not bench.source._missing


async def test_a_failed_look_is_no_proof_that_a_kid_is_missing() -> None:
    bench = Bench()
    await bench.source.refresh_if_due()
    bench.clock.move(31)
    bench.fetch.fault = KeySetFault("away")
    assert not (await bench.source.keys_for("rsa-2")).has("rsa-2")
    bench.fetch.fault, bench.fetch.keys = None, ROTATED
    bench.clock.move(31)
    assert (await bench.source.keys_for("rsa-2")).has("rsa-2")


async def test_the_memory_of_missing_kids_is_bounded() -> None:
    bench = Bench()
    for each in range(MAX_NEGATIVE + 10):
        await bench.source.keys_for(f"kid-{each}")
        bench.clock.move(31)
    assert len(bench.source._missing) == MAX_NEGATIVE
    assert "kid-0" not in bench.source._missing


async def test_a_bug_in_the_fetch_is_nobodys_permission() -> None:
    bench = Bench()
    bench.fetch.fault = RuntimeError("bug")
    with pytest.raises(RuntimeError, match="bug"):
        await bench.source.keys_for("rsa-1")
    assert not bench.source.usable()


async def test_close_ends_a_running_fetch_and_whoever_waits_is_refused() -> None:
    bench = Bench()
    bench.fetch.hold = asyncio.Event()
    waiting = asyncio.create_task(bench.source.keys_for("rsa-1"))
    for _ in range(3):
        await asyncio.sleep(0)
    await bench.source.close()
    with pytest.raises(PolicyUnavailable):
        await waiting
    assert bench.fetch.closed
    assert await bench.away()
    assert bench.fetch.count == 1


async def test_close_without_a_fetch() -> None:
    bench = Bench()
    await bench.source.close()
    assert bench.fetch.closed
