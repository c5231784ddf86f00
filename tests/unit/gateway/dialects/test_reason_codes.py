"""The codes of the contract, and nothing else's."""

import pytest

from engine.errors import ContextTooLong, EngineError, WorkerDied
from gateway.dialects.reason_codes import reason_code
from policies import errors as refused
from policies.errors import Refused


@pytest.mark.parametrize("reason", ["queue_full", "team_queue_full", "deadline_unreachable", "expired_in_queue"])
def test_an_overload_has_its_own(reason: str) -> None:
    assert reason_code(refused.Overloaded(reason, retry_after_s=1.0)) == reason
    assert reason_code(refused.Overloaded(reason, retry_after_s=None)) == reason


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused.RateLimited("private", limit="l", retry_after_s=1), "rate_limited"),
        (refused.QuotaExceeded("private", limit="l", retry_after_s=1), "rate_limited"),
        (refused.NoCapacity("private"), "no_capacity"),
        (refused.BeyondLimit("private", limit="l"), "too_large"),
        (refused.BodyTooLarge("private", limit_bytes=9), "too_large"),
        (ContextTooLong("private", prompt_tokens=9, limit_tokens=8), "too_large"),
    ],
)
def test_other_codes(error: Refused | EngineError, code: str) -> None:
    assert reason_code(error) == code


@pytest.mark.parametrize(
    "error", [None, WorkerDied("r"), refused.NotAuthorized("r"), refused.Overloaded("bodies_full", retry_after_s=1.0)]
)
def test_the_rest_has_none(error: Refused | EngineError | None) -> None:
    assert reason_code(error) == ""
