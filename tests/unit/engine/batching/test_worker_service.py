"""The worker's turn over real sockets and a loop that only records."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.batching import worker_service
from engine.batching.request import Owner
from engine.batching.step_result import StepResult, Totals
from engine.batching.worker_service import WorkerService
from engine.frames import (
    PROTOCOL_VERSION,
    AskCounters,
    Cancel,
    Counters,
    Drain,
    Ended,
    Farewell,
    FrameReader,
    Hello,
    Leaving,
    Output,
    SlotTaken,
    Start,
    WorkerAnswer,
    WorkerHello,
    encode,
)
from policies.call import Sampling

HELLO = WorkerHello(version=PROTOCOL_VERSION, model="m", role="chat", slots=1, slot_context_tokens=64, threads=1, pid=7)


class FakeLoop:
    """One slot; each step gives its request a word. `inside` runs in the middle of a step."""

    def __init__(self) -> None:
        self.running: tuple[Owner, int] | None = None
        self.acts: list[str] = []
        self.inside: Callable[[Callable[[], bool]], None] = lambda _interrupt: None
        self.ends = False

    @property
    def has_work(self) -> bool:
        return self.running is not None

    def start(self, owner: Owner, start: Start) -> bool:
        if self.running is not None:
            return False
        self.acts.append(f"start {start.id}")
        self.running = (owner, start.id)
        return True

    def cancel(self, owner: Owner, request_id: int) -> None:
        self.acts.append(f"cancel {request_id}")
        if self.running == (owner, request_id):
            self.running = None

    def drop(self, owner: Owner) -> None:
        self.acts.append("drop")
        if self.running is not None and self.running[0] is owner:
            self.running = None

    def would_interrupt(self, owner: Owner, request_id: int | None) -> bool:
        return self.running is not None and self.running[0] is owner and request_id in (None, self.running[1])

    def step(self, interrupt: Callable[[], bool]) -> StepResult:
        self.inside(interrupt)
        assert self.running is not None
        owner, id_ = self.running
        self.acts.append("step")
        result = StepResult(outputs=[(owner, Output(id=id_, text="word", output_tokens=1))], step_ns=9, slots=1)
        if self.ends:
            result.ended.append((owner, Ended(id=id_, reason="stop")))
            self.running = None
        return result

    def counters(self) -> Counters:
        return Totals(steps=3).counters(int(self.has_work))


class Gateway:
    def __init__(self, path: Path) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(30)
        self.stream.connect(str(path))
        self._reader = FrameReader(WorkerAnswer)

    def send(self, *frames: Any) -> None:
        self.stream.sendall(b"".join(map(encode, frames)))

    def frames(self) -> list[Any]:
        return self._reader.feed(self.stream.recv(1 << 16))


class Bench:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "s"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(64)
        self.stop, self.wake = socket.socketpair()
        self.loop = FakeLoop()
        self.service = WorkerService(self.listener, self.loop, HELLO, self.stop)
        self.gateways: list[Gateway] = []

    def connect(self, *, greet: bool = True) -> Gateway:
        gateway = Gateway(self.path)
        self.gateways.append(gateway)
        self.service.turn()
        assert gateway.frames() == [HELLO]
        if greet:
            gateway.send(Hello(version=PROTOCOL_VERSION))
            self.service.turn()
        return gateway

    def close(self) -> None:
        self.wake.send(b"x")
        self.service.run()
        for end in (self.listener, self.stop, self.wake, *(gateway.stream for gateway in self.gateways)):
            end.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(worker_service, "FAREWELL_NS", 600 * 10**9)  # a test that stands still is no silent gateway
    made = Bench(tmp_path)
    yield made
    made.close()


def start(id_: int, fence: int = 0, tenant: str = "") -> Start:
    return Start(
        id=id_, token_ids=(b"",), sampling=Sampling(), max_output_tokens=1, cache_scope="", fence=fence, tenant=tenant
    )


def test_a_request_runs_and_ends(bench: Bench) -> None:
    gateway = bench.connect()
    bench.loop.ends = True
    gateway.send(start(1))
    bench.service.turn()
    (step,) = gateway.frames()

    assert step.outputs == (Output(id=1, text="word", output_tokens=1),)
    assert step.ended == (Ended(id=1, reason="stop"),)
    assert (step.step_ns, step.slots) == (9, 1)


def test_one_too_many_is_told_at_once(bench: Bench) -> None:
    gateway = bench.connect()
    gateway.send(start(1), start(2))
    bench.service.turn()

    taken, step = gateway.frames()
    assert taken == SlotTaken(id=2)
    assert step.outputs[0].id == 1


def test_who_decided_in_the_past_starts_nothing_and_who_is_alone_always_may(bench: Bench) -> None:
    gateway = bench.connect()
    bench.loop.ends = True
    answers = []
    for id_, fence in enumerate((7, 6, 0, 7, 9, 7), start=1):
        gateway.send(start(id_, fence))
        bench.service.turn()
        answers.append(gateway.frames()[0])

    assert [each.id for each in answers if isinstance(each, SlotTaken)] == [2, 6]
    assert [act for act in bench.loop.acts if act != "step"] == ["start 1", "start 3", "start 4", "start 5"]


def test_cancel_and_start_in_order(bench: Bench) -> None:
    gateway = bench.connect()
    gateway.send(start(1), Cancel(id=1), start(2), Hello(version=PROTOCOL_VERSION))
    bench.service.turn()

    assert bench.loop.acts == ["start 1", "cancel 1", "start 2", "step"]


def test_counters(bench: Bench) -> None:
    gateway = bench.connect()
    gateway.send(AskCounters())
    bench.service.turn()

    (counters,) = gateway.frames()
    assert (counters.steps, counters.busy_slots) == (3, 0)


def test_what_each_gateway_started_is_counted_under_its_name(bench: Bench) -> None:
    named, unnamed = bench.connect(greet=False), bench.connect()
    named.send(Hello(version=PROTOCOL_VERSION, name="here:1"), start(1), start(2))
    bench.service.turn()
    bench.loop.ends = True
    bench.service.turn()
    unnamed.send(start(1), AskCounters())
    bench.service.turn()
    counters = next(frame for frame in unnamed.frames() if isinstance(frame, Counters))
    told = {each.gateway: (each.taken, each.ended, each.connected) for each in counters.tallies}
    assert told == {"here:1": (1, 1, True), "": (1, 0, True)}  # the second start was one too many


def test_the_last_counts_are_said_unasked_and_what_is_gone_is_not_connected(bench: Bench) -> None:
    gateway, other, supervisor = bench.connect(greet=False), bench.connect(), bench.connect(greet=False)
    gateway.send(Hello(version=PROTOCOL_VERSION, name="here:1"), start(1))
    supervisor.send(Hello(version=PROTOCOL_VERSION, steps=False))
    bench.service.turn()
    gateway.stream.close()
    bench.service.turn()
    bench.wake.send(b"x")
    bench.service.run()
    (last,) = [frame for frame in other.frames() if isinstance(frame, Counters)]
    assert [(each.gateway, each.taken, each.connected) for each in last.tallies] == [("here:1", 1, False)]
    assert not [frame for frame in supervisor.frames() if isinstance(frame, Counters)]


def test_others_get_the_figures_but_not_the_words(bench: Bench) -> None:
    gateway, other, silent = bench.connect(), bench.connect(), bench.connect(greet=False)
    gateway.send(start(1))
    bench.service.turn()

    (step,) = other.frames()
    assert (step.outputs, step.step_ns) == ((), 9)
    silent.stream.setblocking(False)
    with pytest.raises(BlockingIOError):  # who has not greeted gets no steps
        silent.frames()


def test_a_closed_connection_drops_its_requests(bench: Bench) -> None:
    gateway = bench.connect()
    gateway.send(start(1))
    bench.service.turn()
    gateway.stream.close()
    bench.service.turn()

    assert bench.loop.acts == ["start 1", "step", "drop"]


def test_starts_of_a_connection_that_is_gone_are_not_begun(bench: Bench) -> None:
    gateway, other = bench.connect(), bench.connect()
    other.send(start(5))

    def leave(interrupt: Callable[[], bool]) -> None:
        gateway.send(start(1))
        interrupt()
        gateway.stream.close()
        bench.service._last_poll_ns = 0
        interrupt()

    bench.loop.inside = leave
    bench.service._last_poll_ns = 0
    bench.service.turn()
    bench.loop.inside = lambda _interrupt: None
    bench.loop.ends = True
    bench.service.turn()

    assert "start 1" not in bench.loop.acts
    assert bench.loop.acts.count("drop") == 1


def test_a_foreign_stream_is_closed(bench: Bench) -> None:
    gateway = bench.connect(greet=False)
    gateway.stream.sendall(b"GET / HTTP/1.1\r\n\r\n")
    bench.service.turn()

    assert gateway.stream.recv(1) == b""


def test_inside_a_step_a_cancel_of_the_running_request_interrupts(bench: Bench) -> None:
    gateway, other = bench.connect(), bench.connect()
    answers = []

    def inside(interrupt: Callable[[], bool]) -> None:
        def ask() -> bool:
            bench.service._last_poll_ns = 0
            return interrupt()

        answers.append(ask())
        other.send(Cancel(id=1), start(9))
        answers.append(ask())
        gateway.send(Cancel(id=2))
        answers.append(ask())
        gateway.send(Cancel(id=1))
        answers.append(ask())

    bench.loop.inside = inside
    gateway.send(start(1))
    bench.service.turn()
    bench.loop.inside = lambda _interrupt: None
    bench.service.turn()

    assert answers == [False, False, False, True]
    assert "cancel 1" in bench.loop.acts
    assert SlotTaken(id=9) in other.frames()  # nothing that came meanwhile is lost


def test_inside_a_step_a_lost_connection_interrupts(bench: Bench) -> None:
    gateway = bench.connect()
    answers = []

    def inside(interrupt: Callable[[], bool]) -> None:
        gateway.stream.close()
        bench.service._last_poll_ns = 0
        answers.append(interrupt())

    bench.loop.inside = inside
    gateway.send(start(1))
    bench.service.turn()

    assert answers == [True]


def test_sockets_are_not_asked_all_the_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = bench.connect()
    monkeypatch.setattr(worker_service, "POLL_INTERVAL_NS", 10**15)
    answers = []

    def inside(interrupt: Callable[[], bool]) -> None:
        gateway.send(Cancel(id=1))
        answers.append(interrupt())

    bench.loop.inside = inside
    gateway.send(start(1))
    bench.service.turn()

    assert answers == [False]


def test_the_stop_interrupts_and_ends_without_another_step(bench: Bench) -> None:
    gateway = bench.connect()
    answers = []

    def inside(interrupt: Callable[[], bool]) -> None:
        bench.wake.send(b"x")
        bench.service._last_poll_ns = 0
        answers.append(interrupt())

    bench.loop.inside = inside
    gateway.send(start(1))
    bench.service.run()

    assert answers == [True]
    assert bench.loop.acts.count("step") == 1
    assert gateway.frames()[-1] == Leaving(), "an end that was asked for is no death"


def test_beyond_the_most_connections_the_next_waits_for_a_place(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_service, "MAX_CONNECTIONS", 2)
    first, second = bench.connect(), bench.connect()
    third = Gateway(bench.path)
    bench.gateways.append(third)
    third.stream.setblocking(False)
    second.send(AskCounters())
    bench.service.turn()
    with pytest.raises(BlockingIOError):
        third.frames()
    first.stream.close()
    bench.service.turn()
    bench.service.turn()

    assert third.frames() == [HELLO]


def test_a_gateway_that_left_before_it_was_accepted_is_no_harm(bench: Bench) -> None:
    gone = Gateway(bench.path)
    gone.stream.close()
    bench.service.turn()
    gateway = bench.connect()
    gateway.send(AskCounters())
    bench.service.turn()

    assert gateway.frames()[0].steps == 3


def test_an_answer_too_large_for_the_socket_is_sent_as_it_is_read(bench: Bench) -> None:
    gateway = bench.connect()
    for _ in range(40):  # far more than a socket buffer holds
        gateway.send(*[AskCounters()] * 1000)
        bench.service.turn()
    reader, count = FrameReader(WorkerAnswer), 0
    while count < 40_000:
        count += len(reader.feed(gateway.stream.recv(1 << 16)))
        if count < 40_000 and bench.service._connections:
            bench.service._look(0)

    assert count == 40_000


def test_a_gateway_that_does_not_read_is_cut_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.batching.worker_connection.MAX_UNSENT_BYTES", 1000)
    gateway = bench.connect()
    while bench.service._connections:
        gateway.send(*[AskCounters()] * 1000)
        bench.service.turn()
    bench.service._inbox.clear()

    assert gateway.stream.recv(1)


def turns_until_drained(bench: Bench, most: int = 50) -> int:
    for count in range(most):
        if bench.service._has_drained():
            return count
        bench.service.turn()
    raise AssertionError("it never ends")


def test_told_to_drain_it_finishes_what_runs_and_takes_nothing_new(bench: Bench) -> None:
    supervisor, gateway = bench.connect(), bench.connect()
    gateway.send(start(1))
    bench.service.turn()
    gateway.frames()
    supervisor.frames()
    supervisor.send(Drain(), Drain())
    bench.service.turn()
    assert gateway.frames()[0] == Leaving()
    gateway.send(start(2), Farewell())
    bench.service.turn()
    assert SlotTaken(id=2) in gateway.frames()
    assert not bench.service._has_drained()  # request 1 goes on
    bench.loop.ends = True
    assert turns_until_drained(bench) == 1
    assert gateway.frames()[0].ended == (Ended(id=1, reason="stop"),)
    bench.service.run()  # returns at once


def test_the_supervisors_other_connection_need_say_nothing(bench: Bench) -> None:
    supervisor, looking = bench.connect(), bench.connect(greet=False)
    supervisor.send(Drain())
    bench.service.turn()
    assert not bench.service._has_drained()  # it may be a gateway that is about to greet
    looking.send(Hello(version=PROTOCOL_VERSION, steps=False))
    assert turns_until_drained(bench) == 1


def test_a_start_that_crosses_the_leaving_is_answered_before_the_end(bench: Bench) -> None:
    supervisor, gateway = bench.connect(), bench.connect()
    supervisor.send(Drain())
    bench.service.turn()
    assert not bench.service._has_drained()  # nothing runs, but the gateway has not said farewell
    gateway.send(start(1))  # sent before it read `Leaving`
    bench.service.turn()
    gateway.send(Farewell())
    turns_until_drained(bench)
    assert gateway.frames() == [Leaving(), SlotTaken(id=1)]
    assert bench.loop.acts == []


def test_who_connects_while_it_leaves_waits_for_the_next_process(bench: Bench) -> None:
    supervisor = bench.connect()
    supervisor.send(Drain())
    bench.service.turn()
    late = Gateway(bench.path)
    bench.gateways.append(late)
    assert turns_until_drained(bench) == 0
    bench.service.run()
    bench.service = WorkerService(bench.listener, bench.loop, HELLO, bench.stop)
    bench.service.turn()
    assert late.frames() == [HELLO]


def test_a_gateway_that_says_nothing_keeps_it_only_for_a_while(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_service, "FAREWELL_NS", 0)
    monkeypatch.setattr(worker_service, "LEAVING_POLL_MS", 1)
    supervisor, _silent = bench.connect(), bench.connect(greet=False)
    supervisor.send(Drain())
    bench.service.turn()
    assert turns_until_drained(bench) == 0


def test_a_worker_full_of_connections_drains_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_service, "MAX_CONNECTIONS", 2)
    supervisor, gateway = bench.connect(), bench.connect()
    supervisor.send(Drain())
    bench.service.turn()
    gateway.stream.close()
    assert turns_until_drained(bench) <= 2


@pytest.mark.parametrize(("first", "second"), [("", "team:a"), ("team:a", ""), ("team:a", "team:b")])
def test_for_another_tenant_it_leaves(bench: Bench, first: str, second: str) -> None:
    gateway, other = bench.connect(), bench.connect()
    gateway.send(start(1, tenant=first))
    bench.service.turn()
    other.send(start(2, tenant=second))
    bench.service.turn()
    assert SlotTaken(id=2) in other.frames()
    assert bench.loop.acts.count("start 2") == 0
    assert Leaving() in gateway.frames()
    bench.loop.ends = True
    for each in (gateway, other):
        each.send(Farewell())
    turns_until_drained(bench)
    assert bench.service._has_drained()
    assert bench.service.left_for_another


def test_the_same_tenant_may_come_again(bench: Bench) -> None:
    gateway = bench.connect()
    bench.loop.ends = True
    for number in (1, 2):
        gateway.send(start(number, tenant="team:a"))
        bench.service.turn()
    assert [act for act in bench.loop.acts if act.startswith("start")] == ["start 1", "start 2"]
