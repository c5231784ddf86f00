"""A gateway's side of one worker: its running requests, and what each of them has not read yet.

State of a request: `start` → (text)* → one of: ended, slot taken, worker lost, read too slowly, left.
Each of the last five ends it once; the last two send `Cancel`. Frames are handed on without waiting, so a
reader that stalls never holds up the others; it is cut off once `UNREAD_EVENTS` wait for it.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator

from engine import frames
from engine.errors import EngineError, ReaderTooSlow, SlotTaken, WorkerDied
from engine.frames import Cancel, Ended, FrameError, WorkerHello
from engine.interface import Observer, Prepared, TargetState
from engine.links.call_frames import last_events, start_frame, step_report, text_event
from engine.links.channel import Channel, ChannelClosed
from engine.plan import ProcessPlan
from policies.call import CallKind, Event, Final

UNREAD_EVENTS = 2048  # about half a minute of a fast stream; a client that is slower is stopped by its write deadline

KINDS: dict[str, tuple[CallKind, ...]] = {"chat": ("chat", "completion"), "embedding": ("embedding",)}


class EventStream(AsyncIterator[Event]):
    """The events of one request, in order; raises the EngineError that ended it after those before it."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.over = False
        self._unread: deque[Event] = deque()
        self._error: EngineError | None = None
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add `event`; `Final` ends the stream."""
        self._unread.append(event)
        self.over = self.over or isinstance(event, Final)
        self._news.set()

    def full(self) -> bool:
        """True when as much is unread as may be."""
        return len(self._unread) >= UNREAD_EVENTS

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
        return self._unread.popleft()


class WorkerLink:
    """See the head of the module. `target` is how the queue knows this worker."""

    def __init__(self, plan: ProcessPlan, observer: Observer) -> None:
        self.plan = plan
        self.target = f"pool:{plan.name}"
        self._observer = observer
        self._channel = Channel(plan.socket, frames.WorkerAnswer, self)
        self._streams: dict[int, EventStream] = {}
        self._ids = itertools.count(1)
        self._counters: asyncio.Future[frames.Counters] | None = None

    def open(self) -> None:
        """Begin to connect."""
        self._channel.open()

    def introduce(self) -> None:
        """Make the worker known before it has loaded, so that its first requests wait instead of being refused."""
        self._announce(self.plan.slots, ready=False)

    async def close(self) -> None:
        """End the connection; what still runs here ends with WorkerDied."""
        await self._channel.close()

    @contextlib.asynccontextmanager
    async def run(self, prepared: Prepared, seed: int, fence: int = 0) -> AsyncIterator[AsyncIterator[Event]]:
        """Run `prepared`; leaving the context before its end cancels it in the worker. Raises WorkerDied."""
        frame_id = next(self._ids)
        stream = EventStream(prepared)
        self._send(start_frame(frame_id, prepared, seed, fence))
        self._streams[frame_id] = stream
        try:
            yield stream
        finally:
            self._leave(frame_id)

    async def counters(self) -> frames.Counters:
        """The worker's totals. Raises WorkerDied; waits for the step that is running."""
        # Answers carry no id, so all who ask while one is under way share it.
        if self._counters is None or self._counters.done():
            self._send(frames.AskCounters())
            self._counters = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._counters)

    # ---- the channel's reports

    def greeted(self, hello: object) -> None:
        """The worker is loaded and serves."""
        if not isinstance(hello, WorkerHello) or (hello.model, hello.role) != (self.plan.model, self.plan.role):
            raise FrameError(f"{self.plan.name} is not the process that the plan names")
        self._announce(hello.slots, ready=True, slot_tokens=hello.slot_context_tokens, threads=hello.threads)

    def received(self, frame: object) -> None:
        """A frame of the worker."""
        if isinstance(frame, frames.Step):
            self._take_step(frame)
        elif isinstance(frame, frames.SlotTaken):
            self._end(frame.id, SlotTaken("slot_taken"))
        elif isinstance(frame, frames.Counters):
            self._answer_counters(frame)
        else:
            raise FrameError("a second hello")

    def lost(self, reason: str) -> None:
        """The worker is gone, and with it all that ran there."""
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.fail(WorkerDied(reason))
        if self._counters is not None and not self._counters.done():
            self._counters.set_exception(WorkerDied(reason))
            self._counters.exception()  # heard, also when nobody waits for it any more
        self._announce(self.plan.slots, ready=False)

    # ---- inside

    def _take_step(self, step: frames.Step) -> None:
        for output in step.outputs:
            stream = self._streams.get(output.id)
            if stream is None:
                continue  # left or cut off; the worker had not read the Cancel yet
            if stream.full():
                self._leave(output.id)
                stream.cut(ReaderTooSlow("reader_too_slow"))
            else:
                stream.put(text_event(output))
        for ended in step.ended:
            self._take_end(ended)
        self._observer.step_reported(self.target, step_report(step))

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
        for event in events:
            stream.put(event)

    def _end(self, frame_id: int, error: EngineError) -> None:
        if (stream := self._streams.pop(frame_id, None)) is not None:
            stream.fail(error)

    def _leave(self, frame_id: int) -> None:
        """Give up a request; nothing is sent for one that is over."""
        if self._streams.pop(frame_id, None) is not None:
            with contextlib.suppress(WorkerDied):  # a worker that is gone has nothing to cancel
                self._send(Cancel(id=frame_id))

    def _answer_counters(self, counters: frames.Counters) -> None:
        if self._counters is not None and not self._counters.done():
            self._counters.set_result(counters)

    def _send(self, frame: frames.Frame) -> None:
        try:
            self._channel.send(frame)
        except ChannelClosed as fault:
            raise WorkerDied(fault.reason) from None

    def _announce(self, slots: int, *, ready: bool, slot_tokens: int = 0, threads: int = 0) -> None:
        self._observer.target_changed(
            TargetState(
                target=self.target,
                models=(self.plan.model,),
                kinds=KINDS[self.plan.role],
                slots=slots,
                ready=ready,
                slot_weight=(threads or slots) / slots,
                slot_tokens=slot_tokens,
            )
        )
