import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.supervision.loading import keep_loading


class Pauses:
    """Waits no time."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)


class Load:
    """Fails so often, by raising or by returning, and then goes on."""

    def __init__(self, failures: int, fault: Exception | None) -> None:
        self.runs = 0
        self.failures = failures
        self.fault = fault
        self.goes_on = asyncio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs > self.failures:
            self.goes_on.set()
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), OSError("no descriptor"), None])
async def test_loading_that_fails_is_begun_again(fault: Exception | None) -> None:
    load, pauses = Load(3, fault), Pauses()
    with capture_logs() as logs:
        keeping = asyncio.create_task(keep_loading(load, pauses))
        await asyncio.wait_for(load.goes_on.wait(), 30)
    assert not keeping.done()
    assert (load.runs, len(pauses.delays_s)) == (4, 3)
    assert {each["event"] for each in logs} == {"loading_failed"}
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_loading_that_fails_again_and_again_ends_the_service_loudly() -> None:
    load: Any = Load(99, RuntimeError("a bug"))
    with capture_logs() as logs:
        assert await keep_loading(load, Pauses()) == 1
    assert load.runs == 5
    assert (logs[-1]["event"], logs[-1]["log_level"]) == ("loading_given_up", "critical")
