"""Four processes on one real redis-server, small; `make prove P=redis_limits` runs the full size."""

import pytest

from bench.proofs.redis_limits import differing, race
from tests.redis_server import redis_server


@pytest.mark.slow
async def test_four_processes_count_as_one_would_in_sequence() -> None:
    with redis_server() as server:
        steps = race(server, 4, 500)
        assert server.ask("SCRIPT", "FLUSH") == b"OK"
    assert len(steps) >= 2_000
    assert {kind for _, kind, _, _ in steps} == {"take", "reserve", "settle"}
    assert any(isinstance(came, tuple) and came[0] == "RateLimited" for _, _, _, came in steps)
    assert await differing(steps) == 0
