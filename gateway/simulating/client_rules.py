"""When a refused or silent client comes back: the rules of openai-python 3.54 (`_base_client.py`), its defaults.

(1) `Retry-After` above 120 s, or `x-should-retry: false`: it does not come back.
(2) `Retry-After` of more than 0 and up to 120 s is waited for exactly.
(3) Otherwise, also after a time-out: 0.5 s doubling with each retry up to 8 s, less up to a quarter by chance.
(4) After `retries` of them it gives up.
"""

from random import Random

from msgspec import Struct

MAX_RETRY_AFTER_S = 120.0
INITIAL_RETRY_S = 0.5
MAX_RETRY_S = 8.0
JITTER = 0.25


class ClientRules(Struct, frozen=True, kw_only=True):
    """How clients behave. `patience_s` is how long they wait for a first token, `retries` how often they come back."""

    patience_s: float = 600.0
    retries: int = 0


SDK_RULES = ClientRules(retries=2)
"""openai-python as it comes."""


def retry_delay_s(
    rules: ClientRules, attempt: int, retry_after_s: float | None, *, may_retry: bool, chance: Random
) -> float | None:
    """Seconds until the client asks again after its `attempt` (0: the first) failed; None: it gives up."""
    if attempt >= rules.retries or not may_retry or (retry_after_s is not None and retry_after_s > MAX_RETRY_AFTER_S):
        return None
    if retry_after_s is not None and retry_after_s > 0:
        return retry_after_s
    return min(INITIAL_RETRY_S * 2.0**attempt, MAX_RETRY_S) * (1 - JITTER * chance.random())
