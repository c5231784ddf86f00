"""Where two persons must agree to an act, no page does it."""

from dataclasses import fields
from typing import Any

import pytest

from gateway.console.page import Turned
from gateway.console.world import World
from tests.unit.gateway.console.auditing.review_house import viewer_of


class Acts:
    """Notes what is done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def perform(self, name: str, _arguments: dict[str, Any], _actor: object) -> dict[str, Any]:
        self.done.append(name)
        return {}


class Visited:
    viewer = viewer_of("admin")


def world_of(acts: Acts, *, alone: bool) -> World:
    parts: dict[str, Any] = {each.name: None for each in fields(World)}
    return World(**parts | {"acts": acts, "acts_alone": alone})


LIFT = {"lift": True}
GUARDED = [("lockdown", LIFT), ("holds.lift", {"id": "1"}), ("audit.export", {"opened": True})]


@pytest.mark.parametrize(("act", "arguments"), GUARDED)
async def test_what_two_must_agree_to_is_left_to_the_command(act: str, arguments: dict[str, Any]) -> None:
    acts = Acts()
    with pytest.raises(Turned, match="two_persons") as turned:
        await world_of(acts, alone=False).perform(Visited(), act, arguments)  # type: ignore[arg-type]
    assert (turned.value.status, acts.done) == (409, [])
    await world_of(acts, alone=True).perform(Visited(), act, arguments)  # type: ignore[arg-type]
    assert acts.done == [act]


async def test_what_one_does_alone_is_done_with_signers_too() -> None:
    acts = Acts()
    world = world_of(acts, alone=False)
    await world.perform(Visited(), "audit.export", {"opened": False})  # type: ignore[arg-type]
    await world.perform(Visited(), "keys.create", {})  # type: ignore[arg-type]
    assert acts.done == ["audit.export", "keys.create"]
