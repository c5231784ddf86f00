"""From a principal's team to claims."""

from policies.limits import (
    ConcurrencyClaim,
    RateClaim,
    concurrency_claims,
    concurrency_refusal,
    rate_claims,
    rate_refusal,
)
from policies.networks import Networks
from policies.policy import Limits
from policies.principal import Principal
from policies.rate_limit import Rate

KEY = Principal(kind="api_key", team="a", key_id="k1", owner="", scopes=frozenset(), networks=Networks())


def test_claims_are_the_keys_own() -> None:
    limits = Limits(requests_per_minute=6, burst_requests=2, concurrent_requests=3)
    assert rate_claims(KEY, limits) == (RateClaim("key:k1", Rate(6, 2)),)
    assert concurrency_claims(KEY, limits) == (ConcurrencyClaim("key:k1", 3),)


def test_no_limit_makes_no_claim() -> None:
    limits = Limits(requests_per_minute=None, concurrent_requests=None)
    assert rate_claims(KEY, limits) == ()
    assert concurrency_claims(KEY, limits) == ()


def test_refusals_name_the_limit_and_the_time() -> None:
    refusal = rate_refusal(RateClaim("key:k1", Rate(6, 2)), 1_500_000_000)
    assert (refusal.limit, refusal.retry_after_s) == ("6 requests a minute", 1.5)
    assert concurrency_refusal(ConcurrencyClaim("key:k1", 3)).limit == "3 concurrent requests"
