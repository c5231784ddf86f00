"""What is limited and whose it is: from a principal's team to claims on a store, and what a store is.

Step 6 takes the request rate and keeps it whatever a later step says; step 10 reserves concurrency,
all claims or none, and settles when the request is over. A store that cannot be asked refuses
(`PolicyUnavailable`), it never allows.
"""

from typing import Protocol

from msgspec import Struct

from policies.errors import RateLimited
from policies.policy import Limits
from policies.principal import Principal
from policies.rate_limit import Rate

RETRY_CONCURRENCY_S = 1.0
"""A running request's end cannot be foreseen here; one second is the least a client should wait."""


class RateClaim(Struct, frozen=True):
    """One request against the bucket `name`."""

    name: str
    rate: Rate


class ConcurrencyClaim(Struct, frozen=True):
    """One of at most `limit` requests at once under `name`."""

    name: str
    limit: int


class Reservation(Struct, frozen=True):
    """What a request holds until it is settled. `id` is the store's own."""

    id: int
    claims: tuple[ConcurrencyClaim, ...]


class Store(Protocol):
    """Where limits are counted. Both forms (memory, shared) answer alike."""

    async def take(self, claims: tuple[RateClaim, ...], now_ns: int) -> None:
        """Charge all buckets. Raises RateLimited, with nothing charged, when one has no room."""
        ...

    async def reserve(self, claims: tuple[ConcurrencyClaim, ...]) -> Reservation:
        """Hold all claims or raise RateLimited and hold none."""
        ...

    async def settle(self, reservation: Reservation) -> None:
        """Give back what was held; settling twice is the same as once."""
        ...


def rate_claims(principal: Principal, limits: Limits) -> tuple[RateClaim, ...]:
    """The buckets that step 6 charges for this principal."""
    if limits.requests_per_minute is None:
        return ()
    return (RateClaim(f"key:{principal.key_id}", Rate(limits.requests_per_minute, limits.burst_requests)),)


def concurrency_claims(principal: Principal, limits: Limits) -> tuple[ConcurrencyClaim, ...]:
    """What step 10 reserves for this principal."""
    if limits.concurrent_requests is None:
        return ()
    return (ConcurrencyClaim(f"key:{principal.key_id}", limits.concurrent_requests),)


def rate_refusal(claim: RateClaim, retry_after_ns: int) -> RateLimited:
    """The refusal for a bucket without room."""
    return RateLimited(
        "rate_limited", limit=f"{claim.rate.per_minute} requests a minute", retry_after_s=retry_after_ns / 1e9
    )


def concurrency_refusal(claim: ConcurrencyClaim) -> RateLimited:
    """The refusal for one request too many at once."""
    return RateLimited(
        "concurrency_limited", limit=f"{claim.limit} concurrent requests", retry_after_s=RETRY_CONCURRENCY_S
    )
