"""Four processes on one real redis-server, small; `make prove P=redis_limits` runs the full size."""

import pytest

from bench.proofs.redis_limits import Starved, Step, differing, race
from tests.redis_server import RedisServer, redis_server

RACES = 5
"""On a busy machine; one that starves a process for three seconds in each of them is not one to test on."""


@pytest.mark.slow
async def test_four_processes_count_as_one_would_in_sequence() -> None:
    with redis_server() as server:
        steps = raced(server)
        assert server.ask("SCRIPT", "FLUSH") == b"OK"
    assert len(steps) >= 2_000
    assert {kind for _, kind, _, _ in steps} == {"take", "reserve", "settle"}
    assert any(isinstance(came, tuple) and came[0] == "RateLimited" for _, _, _, came in steps)
    assert await differing(steps) == 0


def raced(server: RedisServer) -> list[Step]:
    """The steps of the first race in which every process kept running."""
    for _ in range(RACES - 1):
        try:
            return race(server, 4, 500)
        except Starved:
            continue
    return race(server, 4, 500)
