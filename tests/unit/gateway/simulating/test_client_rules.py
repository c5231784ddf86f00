"""When a client comes back: each rule of openai-python, and openai-python's own code asked the same."""

from random import Random

import httpx2
import pytest
from openai import OpenAI
from openai._models import FinalRequestOptions

from gateway.simulating.client_rules import SDK_RULES, ClientRules, retry_delay_s


def delay_s(attempt: int, retry_after_s: float | None, *, may_retry: bool = True) -> float | None:
    return retry_delay_s(SDK_RULES, attempt, retry_after_s, may_retry=may_retry, chance=Random(1))


@pytest.mark.parametrize("told_s", [0.001, 1.0, 119.9, 120.0])
def test_a_time_of_up_to_two_minutes_is_kept_exactly(told_s: float) -> None:
    assert delay_s(0, told_s) == told_s
    assert delay_s(1, told_s) == told_s


def test_above_two_minutes_it_does_not_come_back() -> None:
    assert delay_s(0, 120.001) is None


def test_told_not_to_it_does_not_come_back() -> None:
    assert delay_s(0, 5.0, may_retry=False) is None
    assert delay_s(0, None, may_retry=False) is None


def test_after_its_retries_it_gives_up() -> None:
    assert delay_s(2, 5.0) is None
    assert retry_delay_s(ClientRules(), 0, 5.0, may_retry=True, chance=Random(1)) is None


@pytest.mark.parametrize("told_s", [None, 0.0, -1.0])
def test_untold_it_backs_off_by_half_a_second_doubling_up_to_eight(told_s: float | None) -> None:
    patient = ClientRules(retries=9)
    for attempt, full_s in enumerate((0.5, 1.0, 2.0, 4.0, 8.0, 8.0)):
        waits = [
            retry_delay_s(patient, attempt, told_s, may_retry=True, chance=Random(seed)) or 0.0 for seed in range(50)
        ]
        assert all(0.75 * full_s <= wait <= full_s for wait in waits)
        assert max(waits) - min(waits) > 0.15 * full_s


@pytest.mark.parametrize("headers", [{}, {"retry-after": "7"}, {"retry-after-ms": "2500"}, {"retry-after": "120.5"}])
@pytest.mark.parametrize("should_retry", [True, False])
@pytest.mark.parametrize("attempt", [0, 1])
def test_openai_python_itself_agrees(headers: dict[str, str], should_retry: bool, attempt: int) -> None:
    client = OpenAI(api_key="k", base_url="http://127.0.0.1:9")
    response = httpx2.Response(429, headers=headers if should_retry else headers | {"x-should-retry": "false"})
    options = FinalRequestOptions(method="post", url="/chat/completions")
    comes_back = client._should_retry(response)
    told_s = client._parse_retry_after_header(response.headers)
    ours = delay_s(attempt, told_s, may_retry=should_retry)
    assert comes_back == (ours is not None)
    if ours is not None:
        theirs = client._calculate_retry_timeout(SDK_RULES.retries - attempt, options, response.headers)
        full_s = told_s or 0.5 * 2**attempt
        low_s = told_s or 0.75 * full_s
        assert low_s <= theirs <= full_s
        assert low_s <= ours <= full_s
