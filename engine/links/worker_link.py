"""A gateway's side of one worker: its running requests, and what each of them has not read yet.

State of a request: `start` → (text)* → one of: ended, slot taken, worker lost, read too slowly, left.
Each of the last five ends it once; the last two send `Cancel`. Frames are handed on without waiting, so a
reader that stalls never holds up the others; it is cut off once `UNREAD_EVENTS` wait for it.

Nobody vouches for a worker: what it says of itself stays within the plan, one output within `MOST_OUTPUT_CHARACTERS`.

A worker that makes room for another says `Leaving`: it gets no more requests, those that run go on to their end, and
one that was to run there is answered `SlotTaken`, so that it goes back to the queue, until a worker greets again.
A worker that is lost without that word has died, and the observer hears of what ran there (`last_batch`).

What a worker counts is read at one point of the conversation: frames keep their order, so its answer holds exactly the
starts that were sent before the question. `WorkerCount.unread` tells how many were sent since.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

import msgspec

from engine import frames
from engine.answers.answer_events import AnswerEvents
from engine.errors import EngineError, ReaderTooSlow, SlotTaken, WorkerDied
from engine.frames import Cancel, Ended, FrameError, WorkerHello
from engine.interface import Observer, Prepared, Standby, TargetState
from engine.links.answer_bytes import MOST_OUTPUT_CHARACTERS, most_answer_bytes
from engine.links.call_frames import last_events, start_frame, step_report
from engine.links.channel import Channel, ChannelClosed
from engine.links.last_batch import LastBatch
from engine.plan import ProcessPlan
from engine.residency import Residence, State
from policies.call import CallKind, Event, Final

UNREAD_EVENTS = 2048  # about half a minute of a fast stream; a client that is slower is stopped by its write deadline
UNREAD_CHARACTERS = 4 * 1024 * 1024  # a worker that was taken over shall not fill the gateway with few long pieces

STANDBY: dict[State, Standby] = {
    "unloaded": "absent",
    "draining": "absent",
    "starting": "loading",
    "held": "failed",
}
"""What the loader's word means for a worker that does not answer; one that restarts comes back soon or is held."""

KINDS: dict[str, tuple[CallKind, ...]] = {"chat": ("chat", "completion"), "embedding": ("embedding",)}


class WorkerCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker counted in the `life` it tells of. `unread` starts of ours are not in it: they were sent after the
    question. None: it ends, was not asked, and nobody knows what it left unread.
    """

    target: str
    life: str
    counters: frames.Counters
    unread: int | None = None


class EventStream(AsyncIterator[Event]):
    """The events of one request, in order; raises the EngineError that ended it after those before it.

    `taken_by` is the life of the worker that it was sent to, "" once that answered `SlotTaken`.
    """

    def __init__(self, prepared: Prepared, taken_by: str = "") -> None:
        self.prepared = prepared
        self.taken_by = taken_by
        self.over = self.began = False
        self._answer = AnswerEvents(prepared.form, prepared.call.tools)
        self._unread: deque[Event] = deque()
        self._characters = 0  # since all was read
        self._error: EngineError | None = None
        self._news = asyncio.Event()

    def take(self, output: frames.Output) -> None:
        """Add what one step gained."""
        self.began = True
        self._characters += len(output.text)
        for event in self._answer.take(output.text, output.logprobs, output.output_tokens):
            self.put(event)

    def close(self, last: Iterable[Event]) -> None:
        """Add what was held back, and the `last` events."""
        for event in (*self._answer.finish(), *last):
            self.put(event)

    def put(self, event: Event) -> None:
        """Add `event`; `Final` ends the stream."""
        self._unread.append(event)
        self.over = self.over or isinstance(event, Final)
        self._news.set()

    def full(self) -> bool:
        """True when as much is unread as may be."""
        return len(self._unread) >= UNREAD_EVENTS or self._characters > UNREAD_CHARACTERS

    def fail(self, error: EngineError) -> None:
        """End the stream with `error`, once what came before was read."""
        self.over = True
        self._error = error
        self._news.set()

    def cut(self, error: EngineError) -> None:
        """End the stream with `error` at once, dropping what is unread."""
        self._unread.clear()
        self.fail(error)

    async def __anext__(self) -> Event:
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self.over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        event = self._unread.popleft()
        if not self._unread:
            self._characters = 0
        return event


class WorkerLink:
    """See the head of the module. `target` is how the queue knows this worker. `on_leaving` is called when what
    `stays` says may have changed.
    """

    def __init__(
        self,
        plan: ProcessPlan,
        observer: Observer,
        on_leaving: Callable[[], object] = lambda: None,
        name: str = "",
        on_count: Callable[[WorkerCount], None] = lambda _count: None,
    ) -> None:
        """`name` is this gateway's; `on_count` hears what `ask_count` asked for, and a worker's last counts."""
        self.plan = plan
        self.target = f"pool:{plan.name}"
        self._observer = observer
        self._on_leaving = on_leaving
        self._on_count = on_count
        hello = frames.Hello(version=frames.PROTOCOL_VERSION, name=name)
        self._channel = Channel(plan.socket, frames.WorkerAnswer, self, hello=hello, most_bytes=most_answer_bytes(plan))
        self._life = ""
        self._starts = 0
        self._asked: deque[tuple[int, bool]] = deque()
        self._streams: dict[int, EventStream] = {}
        self._ids = itertools.count(1)
        self._counters: asyncio.Future[frames.Counters] | None = None
        self._is_away = False
        self._is_ready = False
        self._residence: Residence | None = None
        self._last_batch = LastBatch()
        self._adapters = tuple(name for name, _ in plan.adapters)

    def open(self) -> None:
        """Begin to connect."""
        self._channel.open()

    def introduce(self) -> None:
        """Make the worker known before it has loaded, so that its first requests wait instead of being refused."""
        self._announce(self.plan.slots, ready=False)

    async def close(self) -> None:
        """End the connection; what still runs here ends with WorkerDied."""
        self._is_away = True  # nobody died
        await self._channel.close()

    def stand(self, residence: Residence | None) -> None:
        """What the loader says of this worker by now; None: nothing is known."""
        before, self._residence = self._standing(), residence
        if not self._is_ready and self._standing() != before:
            self._announce(self.plan.slots, ready=False)

    @contextlib.asynccontextmanager
    async def run(self, prepared: Prepared, seed: int, fence: int = 0) -> AsyncIterator[AsyncIterator[Event]]:
        """Run `prepared`; leaving the context before its end cancels it in the worker.

        Raises WorkerDied, or SlotTaken where the worker has left for another.
        """
        if self._is_away:
            raise SlotTaken("worker_away")
        frame_id = next(self._ids)
        stream = EventStream(prepared, self._life)
        self._send(start_frame(frame_id, prepared, seed, fence))
        self._starts += 1
        self._last_batch.started(len(self._streams))
        self._streams[frame_id] = stream
        try:
            yield stream
        finally:
            self._leave(frame_id)

    @property
    def stays(self) -> bool:
        """Whether the worker has said that it leaves and is still there."""
        return self._is_away and self._channel.connected

    async def counters(self) -> frames.Counters:
        """The worker's totals. Raises WorkerDied; waits for the step that is running."""
        # Answers carry no id, so all who ask while one is under way share it.
        if self._counters is None or self._counters.done():
            self._ask(to_be_told=False)
            self._counters = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._counters)

    def ask_count(self) -> bool:
        """Ask for what `on_count` is to hear; False for a worker that is not there."""
        try:
            self._ask(to_be_told=True)
        except WorkerDied:
            return False
        return True

    # ---- the channel's reports

    def greeted(self, hello: object) -> None:
        """The worker is loaded and serves."""
        if not isinstance(hello, WorkerHello) or (hello.model, hello.role) != (self.plan.model, self.plan.role):
            raise FrameError(f"{self.plan.name} is not the process that the plan names")
        if hello.slots > self.plan.slots or hello.threads > self.plan.threads:
            raise FrameError(f"{self.plan.name} claims more slots or threads than the plan gives it")
        planned = [name for name, _ in self.plan.adapters]
        self._adapters = tuple(name for name in hello.adapters if name in planned)
        self._is_away = False
        self._on_leaving()
        self._life = hello.life
        self._announce(hello.slots, ready=True, slot_tokens=hello.slot_context_tokens, threads=hello.threads)

    def received(self, frame: object) -> None:
        """A frame of the worker."""
        if isinstance(frame, frames.Step):
            self._take_step(frame)
        elif isinstance(frame, frames.SlotTaken):
            self._take_refusal(frame.id)
        elif isinstance(frame, frames.Counters):
            self._answer_counters(frame)
        elif isinstance(frame, frames.Leaving):
            self._let_go()
        else:
            raise FrameError("a second hello")

    def lost(self, reason: str) -> None:
        """The worker is gone, and with it all that ran there."""
        streams, self._streams = self._streams, {}
        self._asked.clear()
        self._report_death(streams.values())
        for stream in streams.values():
            stream.fail(WorkerDied(reason))
        if self._counters is not None and not self._counters.done():
            self._counters.set_exception(WorkerDied(reason))
            self._counters.exception()  # heard, also when nobody waits for it any more
        self._announce(self.plan.slots, ready=False)
        self._on_leaving()

    # ---- inside

    def _ask(self, *, to_be_told: bool) -> None:
        self._send(frames.AskCounters())
        self._asked.append((self._starts, to_be_told))

    def _report_death(self, streams: Iterable[EventStream]) -> None:
        batch, alone = self._last_batch.died(stream.prepared for stream in streams)
        if batch and not self._is_away:
            self._observer.target_died(self.target, batch, alone=alone)

    def _let_go(self) -> None:
        """Every start of ours that the worker has not read yet is before this farewell, so it answers them."""
        if self._is_away:
            return  # said again
        self._is_away = True
        self._announce(self.plan.slots, ready=False)
        self._on_leaving()
        with contextlib.suppress(WorkerDied):  # it may be gone by now
            self._send(frames.Farewell())

    def _take_step(self, step: frames.Step) -> None:
        self._last_batch.stepped(step.busy_slots)
        for output in step.outputs:
            stream = self._streams.get(output.id)
            if stream is None:
                continue  # left or cut off; the worker had not read the Cancel yet
            if stream.full():
                self._leave(output.id)
                stream.cut(ReaderTooSlow("reader_too_slow"))
            elif len(output.text) > MOST_OUTPUT_CHARACTERS:
                self._leave(output.id)
                stream.cut(WorkerDied("worker_answer_malformed"))
            else:
                stream.take(output)
        for ended in step.ended:
            self._take_end(ended)
        self._observer.step_reported(self.target, step_report(step))

    def _take_refusal(self, frame_id: int) -> None:
        """Only what has not begun goes back to the queue: its caller would be told the beginning twice."""
        stream = self._streams.get(frame_id)
        began = stream is not None and stream.began
        if stream is not None and not began:
            stream.taken_by = ""
        self._end(frame_id, WorkerDied("worker_answer_malformed") if began else SlotTaken("slot_taken"))

    def _take_end(self, ended: Ended) -> None:
        if ended.fault:
            self._end(ended.id, WorkerDied(f"worker_fault: {ended.fault}"))
        elif (stream := self._streams.pop(ended.id, None)) is not None:
            self._close_stream(stream, ended)

    def _close_stream(self, stream: EventStream, ended: Ended) -> None:
        try:
            events = last_events(ended, stream.prepared)
        except ValueError:
            stream.fail(WorkerDied("worker_answer_malformed"))
            return
        stream.close(events)

    def _end(self, frame_id: int, error: EngineError) -> None:
        if (stream := self._streams.pop(frame_id, None)) is not None:
            stream.fail(error)

    def _leave(self, frame_id: int) -> None:
        """Give up a request; nothing is sent for one that is over."""
        if (stream := self._streams.pop(frame_id, None)) is not None:
            self._last_batch.left(stream.prepared)
            with contextlib.suppress(WorkerDied):  # a worker that is gone has nothing to cancel
                self._send(Cancel(id=frame_id))

    def _answer_counters(self, counters: frames.Counters) -> None:
        starts, to_be_told = self._asked.popleft() if self._asked else (None, True)
        if to_be_told:
            unread = None if starts is None else self._starts - starts
            self._on_count(WorkerCount(target=self.target, life=self._life, counters=counters, unread=unread))
        if self._counters is not None and not self._counters.done():
            self._counters.set_result(counters)

    def _send(self, frame: frames.Frame) -> None:
        try:
            self._channel.send(frame)
        except ChannelClosed as fault:
            raise WorkerDied(fault.reason) from None

    def _standing(self) -> tuple[Standby, float, str]:
        """How it is with a worker that is not ready, how long a load takes, and why it failed."""
        known = self._residence
        if known is None:
            return "absent" if self._is_away else "", 0.0, ""
        return STANDBY.get(known.state, "absent" if self._is_away else ""), known.load_s, known.reason

    def _announce(self, slots: int, *, ready: bool, slot_tokens: int = 0, threads: int = 0) -> None:
        self._is_ready = ready
        standby, load_s, fault = self._standing()
        self._observer.target_changed(
            TargetState(
                target=self.target,
                models=(self.plan.model,),
                kinds=KINDS[self.plan.role],
                slots=slots,
                ready=ready,
                adapters=("", *self._adapters),
                slot_weight=(threads or slots) / slots,
                slot_tokens=slot_tokens,
                standby="" if ready else standby,
                load_s=load_s,
                fault="" if ready else fault,
            )
        )
