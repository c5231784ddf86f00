from collections.abc import Iterator

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._models import FinalRequestOptions

from engine.errors import ContextTooLong, ModelNotReady, SlotTaken, UpstreamFailed, WorkerDied
from gateway.dialects.error_headers import headers_of
from policies.errors import (
    AddressNotAllowed,
    BadRequest,
    BeyondLimit,
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
    [(0.0, "1", "1"), (0.2, "1", "200"), (1.0, "1", "1000"), (1.0001, "2", "1001"), (-5.0, "1", "1")],
)
def test_retry_after_is_rounded_up(wait_s: float, seconds: str, milliseconds: str) -> None:
    expected = (("Retry-After", seconds), ("retry-after-ms", milliseconds))
    for error in (
        Overloaded("queue_full", retry_after_s=wait_s),
        NoCapacity("none", retry_after_s=wait_s),
        RateLimited("r", limit="l", retry_after_s=wait_s),
        QuotaExceeded("r", limit="l", retry_after_s=wait_s),
    ):
        assert headers_of(error)[:2] == expected
        assert (("x-should-retry", "false") in headers_of(error)) == isinstance(error, QuotaExceeded)


def test_the_queues_reason_is_told_where_a_body_has_no_place_for_it() -> None:
    assert dict(headers_of(Overloaded("team_queue_full", retry_after_s=1.0)))["X-Admission-Reason"] == "team_queue_full"
    assert dict(headers_of(NoCapacity("private")))["X-Admission-Reason"] == "no_capacity"
    assert "X-Admission-Reason" not in dict(headers_of(Overloaded("bodies_full", retry_after_s=1.0)))


def test_what_cannot_be_booked_is_told_so() -> None:
    assert headers_of(Overloaded("deadline_unreachable", retry_after_s=None)) == (
        ("X-Admission-Reason", "deadline_unreachable"),
        ("x-should-retry", "false"),
    )


def test_nobody_knows_when_a_worker_comes_back() -> None:
    assert headers_of(NoCapacity("r", retry_after_s=None)) == (("X-Admission-Reason", "no_capacity"),)


BOOKED = st.floats(0, 120)


@given(BOOKED)
def test_nobody_is_told_to_come_before_his_booking_nor_after_its_grace(wait_s: float) -> None:
    told = dict(headers_of(Overloaded("queue_full", retry_after_s=wait_s)))
    assert wait_s <= int(told["retry-after-ms"]) / 1000 <= wait_s + 0.0011
    assert wait_s <= int(told["Retry-After"]) <= wait_s + 1


def answered(error: Refused) -> httpx2.Response:
    return httpx2.Response(error.status, headers=dict(headers_of(error)))


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url="http://localhost") as client:
        yield client


@given(wait_s=BOOKED)
def test_the_official_client_comes_when_it_is_told(client: openai.OpenAI, wait_s: float) -> None:
    """By its own functions: it waits for the announced milliseconds, with no spread of its own."""
    busy = answered(Overloaded("queue_full", retry_after_s=wait_s))
    assert client._should_retry(busy)
    delay_s = client._calculate_retry_timeout(2, FinalRequestOptions(method="post", url="/"), busy.headers)
    assert wait_s <= delay_s <= wait_s + 0.0011


def test_the_official_client_stays_away_when_it_is_told(client: openai.OpenAI) -> None:
    assert not client._should_retry(answered(Overloaded("queue_full", retry_after_s=None)))
    assert not client._should_retry(answered(BeyondLimit("r", limit="l")))
    assert client._should_retry(answered(NoCapacity("r", retry_after_s=None)))


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
    assert headers_of(ContextTooLong("r", prompt_tokens=2, limit_tokens=1)) == (("X-Admission-Reason", "too_large"),)
