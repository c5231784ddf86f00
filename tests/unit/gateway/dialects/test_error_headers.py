import pytest

from engine.errors import ContextTooLong, ModelNotReady, SlotTaken, UpstreamFailed, WorkerDied
from gateway.dialects.error_headers import headers_of
from policies.errors import (
    AddressNotAllowed,
    BadRequest,
    ConflictingCredentials,
    CredentialInUrl,
    HostNotAllowed,
    LockedDown,
    MethodNotAllowed,
    NoCapacity,
    NotAuthenticated,
    NotAuthorized,
    OriginNotAllowed,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    Refused,
    Revoked,
)


def test_no_credential_is_told_from_a_bad_one_by_error_only() -> None:
    assert dict(headers_of(NotAuthenticated("missing", presented=False))) == {
        "WWW-Authenticate": 'Bearer realm="corral"',
        "x-should-retry": "false",
    }
    for reason in ("unknown", "expired", "revoked"):
        assert dict(headers_of(NotAuthenticated(reason, presented=True))) == {
            "WWW-Authenticate": 'Bearer realm="corral", error="invalid_token"',
            "x-should-retry": "false",
        }
    assert headers_of(Revoked("r")) == headers_of(NotAuthenticated("r", presented=True))


def test_two_credentials() -> None:
    assert dict(headers_of(ConflictingCredentials("r")))["WWW-Authenticate"].endswith('error="invalid_request"')


@pytest.mark.parametrize("error", [HostNotAllowed("r"), OriginNotAllowed("r"), LockedDown("r"), AddressNotAllowed("r")])
def test_no_retry_helps(error: Refused) -> None:
    assert headers_of(error) == (("x-should-retry", "false"),)


def test_a_scope_that_is_missing_is_said_in_the_words_of_rfc_6750() -> None:
    challenge = ("WWW-Authenticate", 'Bearer realm="corral", error="insufficient_scope"')
    assert headers_of(NotAuthorized("r")) == (challenge, ("x-should-retry", "false"))


def test_a_credential_in_the_url_is_an_invalid_request() -> None:
    challenge = ("WWW-Authenticate", 'Bearer realm="corral", error="invalid_request"')
    assert headers_of(CredentialInUrl("r")) == (challenge, ("x-should-retry", "false"))


@pytest.mark.parametrize(
    ("wait_s", "seconds", "milliseconds"),
    [(0.0, "0", "0"), (0.2, "1", "200"), (1.0, "1", "1000"), (1.0001, "2", "1001"), (-5.0, "0", "0")],
)
def test_retry_after_is_rounded_up(wait_s: float, seconds: str, milliseconds: str) -> None:
    expected = (("Retry-After", seconds), ("retry-after-ms", milliseconds))
    assert headers_of(Overloaded("queue_full", retry_after_s=wait_s)) == expected
    assert headers_of(NoCapacity("none", retry_after_s=wait_s)) == expected
    assert headers_of(RateLimited("r", limit="l", retry_after_s=wait_s)) == expected
    assert headers_of(QuotaExceeded("r", limit="l", retry_after_s=wait_s)) == (*expected, ("x-should-retry", "false"))


def test_an_endless_wait_is_a_number() -> None:
    assert dict(headers_of(Overloaded("r", retry_after_s=float("inf"))))["Retry-After"] == "31622400"


@pytest.mark.parametrize("error", [WorkerDied("r"), UpstreamFailed("r"), ModelNotReady("r"), SlotTaken("r")])
def test_a_restart_is_soon(error: WorkerDied) -> None:
    assert dict(headers_of(error))["Retry-After"] == "1"


def test_allow() -> None:
    assert headers_of(MethodNotAllowed(("GET", "HEAD"))) == (("Allow", "GET, HEAD"),)


def test_others_have_none() -> None:
    assert headers_of(None) == ()
    assert headers_of(BadRequest("r", "t")) == ()
    assert headers_of(ContextTooLong("r", prompt_tokens=2, limit_tokens=1)) == ()
