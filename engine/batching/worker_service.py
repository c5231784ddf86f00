"""The worker's one thread: sockets and loop in turn.

A turn: wait for sockets (not at all while there is work, without end while there is none), hand what came
to the loop, run one step, send every gateway its part of it. Inside a long prefill the loop asks
`_interrupt`, which looks at the sockets too, but only collects: frames are handed over between steps.

Told to drain, it accepts nobody (who connects waits in the backlog for the next process), answers every start with
`SlotTaken`, and ends once nothing runs and every gateway has said that no start of its is under way: none is lost.
"""

import select
import socket
import time
from collections import defaultdict, deque

import msgspec

from engine.batching.step_result import Loop, StepResult
from engine.batching.tallies import Tallies
from engine.batching.worker_connection import Connection, ConnectionLost
from engine.frames import (
    AskCounters,
    Cancel,
    Counters,
    Drain,
    Ended,
    Farewell,
    Frame,
    Leaving,
    Output,
    SlotTaken,
    Start,
    Step,
    WorkerHello,
)

# The second wall leaves room for these and no more; gateways are one or a few, each with one connection (and one more
# while it is replaced).
MAX_CONNECTIONS = 16
POLL_INTERVAL_NS = 1_000_000  # in a prefill: at the first node's end 1 ms later; a poll takes some 10 microseconds
FAREWELL_NS = 5_000_000_000  # for a gateway to say farewell and read its last: one that is stopped keeps no worker
LEAVING_POLL_MS = 100
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Lost(msgspec.Struct, frozen=True):
    """In the inbox: this connection is gone."""


class WorkerService:
    """Serves `loop` on `listener` until a byte arrives on `stop` (the socket that signals wake)."""

    def __init__(self, listener: socket.socket, loop: Loop, hello: WorkerHello, stop: socket.socket) -> None:
        self._listener = listener
        self._loop = loop
        self._hello = hello
        self._stop = stop
        self._connections: dict[int, Connection] = {}
        self._inbox: deque[tuple[Connection, Frame | Lost]] = deque()
        self._poll = select.poll()
        self._last_poll_ns = 0
        self._is_stopping = False
        self._leaves_by_ns: int | None = None
        self.left_for_another = False
        """Whether it drains because another tenant asked for it, not because it was told to."""
        self._highest_fence = 0
        self._tallies = Tallies()
        self._tenant: str | None = None  # whom this process is given to, from the first start to its end
        listener.setblocking(False)
        self._poll.register(listener, select.POLLIN)
        self._poll.register(stop, select.POLLIN)

    def run(self) -> None:
        """Serve; returns at the first step after the stop, or when it has drained."""
        while not (self._is_stopping or self._has_drained()):
            self.turn()
        self._say_last_counts()
        if self._is_stopping:
            self._say_leaving()  # an end that was asked for is no death: nobody's request is held to have caused it
        for connection in self._connections.values():
            connection.close()

    def turn(self) -> None:
        """See the head of the module."""
        self._look(0 if self._loop.has_work else self._patience_ms())
        while self._inbox:
            self._handle(*self._inbox.popleft())
        if self._loop.has_work and not self._is_stopping:
            self._publish(self._loop.step(self._interrupt))

    def _interrupt(self) -> bool:
        """Asked inside a computation: whether to give it up, because its caller left or the worker stops."""
        if time.monotonic_ns() - self._last_poll_ns < POLL_INTERVAL_NS:
            return False
        self._look(0)
        return self._is_stopping or any(self._is_interruption(*entry) for entry in self._inbox)

    def _is_interruption(self, connection: Connection, frame: Frame | Lost) -> bool:
        if isinstance(frame, Lost):
            return self._loop.would_interrupt(connection, None)
        return isinstance(frame, Cancel) and self._loop.would_interrupt(connection, frame.id)

    # ---- sockets

    def _look(self, timeout_ms: int | None) -> None:
        """Collect what the sockets have; nothing here changes the loop."""
        for descriptor, events in self._poll.poll(timeout_ms):
            if descriptor == self._stop.fileno():
                self._is_stopping = True
            elif descriptor == self._listener.fileno():
                self._accept()
            elif connection := self._connections.get(descriptor):
                self._exchange(connection, events)
        self._last_poll_ns = time.monotonic_ns()

    def _accept(self) -> None:
        try:
            stream, _ = self._listener.accept()
        except OSError:  # it left again, or descriptors are short: the next poll shows what is there then
            return
        connection = Connection(stream)
        self._connections[connection.fileno()] = connection
        self._poll.register(connection, select.POLLIN)
        if len(self._connections) >= MAX_CONNECTIONS:
            self._poll.unregister(self._listener)
        self._send(connection, self._hello)

    def _exchange(self, connection: Connection, events: int) -> None:
        try:
            if events & _READABLE:
                self._inbox.extend((connection, frame) for frame in connection.receive())
            if events & select.POLLOUT:
                connection.flush()
        except ConnectionLost:
            self._lose(connection)
        else:
            self._watch(connection)

    def _send(self, connection: Connection, frame: Frame) -> None:
        if self._connections.get(connection.fileno()) is not connection:
            return
        try:
            connection.send(frame)
        except ConnectionLost:
            self._lose(connection)
        else:
            self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        self._poll.modify(connection, select.POLLIN | (select.POLLOUT if connection.has_unsent else 0))

    def _lose(self, connection: Connection) -> None:
        self._poll.unregister(connection)
        del self._connections[connection.fileno()]
        if len(self._connections) == MAX_CONNECTIONS - 1 and self._leaves_by_ns is None:
            self._poll.register(self._listener, select.POLLIN)
        connection.close()
        self._inbox.append((connection, Lost()))

    # ---- frames

    def _handle(self, connection: Connection, frame: Frame | Lost) -> None:
        match frame:
            case Lost():
                self._loop.drop(connection)
            case Start():
                if self._connections.get(connection.fileno()) is connection and not self._start(connection, frame):
                    self._send(connection, SlotTaken(id=frame.id))
            case Cancel():
                self._loop.cancel(connection, frame.id)
            case AskCounters():
                self._send(connection, self._counters())
            case Drain():
                self._leave(connection)
            case Farewell():
                connection.said_farewell = True
            case _:
                pass  # a second Hello: harmless, and FrameReader lets nothing else through

    def _start(self, connection: Connection, start: Start) -> bool:
        """Whether it was started: not when all slots are taken, nor when who decided it has been followed by another.

        A gateway that was stopped, and goes on deciding though its lease is over, would give a slot out twice. Nor for
        another tenant than the first: this process leaves, so that a new one can serve it.
        """
        if self._leaves_by_ns is not None or 0 < start.fence < self._highest_fence:
            return False
        self._highest_fence = max(self._highest_fence, start.fence)
        if self._tenant not in (None, start.tenant):
            self.left_for_another = True
            self._leave(None)
            return False
        self._tenant = start.tenant
        if not self._loop.start(connection, start):
            return False
        self._tallies.took(connection.name)
        return True

    def _counters(self) -> Counters:
        names = (each.name for each in self._connections.values())
        return msgspec.structs.replace(self._loop.counters(), tallies=self._tallies.told(names))

    # ---- leaving

    def _leave(self, drainer: Connection | None) -> None:
        """Begin to drain. Who asked for it sends no starts; None: nobody did."""
        if self._leaves_by_ns is not None:
            return
        self._leaves_by_ns = time.monotonic_ns() + FAREWELL_NS
        if drainer is not None:
            drainer.said_farewell = True
        if len(self._connections) < MAX_CONNECTIONS:
            self._poll.unregister(self._listener)
        self._say_leaving()

    def _say_leaving(self) -> None:
        for connection in list(self._connections.values()):
            self._send(connection, Leaving())

    def _say_last_counts(self) -> None:
        """What was counted since anybody asked would go with this process; who served nobody has nothing to say."""
        counters = self._counters()
        for connection in [each for each in self._connections.values() if each.hears_steps and counters.tallies]:
            self._send(connection, counters)

    def _patience_ms(self) -> int | None:
        return None if self._leaves_by_ns is None else LEAVING_POLL_MS

    def _has_drained(self) -> bool:
        """Nothing runs or is left to send, and no start that was sent before `Leaving` was read is on its way."""
        if self._leaves_by_ns is None:
            return False
        if self._loop.has_work:
            self._leaves_by_ns = time.monotonic_ns() + FAREWELL_NS
            return False
        connections = self._connections.values()
        is_over = all(each.sends_no_start and not each.has_unsent for each in connections)
        return is_over or time.monotonic_ns() >= self._leaves_by_ns

    def _publish(self, result: StepResult) -> None:
        """Send every gateway the step's figures, and the outputs and endings of its own requests."""
        outputs: defaultdict[object, list[Output]] = defaultdict(list)
        ended: defaultdict[object, list[Ended]] = defaultdict(list)
        for owner, output in result.outputs:
            outputs[owner].append(output)
        for owner, end in result.ended:
            ended[owner].append(end)
            if isinstance(owner, Connection):
                self._tallies.ended(owner.name, end)
        for connection in list(self._connections.values()):
            if connection.hears_steps:
                frame = step_frame(result, tuple(outputs[connection]), tuple(ended[connection]))
                self._send(connection, frame)


def step_frame(result: StepResult, outputs: tuple[Output, ...], ended: tuple[Ended, ...]) -> Step:
    """The frame of one step for one gateway."""
    return Step(
        outputs=outputs,
        ended=ended,
        step_ns=result.step_ns,
        decode_rows=result.decode_rows,
        prefill_rows=result.prefill_rows,
        cached_tokens=result.cached_tokens,
        output_tokens=result.output_tokens,
        busy_slots=result.busy_slots,
        slots=result.slots,
    )
