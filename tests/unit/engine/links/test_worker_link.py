import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import frames
from engine.errors import ReaderTooSlow, SlotTaken, WorkerDied
from engine.frames import AskCounters, Cancel, Ended, Output, Start, WorkerRequest
from engine.interface import Prepared, TakenRun
from engine.links import worker_link
from engine.links.call_frames import pack_ids
from engine.links.worker_link import WorkerCount, WorkerLink
from engine.residency import Residence
from policies.call import Call, Embedded, Event, Final, Text
from tests.unit.engine.engine_process_fake import FakeProcess, RecordingObserver, process_plan, worker_hello

CHAT = Prepared(call=Call(kind="chat", model="tiny:latest"), prompt_tokens=2, prompt_ids=((1, 2),), max_output_tokens=8)
COUNTERS = frames.Counters(
    decode_calls=3, steps=3, output_tokens=9, prefill_tokens=1, cached_tokens=0, started=1, ended=1, cancelled=0,
    busy_slots=0,
)  # fmt: skip


def step(*outputs: Output, ended: tuple[Ended, ...] = ()) -> frames.Step:
    return frames.Step(
        outputs=outputs, ended=ended, step_ns=5, decode_rows=len(outputs), prefill_rows=0, cached_tokens=0,
        output_tokens=len(outputs), busy_slots=1, slots=4,
    )  # fmt: skip


def text(frame_id: int, words: str) -> Output:
    return Output(id=frame_id, text=words, output_tokens=1)


class Scene:
    """A link with its worker behind it, both greeted."""

    def __init__(self, worker: FakeProcess, link: WorkerLink, observer: RecordingObserver) -> None:
        self.worker = worker
        self.link = link
        self.observer = observer

    async def started(self) -> int:
        frame = await self.worker.next()
        assert isinstance(frame, Start)
        return frame.id


@asynccontextmanager
async def scene(tmp_path: Path, role: str = "chat") -> AsyncIterator[Scene]:
    observer = RecordingObserver()
    link = WorkerLink(process_plan(tmp_path / "w", role), observer)
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello(role)) as worker:
        link.open()
        try:
            assert (await observer.state()).ready
            yield Scene(worker, link, observer)
        finally:
            await link.close()


async def collect(events: AsyncIterator[Event], into: list[Event]) -> None:
    async for event in events:
        into.append(event)  # noqa: PERF401  # kept when the stream breaks off


async def test_a_stream_from_start_to_end(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.link.run(CHAT, seed=42) as events:
        start = await at.worker.next()
        assert (start.token_ids, start.sampling.seed, start.max_output_tokens) == ((pack_ids((1, 2)),), 42, 8)
        at.worker.send(step(text(start.id, "Pa")))
        at.worker.send(step(text(start.id, "ris"), ended=(Ended(id=start.id, reason="stop", output_tokens=2),)))
        heard: list[Event] = []
        await asyncio.wait_for(collect(events, heard), 30)
        assert heard[:2] == [Text("Pa"), Text("ris")]
        assert isinstance(heard[2], Final)
        target, report = await at.observer.report()
        assert (target, report.step_ns, report.slots) == ("pool:worker-0", 5, 4)
    assert at.worker.received.empty()  # nothing to cancel


async def test_what_the_target_can_do_is_announced_from_its_hello(tmp_path: Path) -> None:
    observer = RecordingObserver()
    link = WorkerLink(process_plan(tmp_path / "w", "embedding"), observer)
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello("embedding", slots=3)):
        link.open()
        state = await observer.state()
        await link.close()
    assert (state.target, state.models, state.kinds, state.slots) == (
        "pool:worker-0",
        ("tiny:latest",),
        ("embedding",),
        3,
    )
    assert not (await observer.state()).ready


async def test_vectors(tmp_path: Path) -> None:
    call = Call(kind="embedding", model="tiny:latest", inputs=("a",))
    prepared = Prepared(call=call, prompt_tokens=1, prompt_ids=((1,),), max_output_tokens=0)
    async with scene(tmp_path, "embedding") as at, at.link.run(prepared, seed=1) as events:
        frame_id = await at.started()
        at.worker.send(step(ended=(Ended(id=frame_id, reason="stop", vectors=(struct.pack("<f", 0.5),)),)))
        assert await anext(events) == Embedded(((0.5,),))
        assert isinstance(await anext(events), Final)


async def test_a_taken_slot_is_told_before_the_first_event(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        async with at.link.run(CHAT, seed=1) as events:
            at.worker.send(frames.SlotTaken(id=await at.started()))
            with pytest.raises(SlotTaken):
                await anext(events)
        assert at.worker.received.empty()


async def test_who_has_begun_cannot_be_sent_back_to_the_queue(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.link.run(CHAT, seed=1) as events:
        frame_id = await at.started()
        at.worker.send(step(text(frame_id, "a")))
        assert await anext(events) == Text("a")
        at.worker.send(frames.SlotTaken(id=frame_id))
        at.worker.send(frames.SlotTaken(id=frame_id))  # it is over: nothing more
        with pytest.raises(WorkerDied, match="worker_answer_malformed"):
            await anext(events)


async def test_a_request_left_early_is_cancelled_and_its_late_output_dropped(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        async with at.link.run(CHAT, seed=1) as events:
            frame_id = await at.started()
            at.worker.send(step(text(frame_id, "a")))
            await anext(events)
        assert await at.worker.next() == Cancel(id=frame_id)
        at.worker.send(step(text(frame_id, "late"), ended=(Ended(id=frame_id, reason="stop"),)))
        async with at.link.run(CHAT, seed=1) as events:
            other_id = await at.started()
            assert other_id != frame_id
            at.worker.send(step(text(other_id, "b")))
            assert await anext(events) == Text("b")


async def test_a_cancelled_task_cancels_in_the_worker(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:

        async def consume() -> None:
            async with at.link.run(CHAT, seed=1) as events:
                await anext(events)

        task = asyncio.create_task(consume())
        frame_id = await at.started()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await at.worker.next() == Cancel(id=frame_id)


async def test_a_dead_worker_ends_its_requests_at_once_after_what_was_sent(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        async with at.link.run(CHAT, seed=1) as events:
            at.worker.send(step(text(await at.started(), "half")))
            await at.observer.report()
            at.worker.drop()
            assert not (await at.observer.state()).ready
            assert await anext(events) == Text("half")
            with pytest.raises(WorkerDied, match="connection_lost"):
                await anext(events)
        assert (await at.observer.state()).ready  # connected again
        assert at.worker.received.empty()
        assert at.observer.deaths == [("pool:worker-0", (CHAT,), True)]


async def test_all_that_ran_on_a_dead_worker_is_told_and_what_was_left_just_now_too(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        async with at.link.run(CHAT, seed=1):
            async with at.link.run(CHAT, seed=1):
                await at.started()
                await at.started()
            assert isinstance(await at.worker.next(), Cancel)
            at.worker.drop()
            await at.observer.state()
        assert at.observer.deaths == [("pool:worker-0", (CHAT, CHAT), True)]


async def test_an_idle_worker_that_dies_and_one_that_left_make_nobody_a_suspect(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.worker.drop()
        assert not (await at.observer.state()).ready
        assert (await at.observer.state()).ready
        async with at.link.run(CHAT, seed=1) as events:
            await at.started()
            at.worker.send(frames.Leaving())
            assert await at.worker.next() == frames.Farewell()
            at.worker.drop()
            with pytest.raises(WorkerDied):
                await anext(events)
        assert at.observer.deaths == []


async def test_leaving_after_the_worker_died_is_harmless(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.link.run(CHAT, seed=1):
        await at.started()
        at.worker.drop()
        await at.observer.state()


async def test_without_a_connection_a_run_dies_at_its_start(tmp_path: Path) -> None:
    link = WorkerLink(process_plan(tmp_path / "w"), RecordingObserver())
    with pytest.raises(WorkerDied, match="not_connected"):
        async with link.run(CHAT, seed=1):
            raise AssertionError
    with pytest.raises(WorkerDied):
        await link.counters()
    await link.close()


@pytest.mark.parametrize(
    ("end", "reason"),
    [({"fault": "non_finite_logits"}, "worker_fault: non_finite_logits"), ({}, "worker_answer_malformed")],
)
async def test_a_fault_of_one_request_is_its_own(tmp_path: Path, end: dict[str, Any], reason: str) -> None:
    async with scene(tmp_path) as at, at.link.run(CHAT, seed=1) as good, at.link.run(CHAT, seed=1) as bad:
        good_id, bad_id = await at.started(), await at.started()
        at.worker.send(step(text(good_id, "fine"), ended=(Ended(id=bad_id, **end), Ended(id=999, reason="stop"))))
        with pytest.raises(WorkerDied, match=reason):
            await anext(bad)
        assert await anext(good) == Text("fine")


async def test_a_slow_reader_is_cut_off_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_link, "UNREAD_EVENTS", 3)
    async with scene(tmp_path) as at, at.link.run(CHAT, seed=1) as slow, at.link.run(CHAT, seed=1) as quick:
        slow_id, quick_id = await at.started(), await at.started()
        for number in range(6):
            at.worker.send(step(text(slow_id, "x"), text(quick_id, str(number))))
            assert await anext(quick) == Text(str(number))
        assert await at.worker.next() == Cancel(id=slow_id)
        with pytest.raises(ReaderTooSlow, match="reader_too_slow"):
            await anext(slow)
    assert await at.worker.next() == Cancel(id=quick_id)
    assert at.worker.received.empty()


async def test_a_worker_cannot_fill_the_gateway_with_few_long_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_link, "UNREAD_CHARACTERS", 5)
    monkeypatch.setattr(worker_link, "MOST_OUTPUT_CHARACTERS", 4)
    async with scene(tmp_path) as at, at.link.run(CHAT, seed=1) as one, at.link.run(CHAT, seed=1) as other:
        one_id, other_id = await at.started(), await at.started()
        for _ in range(3):  # read at once: they do not add up
            at.worker.send(step(text(one_id, "four")))
            assert await anext(one) == Text("four")
        at.worker.send(step(*(text(one_id, "four") for _ in range(3)), text(other_id, "fives")))
        with pytest.raises(ReaderTooSlow):
            await anext(one)
        with pytest.raises(WorkerDied, match="worker_answer_malformed"):
            await anext(other)
        assert [await at.worker.next(), await at.worker.next()] == [Cancel(id=one_id), Cancel(id=other_id)]


@pytest.mark.parametrize("changes", [{"slots": 0}, {"slots": -1}, {"slots": 5}, {"threads": 2}, {"threads": -1}])
async def test_a_worker_that_claims_more_than_the_plan_gives_it_is_not_used(
    tmp_path: Path, changes: dict[str, int]
) -> None:
    observer = RecordingObserver()
    link = WorkerLink(process_plan(tmp_path / "w"), observer)
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello(**changes)) as worker:
        link.open()
        for _ in range(3000):
            if worker.connections >= 2:
                break
            await asyncio.sleep(0.01)
        await link.close()
    assert worker.connections >= 2
    assert observer.states.empty()


async def test_a_worker_that_says_leaving_again_and_again_is_answered_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        for _ in range(3):
            at.worker.send(frames.Leaving())
        at.worker.send(step())
        await at.observer.report()
        assert await at.worker.next() == frames.Farewell()
        assert at.worker.received.empty()
        assert (await at.observer.state()).standby == "absent"
        assert at.observer.states.empty()


async def test_a_step_with_a_count_below_nothing_ends_the_connection(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.worker.send(msgspec.structs.replace(step(), decode_rows=-1))
        assert not (await at.observer.state()).ready
        assert at.observer.reports.empty()


async def test_counters_are_asked_for_once_by_all_who_want_them(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        asked = [asyncio.create_task(at.link.counters()) for _ in range(2)]
        assert await at.worker.next() == AskCounters()
        at.worker.send(COUNTERS)
        assert await asyncio.gather(*asked) == [COUNTERS, COUNTERS]
        assert at.worker.received.empty()
        at.worker.send(COUNTERS)  # unasked: dropped
        at.worker.send(step())
        await at.observer.report()
        again = asyncio.create_task(at.link.counters())
        assert await at.worker.next() == AskCounters()
        at.worker.drop()
        with pytest.raises(WorkerDied):
            await again


async def test_a_count_says_how_many_starts_it_does_not_hold(tmp_path: Path) -> None:
    counts: asyncio.Queue[WorkerCount] = asyncio.Queue()
    observer = RecordingObserver()
    link = WorkerLink(process_plan(tmp_path / "w"), observer, name="here:1", on_count=counts.put_nowait)
    assert not link.ask_count()  # nobody is there
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello(life="ab")) as worker:
        link.open()
        await observer.state()
        async with link.run(CHAT, 1) as first:
            link.ask_count()
            async with link.run(CHAT, 1) as second:
                worker.send(COUNTERS)
                told = await counts.get()
                assert (told.target, told.life, told.counters, told.unread) == ("pool:worker-0", "ab", COUNTERS, 1)
                assert [each.taken_by for each in (first, second) if isinstance(each, TakenRun)] == ["ab", "ab"]
                for frame in (frames.SlotTaken(id=2), frames.Leaving(), COUNTERS):
                    worker.send(frame)
                assert (await counts.get()).unread is None
                assert [each.taken_by for each in (first, second) if isinstance(each, TakenRun)] == ["ab", ""]
        asked = asyncio.create_task(link.counters())
        await asyncio.sleep(0)
        link.ask_count()
        worker.send(COUNTERS)
        worker.send(COUNTERS)
        assert await asked == COUNTERS
        assert (await counts.get()).unread == 0
        assert counts.empty()
        await link.close()


@pytest.mark.parametrize("wrong", [worker_hello("embedding"), worker_hello(model="other:latest")])
async def test_a_worker_other_than_the_planned_one_is_refused(tmp_path: Path, wrong: Any) -> None:
    observer = RecordingObserver()
    link = WorkerLink(process_plan(tmp_path / "w"), observer)
    async with FakeProcess(tmp_path / "w", WorkerRequest, wrong) as worker:
        link.open()
        while worker.connections < 2:
            await asyncio.wait_for(asyncio.sleep(0), 5)
        assert observer.states.empty()
        await link.close()


async def test_a_second_hello_ends_the_connection(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.worker.send(worker_hello())
        assert not (await at.observer.state()).ready


async def test_a_worker_that_leaves_finishes_what_runs_and_sends_the_rest_back_to_the_queue(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        async with at.link.run(CHAT, seed=1) as events:
            frame_id = await at.started()
            at.worker.send(frames.Leaving())
            assert not (await at.observer.state()).ready
            assert await at.worker.next() == frames.Farewell()
            at.worker.send(step(ended=(Ended(id=frame_id, reason="stop", output_tokens=2),)))
            heard: list[Event] = []
            await asyncio.wait_for(collect(events, heard), 30)
            assert isinstance(heard[-1], Final)
        at.worker.drop()
        assert not (await at.observer.state()).ready
        with pytest.raises(SlotTaken):  # the queue had decided before it knew
            async with at.link.run(CHAT, seed=1):
                pass
        assert (await at.observer.state()).ready  # the next process greets
        async with at.link.run(CHAT, seed=1):
            await at.started()


async def test_the_queue_hears_of_the_adapters_that_were_loaded(tmp_path: Path) -> None:
    """Of those that the plan names only: what nobody allowed is not offered."""
    observer = RecordingObserver()
    plan = process_plan(tmp_path / "w", adapters=(("a:1", "/b/a"), ("b:1", "/b/b")))
    link = WorkerLink(plan, observer)
    link.introduce()
    assert (await observer.state()).adapters == ("", "a:1", "b:1")
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello(adapters=("b:1", "other:1"))):
        link.open()
        state = await observer.state()
        assert (state.ready, state.adapters) == (True, ("", "b:1"))
        await link.close()


def residence(state: Any, **changes: Any) -> Residence:
    values = {"name": "worker-0", "model": "m", "role": "chat", "needs_bytes": 1, "since_s": 1.0, **changes}
    return Residence(state=state, **values)


async def test_what_the_loader_says_of_a_worker_that_does_not_answer_is_announced(tmp_path: Path) -> None:
    observer = RecordingObserver()
    link = WorkerLink(process_plan(tmp_path / "w"), observer)
    link.introduce()
    assert (await observer.state()).standby == ""
    for state, standby in (("unloaded", "absent"), ("starting", "loading"), ("restarting", ""), ("draining", "absent")):
        link.stand(residence(state, load_s=2.0))
        told = await observer.state()
        assert (told.ready, told.standby, told.load_s) == (False, standby, 2.0)
    link.stand(residence("unloaded", load_s=2.0))
    assert observer.states.empty()  # that means the same
    link.stand(residence("held", reason="killed by SIGABRT"))
    told = await observer.state()
    assert (told.standby, told.fault) == ("failed", "killed by SIGABRT")
    link.stand(None)
    assert (await observer.state()).standby == ""


async def test_a_worker_that_serves_is_not_announced_again_and_one_that_left_counts_as_absent(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.link.stand(residence("loaded", load_s=2.0))
        assert at.observer.states.empty()
        at.worker.send(frames.Leaving())
        assert (await at.observer.state()).standby == "absent"
        at.link.stand(None)
        assert (await at.observer.state()).standby == "absent"


async def test_a_frame_beyond_what_a_step_can_hold_ends_the_connection_before_it_is_read(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.link.run(CHAT, seed=1) as events:
        await at.started()
        assert at.worker._writer is not None
        at.worker._writer.write((16 * 1024 * 1024).to_bytes(4, "little") + b"x")
        with pytest.raises(WorkerDied, match="protocol_fault"):
            await anext(events)


async def test_a_worker_that_says_that_it_leaves_and_stays_is_told_of_until_it_is_gone(tmp_path: Path) -> None:
    stays: list[bool] = []
    link = WorkerLink(process_plan(tmp_path / "w"), RecordingObserver(), lambda: stays.append(link.stays))
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello()) as worker:
        link.open()
        while stays != [False]:  # noqa: ASYNC110  # rounds of the loop, no time
            await asyncio.sleep(0)
        worker.send(frames.Leaving())
        assert await worker.next() == frames.Farewell()
        assert stays == [False, True]
    while stays != [False, True, False]:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await link.close()
