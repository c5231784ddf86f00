"""The wait for a slot, and the comments that tell of it, to the byte."""

import asyncio
from collections.abc import Callable

import pytest

from gateway import queue_turn
from gateway.audit.recording import Recording
from gateway.dialects.contract import Renderer
from gateway.dialects.ollama_renderer import CHAT, OllamaRenderer
from gateway.dialects.openai_renderer import ChatRenderer
from gateway.exchange import Exchange
from gateway.incoming import ClientGone
from gateway.queue_turn import QueueComments, queued_comment, take_turn
from gateway.stream_shape import StreamMode, stream_shape
from policies.admitting.effects import Forecast
from policies.errors import AuditUnavailable, Overloaded
from tests.fakes import NS, FakeIncoming, FakeReply, ManualClock

FAR = Forecast(wait_s=4.2, p90_s=9.0, position=3)
NEAR = Forecast(wait_s=1.2, p90_s=2.0, position=1)


# ---- when to tell


def test_a_comment() -> None:
    assert queued_comment(FAR) == b": queued pos=3 eta_ms=5000\n\n"
    assert queued_comment(Forecast()) == b": queued pos=0 eta_ms=0\n\n"


def test_the_first_comment_is_told_at_once() -> None:
    assert QueueComments().due(FAR, 0) == queued_comment(FAR)


def test_a_change_is_told_at_most_once_a_second() -> None:
    comments = QueueComments()
    comments.due(FAR, 5 * NS)
    assert comments.due(NEAR, 6 * NS - 1) == b""
    assert comments.due(NEAR, 6 * NS) == queued_comment(NEAR)
    assert comments.due(FAR, 6 * NS + 1) == b""


def test_what_has_not_changed_is_told_to_keep_the_connection() -> None:
    comments = QueueComments()
    comments.due(FAR, 0)
    assert [comments.due(FAR, second * NS) for second in range(1, 15)] == [b""] * 14
    assert comments.due(FAR, 15 * NS) == queued_comment(FAR)
    assert comments.due(FAR, 29 * NS) == b""


def test_a_change_within_a_step_of_the_ladder_is_none() -> None:
    comments = QueueComments()
    comments.due(FAR, 0)
    assert comments.due(Forecast(wait_s=3.2, position=3), 2 * NS) == b""


# ---- the wait


class Place:
    """A place in a queue that a test moves on."""

    def __init__(self, *, waits: bool = True) -> None:
        self.seen = FAR
        self.among = 1
        self.looked: list[Callable[[], None]] = []
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not waits:
            self.outcome.set_result(None)

    def waits(self) -> bool:
        return not self.outcome.done()

    def forecast(self) -> Forecast:
        if self.looked:
            self.looked.pop(0)()
        return self.seen

    def crowd(self) -> int:
        return self.among

    async def turn(self) -> None:
        await self.outcome


class Scene:
    """One request that waits."""

    def __init__(self, mode: StreamMode = "plain", *, streamed: bool = True) -> None:
        self.clock = ManualClock()
        self.renderer: Renderer = ChatRenderer("m", streamed=streamed)
        self.exchange = Exchange(FakeIncoming("POST", "/v1/chat/completions"), self.clock)
        self.exchange.shape = stream_shape(mode, self.renderer)
        self.reply = FakeReply()
        self.recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.recorded.set_result(None)

    async def wait(self, place: Place, *, events: bool = True) -> None:
        self.exchange.queue_answered(place.seen, waits=place.waits())
        await take_turn(place, self.exchange, self.reply, self.renderer, Recording(self.recorded), events=events)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_turn, "POLL_S", 0)


async def test_who_has_a_slot_is_told_nothing_yet() -> None:
    scene = Scene()
    await scene.wait(Place(waits=False))
    assert not scene.reply.started


@pytest.mark.parametrize("streamed", [True, False])
async def test_without_events_the_status_line_is_held_back(*, streamed: bool) -> None:
    scene, place = Scene(streamed=streamed), Place()
    asyncio.get_running_loop().call_soon(place.outcome.set_result, None)
    await scene.wait(place, events=not streamed)
    assert not scene.reply.started


@pytest.mark.parametrize("events", [True, False])
async def test_nothing_is_told_or_run_before_the_authorization_is_lasting(*, events: bool) -> None:
    scene, place = Scene(), Place(waits=events)
    scene.recorded = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(scene.wait(place, events=events))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not scene.reply.started
    assert not waiting.done()
    scene.recorded.set_result(None)
    for _ in range(10):
        await asyncio.sleep(0)
    assert scene.reply.started is events
    if events:
        place.outcome.set_result(None)
    await waiting


async def test_an_authorization_that_cannot_be_recorded_is_not_run() -> None:
    scene = Scene()
    scene.recorded = asyncio.get_running_loop().create_future()
    scene.recorded.set_exception(AuditUnavailable("audit_eio"))
    with pytest.raises(AuditUnavailable):
        await scene.wait(Place(waits=False))


async def test_lines_of_json_have_no_place_for_comments() -> None:
    scene, place = Scene(), Place()
    scene.renderer = OllamaRenderer("m", CHAT, streamed=True)
    asyncio.get_running_loop().call_soon(place.outcome.set_result, None)
    await scene.wait(place)
    assert not scene.reply.started


@pytest.mark.parametrize(("among", "pause_s"), [(1, 1.05), (512, 1.05), (2048, 4.2)])
async def test_in_a_crowd_each_is_told_less_often(monkeypatch: pytest.MonkeyPatch, among: int, pause_s: float) -> None:
    monkeypatch.setattr(queue_turn, "POLL_S", 1.05)
    scene, place, pauses = Scene(), Place(), list[float]()

    async def slept(pause_s: float) -> None:
        pauses.append(pause_s)
        place.outcome.set_result(None)

    monkeypatch.setattr(asyncio, "sleep", slept)
    place.among = among
    await scene.wait(place)
    assert pauses == [pause_s]


async def test_a_comment_that_nobody_reads_does_not_hold_up_the_turn() -> None:
    scene, place = Scene(), Place()
    write, reads = scene.reply.write, asyncio.Event()

    async def stuck(data: bytes) -> None:
        await write(data)
        await reads.wait()

    scene.reply.write = stuck  # type: ignore[method-assign]
    asyncio.get_running_loop().call_later(0.0, place.outcome.set_result, None)
    await scene.wait(place)
    assert scene.reply.body == queued_comment(FAR)


async def test_the_wait_is_told_to_the_byte() -> None:
    scene, place = Scene(), Place()

    def nearer() -> None:
        scene.clock.move(1.0)
        place.seen = NEAR

    place.looked = [lambda: None, nearer, lambda: place.outcome.set_result(None)]
    await scene.wait(place)
    assert scene.reply.body == b": queued pos=3 eta_ms=5000\n\n: queued pos=1 eta_ms=1500\n\n"
    assert (scene.reply.status, scene.reply.ended) == (200, False)
    assert scene.reply.headers["content-type"] == "text/event-stream"
    assert scene.reply.headers["x-admission-decision"] == "queued"
    assert scene.reply.headers["x-queue-predicted-wait-ms"] == "5000"
    assert "x-queue-wait-ms" not in scene.reply.headers
    assert scene.exchange.streaming
    assert scene.exchange.renderer is scene.renderer


@pytest.mark.parametrize("mode", ["padded", "batched"])
async def test_shaped_streams_keep_their_sizes(mode: StreamMode) -> None:
    scene, place = Scene(mode), Place()
    writes: list[int] = []
    scene.reply = FakeReply(on_write=lambda data: writes.append(len(data)))

    def nearer() -> None:
        scene.clock.move(1.0)
        place.seen = NEAR

    place.looked = [lambda: None, nearer, lambda: place.outcome.set_result(None)]
    await scene.wait(place)
    assert writes == [1017, 1017]
    assert scene.reply.headers["x-padding"] == "1024 4096"
    told = [line for line in scene.reply.body.split(b"\n") if line.strip(b":.")]
    assert told == [b": queued pos=3 eta_ms=5000", b": queued pos=1 eta_ms=1500"]


async def test_a_refusal_comes_out_of_the_wait() -> None:
    scene, place = Scene(), Place()
    place.looked = [lambda: place.outcome.set_exception(Overloaded("expired_in_queue", retry_after_s=None))]
    with pytest.raises(Overloaded):
        await scene.wait(place)
    assert scene.exchange.streaming


async def test_a_caller_that_is_gone_ends_the_wait() -> None:
    scene, place = Scene(), Place()
    scene.reply = FakeReply(gone_after=0)
    with pytest.raises(ClientGone):
        await scene.wait(place)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cut_ends_the_wait() -> None:
    scene, place = Scene(), Place()
    waiting = asyncio.create_task(scene.wait(place))
    place.looked = [lambda: None, waiting.cancel]
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert place.outcome.cancelled()
