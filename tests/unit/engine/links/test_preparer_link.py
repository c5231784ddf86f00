import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DeadlineExceeded, ModelNotReady, PrepareFailed
from engine.frames import Describe, Description, Failed, Prepare, PreparerRequest, Ready
from engine.links.call_frames import pack_ids
from engine.links.preparer_link import PreparerLink
from policies.call import Call, Message, ModelDescription
from tests.unit.engine.engine_process_fake import FakeProcess, preparer_hello, process_plan, worker_hello

CALL = Call(kind="chat", model="tiny:latest", messages=(Message("user", "hi"),))


def ready(frame_id: int, *ids: int) -> Ready:
    return Ready(id=frame_id, token_ids=(pack_ids(ids),), prompt_tokens=len(ids), max_output_tokens=7)


@asynccontextmanager
async def scene(tmp_path: Path, **plan: Any) -> AsyncIterator[tuple[FakeProcess, PreparerLink]]:
    link = PreparerLink(process_plan(tmp_path / "p", "preparer", "preparer-0", **plan))
    async with FakeProcess(tmp_path / "p", PreparerRequest, preparer_hello()) as preparer:
        link.open()
        try:
            while link.capabilities is None:  # noqa: ASYNC110  # rounds of the loop, no time
                await asyncio.sleep(0)
            yield preparer, link
        finally:
            await link.close()


async def test_questions_are_asked_one_at_a_time(tmp_path: Path) -> None:
    async with scene(tmp_path) as (preparer, link):
        first, second = asyncio.create_task(link.prepare(CALL)), asyncio.create_task(link.prepare(CALL))
        asked = await preparer.next()
        assert isinstance(asked, Prepare)
        assert asked.messages == CALL.messages
        assert preparer.received.empty()
        preparer.send(ready(asked.id, 1, 1))
        preparer.send(ready((await preparer.next()).id, 2))
        assert ((await first).prompt_ids, (await second).prompt_ids) == (((1, 1),), ((2,),))
        assert (await first).max_output_tokens == 7


async def test_a_question_whose_caller_left_keeps_its_turn_until_it_is_answered(tmp_path: Path) -> None:
    async with scene(tmp_path) as (preparer, link):
        left = asyncio.create_task(link.prepare(CALL))
        asked = await preparer.next()
        left.cancel()
        patient = asyncio.create_task(link.prepare(CALL))
        await asyncio.sleep(0)
        assert preparer.received.empty()
        preparer.send(ready(asked.id, 1))
        preparer.send(ready((await preparer.next()).id, 2))
        assert (await patient).prompt_ids == ((2,),)


async def test_patience_in_line_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.links.preparer_link.PATIENCE_SHARE", 0.001)
    async with scene(tmp_path) as (preparer, link):
        asked = asyncio.create_task(link.prepare(CALL))
        await preparer.next()
        with pytest.raises(DeadlineExceeded, match="prepare_line"):
            await link.prepare(CALL)
        asked.cancel()


async def test_what_the_model_says_of_itself(tmp_path: Path) -> None:
    async with scene(tmp_path) as (preparer, link):
        asked = asyncio.create_task(link.describe())
        frame = await preparer.next()
        assert isinstance(frame, Describe)
        preparer.send(Description(id=frame.id, info={"general.name": "tiny"}, template="{{ x }}"))
        assert await asked == ModelDescription(info={"general.name": "tiny"}, template="{{ x }}")
        assert link.capabilities == ("completion", "tools")


async def test_a_failure_is_raised_as_its_error(tmp_path: Path) -> None:
    async with scene(tmp_path) as (preparer, link):
        asked = asyncio.create_task(link.prepare(CALL))
        preparer.send(Failed(id=(await preparer.next()).id, kind="input", reason="bad", text="no"))
        with pytest.raises(PrepareFailed):
            await asked


@pytest.mark.parametrize("what", ["prepare", "describe"])
async def test_an_answer_to_another_question_is_not_taken(tmp_path: Path, what: str) -> None:
    async with scene(tmp_path) as (preparer, link):
        asked: asyncio.Task[Any] = asyncio.create_task(link.prepare(CALL) if what == "prepare" else link.describe())
        frame_id = (await preparer.next()).id
        preparer.send(ready(frame_id, 1) if what == "describe" else Description(id=frame_id, info={}, template=""))
        with pytest.raises(ModelNotReady, match="mismatch"):
            await asked


async def test_an_answer_that_does_not_fit_the_call_is_not_taken(tmp_path: Path) -> None:
    async with scene(tmp_path) as (preparer, link):
        asked = asyncio.create_task(link.prepare(CALL))
        preparer.send(Ready(id=(await preparer.next()).id, token_ids=(), prompt_tokens=0))
        with pytest.raises(ModelNotReady, match="malformed"):
            await asked


async def test_silence_ends_at_the_deadline_and_a_late_answer_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path) as (preparer, link):
        with monkeypatch.context() as hasty:
            hasty.setattr("engine.links.preparer_link.DEADLINE_SHARE", 0.001)
            asked = asyncio.create_task(link.prepare(CALL))
            frame_id = (await preparer.next()).id
            with pytest.raises(DeadlineExceeded, match="prepare_timeout"):
                await asked
        preparer.send(ready(frame_id, 1))
        again = asyncio.create_task(link.describe())
        frame = await preparer.next()
        preparer.send(Description(id=frame.id, info={}, template=""))
        await again


async def test_a_lost_preparer_is_told_at_once_and_its_return_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.links.preparer_link.RETURN_GRACE_S", 0.0)
    async with scene(tmp_path) as (preparer, link):
        asked = asyncio.create_task(link.prepare(CALL))
        await preparer.next()
        preparer.drop()
        with pytest.raises(ModelNotReady, match="preparer_connection_lost"):
            await asked
        with pytest.raises(ModelNotReady, match="preparer_away"):
            await link.prepare(CALL)


async def test_a_cancelled_question_leaves_nothing_behind(tmp_path: Path) -> None:
    async with scene(tmp_path) as (preparer, link):
        asked = asyncio.create_task(link.prepare(CALL))
        await preparer.next()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        preparer.drop()


@pytest.mark.parametrize("wrong", [preparer_hello(model="other:latest"), worker_hello()])
async def test_a_preparer_other_than_the_planned_one_is_refused(tmp_path: Path, wrong: Any) -> None:
    link = PreparerLink(process_plan(tmp_path / "p", "preparer", "preparer-0"))
    async with FakeProcess(tmp_path / "p", PreparerRequest, wrong) as preparer:
        link.open()
        while preparer.connections < 2:
            await asyncio.wait_for(asyncio.sleep(0), 5)
        assert link.capabilities is None
        await link.close()


async def test_a_second_hello_ends_the_connection(tmp_path: Path) -> None:
    async with scene(tmp_path) as (preparer, link):
        asked = asyncio.create_task(link.prepare(CALL))
        await preparer.next()
        preparer.send(preparer_hello())
        with pytest.raises(ModelNotReady, match="preparer_protocol_fault"):
            await asked


async def test_a_question_that_lay_before_a_preparer_that_stood_still_is_asked_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.links.preparer_link.ASKED_AGAIN_AFTER_S", 0.0)
    async with scene(tmp_path) as (preparer, link):
        asked, behind = asyncio.create_task(link.prepare(CALL)), asyncio.create_task(link.prepare(CALL))
        await preparer.next()
        preparer.drop()
        preparer_again = await preparer.next()
        preparer.send(ready(preparer_again.id, 1))
        preparer.send(ready((await preparer.next()).id, 2))
        assert ((await asked).prompt_ids, (await behind).prompt_ids) == (((1,),), ((2,),))


@pytest.mark.parametrize(("after_s", "timeout_s"), [(600.0, 2.0), (0.0, 1e-9)])
async def test_a_question_that_ended_the_preparer_at_once_or_at_its_limit_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_s: float, timeout_s: float
) -> None:
    monkeypatch.setattr("engine.links.preparer_link.ASKED_AGAIN_AFTER_S", after_s)
    monkeypatch.setattr("engine.links.preparer_link.DEADLINE_SHARE", 30.0 / timeout_s)
    async with scene(tmp_path, timeout_s=timeout_s) as (preparer, link):
        asked = asyncio.create_task(link.prepare(CALL))
        await preparer.next()
        preparer.drop()
        with pytest.raises(ModelNotReady, match="preparer_connection_lost"):
            await asked


async def test_a_preparer_that_does_not_read_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(tmp_path) as (_, link):
        monkeypatch.setattr("engine.links.channel.UNSENT_BYTES", -1)
        with pytest.raises(ModelNotReady, match="preparer_not_reading"):
            await link.prepare(CALL)
