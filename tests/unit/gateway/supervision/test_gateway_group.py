"""Several gateways as one: started after the first, replaced one by one, stopped together."""

import asyncio
from collections.abc import Callable

from gateway.supervision.gateway_group import GatewayGroup


class FakeKeeper:
    """Keeps a gateway that is ready, or ends, when told."""

    def __init__(self, notes: list[str], name: str, on_ready: Callable[[], None]) -> None:
        self._notes = notes
        self._name = name
        self.become_ready = on_ready
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def keep(self) -> int:
        self._notes.append(f"keep {self._name}")
        return await self.ended

    async def replace(self) -> None:
        self._notes.append(f"replace {self._name}")
        await asyncio.sleep(0)
        self._notes.append(f"replaced {self._name}")

    async def stop(self, hurry: asyncio.Event) -> None:
        self._notes.append(f"stop {self._name}")
        await asyncio.sleep(0)
        self._notes.append(f"stopped {self._name}")


class Scene:
    """A group of fakes, with what happened to them in order."""

    def __init__(self, count: int) -> None:
        self.notes: list[str] = []
        self.keepers: list[FakeKeeper] = []
        self.group = GatewayGroup(count, self._make, lambda: self.notes.append("all ready"))

    def _make(self, on_ready: Callable[[], None]) -> FakeKeeper:
        self.keepers.append(FakeKeeper(self.notes, str(len(self.keepers)), on_ready))
        return self.keepers[-1]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_others_start_once_the_first_is_ready() -> None:
    at = Scene(3)
    keeping = asyncio.create_task(at.group.keep())
    await turns()
    assert at.notes == ["keep 0"]
    at.keepers[0].become_ready()
    await turns()
    assert at.notes == ["keep 0", "keep 1", "keep 2"]
    at.keepers[2].become_ready()
    at.keepers[1].become_ready()
    assert at.notes[3:] == ["all ready"]
    at.keepers[1].ended.set_result(2)
    assert await keeping == 2


async def test_a_first_that_does_not_start_is_the_only_one() -> None:
    at = Scene(3)
    keeping = asyncio.create_task(at.group.keep())
    await turns()
    at.keepers[0].ended.set_result(2)
    assert await keeping == 2
    assert at.notes == ["keep 0"]


async def test_one_alone_is_ready_when_it_is() -> None:
    at = Scene(1)
    keeping = asyncio.create_task(at.group.keep())
    await turns()
    at.keepers[0].become_ready()
    assert at.notes == ["keep 0", "all ready"]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert at.keepers[0].ended.cancelled()


async def test_replaced_one_by_one_and_stopped_together() -> None:
    at = Scene(2)
    await at.group.replace()
    assert at.notes == ["replace 0", "replaced 0", "replace 1", "replaced 1"]
    at.notes.clear()
    await at.group.stop(asyncio.Event())
    assert at.notes == ["stop 0", "stop 1", "stopped 0", "stopped 1"]
