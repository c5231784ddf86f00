import pytest

from gateway.tokens import verified_cache
from gateway.tokens.verified_cache import MAX_AGE_S, Proven, VerifiedCache
from policies.addresses.networks import Networks
from policies.credentials.principal import Principal


def proven(subject: str = "ada", expires_s: float = 1000.0) -> Proven:
    principal = Principal(kind="jwt", team="one", scopes=frozenset(), networks=Networks(), subject=subject)
    return Proven(principal=principal, binding="", expires_s=expires_s)


def test_a_minute_and_no_longer() -> None:
    cache = VerifiedCache()
    cache.put("t", proven(), 100.0)
    assert cache.get("t", 0.0, 100.0) == proven()
    assert cache.get("t", 0.0, 100.0 + MAX_AGE_S - 0.1) == proven()
    assert cache.get("t", 0.0, 100.0 + MAX_AGE_S) is None
    assert len(cache) == 0


def test_never_beyond_the_tokens_end() -> None:
    cache = VerifiedCache()
    cache.put("t", proven(expires_s=50.0), 100.0)
    assert cache.get("t", 49.9, 101.0) is not None
    assert cache.get("t", 50.0, 101.0) is None


def test_a_clock_that_goes_back_proves_nothing() -> None:
    cache = VerifiedCache()
    cache.put("t", proven(), 100.0)
    assert cache.get("t", 0.0, 99.0) is None


def test_the_least_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_cache, "MAX_TOKENS", 3)
    cache = VerifiedCache()
    for text in "abc":
        cache.put(text, proven(text), 0.0)
    assert cache.get("a", 0.0, 1.0) is not None
    cache.put("d", proven("d"), 1.0)
    assert len(cache) == 3
    assert cache.get("b", 0.0, 1.0) is None
    assert all(cache.get(text, 0.0, 1.0) for text in "acd")


def test_flush() -> None:
    cache = VerifiedCache()
    cache.put("t", proven(), 0.0)
    cache.flush()
    assert cache.get("t", 0.0, 0.0) is None


@pytest.mark.parametrize("shared", [20, 64, 128])
def test_tokens_that_share_their_beginning_are_strangers(shared: int) -> None:
    """LiteLLM CVE-2026-35030: the cache's key was the first 20 characters."""
    cache = VerifiedCache()
    texts = [f"{'e' * shared}{number:05}" for number in range(5000)]
    for text in texts:
        cache.put(text, proven(text), 0.0)
    mixed = sum(
        found is None or found.principal.subject != text
        for text in texts
        if (found := cache.get(text, 0.0, 1.0)) or True
    )
    assert mixed == 0
