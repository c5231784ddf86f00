"""A gateway's side of one preparer: questions out one at a time, answers within a deadline."""

import asyncio
import itertools
from collections.abc import Callable

from engine import frames
from engine.errors import DeadlineExceeded, ModelNotReady
from engine.frames import Describe, Failed, FrameError, PreparerHello
from engine.interface import Prepared
from engine.links.call_frames import check_images, prepare_frame, prepared_call, raise_failed
from engine.links.channel import Channel, ChannelClosed
from engine.links.turns import Turns
from engine.plan import ProcessPlan
from policies.call import Call, ModelDescription

DEADLINE_SHARE = 1.5  # of the preparer's own limit, so that its clear answer comes before this blunt one

PATIENCE_SHARE = 3.0  # of the same limit, for the wait in line: three hard questions of others
ASKED_AGAIN_AFTER_S = 0.25
"""A question that ends the preparer does so at once, or at its time limit. One that was lost in between lay before a
preparer that stood still and was replaced: it is asked once more, which no such question would gain by."""
RETURN_GRACE_S = 10.0  # a preparer that starts, or starts again, reads its vocabulary in one or two seconds

Answer = frames.Ready | frames.Failed | frames.Description


class _Lost(Exception):
    """The preparer went away before it answered; why, for log and audit."""


class PreparerLink:
    """See the head of the module. `capabilities` are the model file's own; None until first greeted."""

    def __init__(self, plan: ProcessPlan) -> None:
        self.plan = plan
        self.capabilities: tuple[str, ...] | None = None
        self._channel = Channel(plan.socket, frames.PreparerAnswer, self)
        self._greeted = asyncio.Event()
        self._turns = Turns()
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._ids = itertools.count(1)
        self._asked_s = 0.0  # when the question was put whose turn it is

    def open(self) -> None:
        """Begin to connect."""
        self._channel.open()

    async def close(self) -> None:
        """End the connection; open questions end with ModelNotReady."""
        await self._channel.close()

    async def prepare(self, call: Call) -> Prepared:
        """`call` made ready. Raises PrepareFailed, ContextTooLong, DeadlineExceeded, ModelNotReady."""
        check_images(call)
        answer = await self._ask(call.cache_scope, lambda frame_id: prepare_frame(frame_id, call))
        if not isinstance(answer, frames.Ready):
            raise ModelNotReady("preparer_answer_mismatch")
        try:
            return prepared_call(call, answer)
        except ValueError:
            raise ModelNotReady("preparer_answer_malformed") from None

    async def describe(self) -> ModelDescription:
        """What the model file says of itself. Raises DeadlineExceeded, ModelNotReady."""
        answer = await self._ask("", lambda frame_id: Describe(id=frame_id))
        if not isinstance(answer, frames.Description):
            raise ModelNotReady("preparer_answer_mismatch")
        return ModelDescription(info=answer.info, template=answer.template)

    # ---- the channel's reports

    def greeted(self, hello: object) -> None:
        """The preparer has read the vocabulary and answers."""
        if not isinstance(hello, PreparerHello) or hello.model != self.plan.model:
            raise FrameError(f"{self.plan.name} is not the process that the plan names")
        self.capabilities = hello.capabilities
        self._greeted.set()

    def received(self, frame: object) -> None:
        """An answer; one that nobody waits for any more is dropped."""
        if isinstance(frame, PreparerHello) or not isinstance(frame, Answer):
            raise FrameError("a second hello")
        asked = self._asked.get(frame.id)
        if asked is not None and not asked.done():
            asked.set_result(frame)

    def lost(self, reason: str) -> None:
        """The preparer is gone: whoever waits for an answer is told at once."""
        self._greeted.clear()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(_Lost(f"preparer_{reason}"))

    # ---- inside

    async def _ask(self, lane: str, frame_for: Callable[[int], frames.Frame]) -> Answer:
        """One question at a time, lanes in rotation. A caller who leaves keeps the preparer busy until it answers,

        so the question's turn lasts until then, whoever still waits for it.
        """
        await self._wait_for_preparer()
        try:
            await asyncio.wait_for(self._turns.take(lane), PATIENCE_SHARE * self.plan.timeout_s)
        except TimeoutError:
            raise DeadlineExceeded("prepare_line") from None
        asking = asyncio.create_task(self._put(frame_for))
        asking.add_done_callback(self._end_turn)
        answer = await asyncio.shield(asking)
        if isinstance(answer, Failed):
            raise_failed(answer)
        return answer

    async def _put(self, frame_for: Callable[[int], frames.Frame]) -> Answer:
        clock = asyncio.get_running_loop().time
        try:
            try:
                return await self._put_once(frame_for)
            except _Lost:
                if not ASKED_AGAIN_AFTER_S <= clock() - self._asked_s < self.plan.timeout_s:
                    raise
            return await self._put_once(frame_for)
        except _Lost as lost:
            raise ModelNotReady(str(lost)) from None

    async def _put_once(self, frame_for: Callable[[int], frames.Frame]) -> Answer:
        await self._wait_for_preparer()  # it may have gone while this question stood in line
        frame_id = next(self._ids)
        try:
            self._channel.send(frame_for(frame_id))
        except ChannelClosed as fault:
            raise ModelNotReady(f"preparer_{fault.reason}") from None
        loop = asyncio.get_running_loop()
        self._asked[frame_id], self._asked_s = loop.create_future(), loop.time()
        try:
            return await asyncio.wait_for(self._asked[frame_id], DEADLINE_SHARE * self.plan.timeout_s)
        except TimeoutError:
            raise DeadlineExceeded("prepare_timeout") from None
        finally:
            del self._asked[frame_id]

    def _end_turn(self, asking: "asyncio.Task[Answer]") -> None:
        if not asking.cancelled():
            asking.exception()  # heard, also when its caller has left
        self._turns.give_back()

    async def _wait_for_preparer(self) -> None:
        """A preparer that is starting is waited for, as the queue waits for a worker that is."""
        if self._greeted.is_set():
            return
        try:
            await asyncio.wait_for(self._greeted.wait(), RETURN_GRACE_S)
        except TimeoutError:
            raise ModelNotReady("preparer_away") from None
