"""Two gateway processes, one Redis, one worker: one is killed. In full size: `make prove P=shared_queue`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.proofs.shared_queue import killed_with_work
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


def test_a_killed_gateway_costs_its_own_requests_and_frees_its_slots(server: RedisServer, model_file: Path) -> None:
    """What the other was asked for is answered, once, and the dead one's work in the worker is cancelled."""
    assert model_file.exists()
    found = killed_with_work(server, "deciding")
    assert found["started"] == found["ended"] + found["cancelled"]
    assert found["other_outcomes"] == []
