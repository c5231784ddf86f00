"""Turns: one at a time, lanes in rotation, leavers cost nothing."""

import asyncio

from engine.links.turns import Turns


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_question_of_another_lane_waits_for_one_of_this() -> None:
    turns, order = Turns(), list[str]()

    async def ask(lane: str, name: str) -> None:
        await turns.take(lane)
        order.append(name)

    await turns.take("loud")
    waiting = [asyncio.create_task(ask("loud", f"loud {number}")) for number in range(3)]
    await settled()
    waiting.append(asyncio.create_task(ask("quiet", "quiet")))
    await settled()
    assert order == []
    for _ in range(4):
        turns.give_back()
        await settled()
    assert order == ["loud 0", "quiet", "loud 1", "loud 2"]
    turns.give_back()
    await turns.take("loud")


async def test_one_who_leaves_is_passed_over() -> None:
    turns = Turns()
    await turns.take("a")
    first, second = (asyncio.create_task(turns.take("a")) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    turns.give_back()
    await second


async def test_a_turn_given_to_one_who_leaves_goes_on() -> None:
    turns = Turns()
    await turns.take("a")
    first, second = (asyncio.create_task(turns.take("a")) for _ in range(2))
    await settled()
    turns.give_back()
    first.cancel()
    await settled()
    assert first.cancelled()
    await second
