"""The time of a refusal does not tell whether a key's id exists: unknown id against wrong secret, interleaved.

The difference of the means must be at most 1 microsecond; Welch's t is told beside it. Both kinds are drawn at
random, so that neither the clock's drift nor the processor's caches favour one.
"""

import dataclasses
import random
import secrets
import statistics
import time

from policies.credentials.api_key import NewKey, mint
from policies.credentials.credential import ApiKeyCredential
from policies.credentials.key_record import KeyRecord, new_record
from policies.credentials.principal import verify_api_key
from policies.errors import NotAuthenticated

SAMPLES = 100_000
KEYS = 1_000
MAX_DIFFERENCE_NS = 1_000
PEPPERS = {1: b"p" * 32}


def prove() -> dict[str, object]:
    """The figures of both kinds, in nanoseconds."""
    draw = random.Random(1)
    known = [mint(secrets.token_bytes) for _ in range(KEYS)]
    records = {key.id: record_of_another(key) for key in known}
    wrong = [ApiKeyCredential(key.text) for key in known]
    unknown = [ApiKeyCredential(mint(secrets.token_bytes).text) for _ in range(KEYS)]
    spent: dict[str, list[int]] = {"unknown": [], "wrong_secret": []}
    for number in range(2 * SAMPLES + 2_000):
        credential = draw.choice(draw.choice((wrong, unknown)))
        reason, took_ns = refuse(credential, records)
        if number >= 2_000:  # the first ones warm caches up
            spent[reason].append(took_ns)
    return judge(spent)


def record_of_another(key: NewKey) -> KeyRecord:
    """A record under the id of `key` that its secret does not open."""
    record = new_record(key, PEPPERS, 0.0, team="t", scopes=frozenset({"inference"}))
    return dataclasses.replace(record, digest=secrets.token_bytes(len(record.digest)))


def refuse(credential: ApiKeyCredential, records: dict[str, KeyRecord]) -> tuple[str, int]:
    """The private reason of a refusal, and how long it took."""
    started_ns = time.perf_counter_ns()
    try:
        verify_api_key(credential, records.get, PEPPERS, 1.0)
    except NotAuthenticated as refused:
        return refused.reason, time.perf_counter_ns() - started_ns
    raise AssertionError("a false key was accepted")


def judge(spent: dict[str, list[int]]) -> dict[str, object]:
    """Means without the slowest per cent (other work on the machine), their difference, and Welch's t."""
    kept = {reason: sorted(times)[: len(times) * 99 // 100] for reason, times in spent.items()}
    means = {reason: statistics.fmean(times) for reason, times in kept.items()}
    spread = sum(statistics.variance(times) / len(times) for times in kept.values())
    difference_ns = means["unknown"] - means["wrong_secret"]
    assert abs(difference_ns) <= MAX_DIFFERENCE_NS, f"the means differ by {difference_ns:.0f} ns"
    return {
        "samples": {reason: len(times) for reason, times in spent.items()},
        "mean_ns": {reason: round(mean, 1) for reason, mean in means.items()},
        "difference_ns": round(difference_ns, 1),
        "bound_ns": MAX_DIFFERENCE_NS,
        "welch_t": round(difference_ns / spread**0.5, 2),
    }
