"""The log's heavy proofs in small: counts and outcomes, never times."""

import pytest

from bench.proofs import audit_kills, audit_latency


@pytest.mark.slow
@pytest.mark.e2e
def test_a_gateway_killed_twenty_times_loses_nothing_acknowledged() -> None:
    """`make prove P=audit_kills` kills a thousand times."""
    figures = audit_kills.prove(20)
    assert (figures["kills"], figures["lost"]) == (20, 0)
    assert figures["acknowledged"] >= 20


@pytest.mark.slow
async def test_requests_are_recorded_at_their_pace() -> None:
    figures = await audit_latency.measure(1.0, lone=20)
    assert 350 < figures["requests"] < 650
