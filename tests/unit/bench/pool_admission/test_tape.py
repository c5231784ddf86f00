"""Everything that is decided stands on the tape, in the same words for any queue."""

import io
import json
from typing import Any

from bench.pool_admission.fifo_queue import FifoQueue
from bench.pool_admission.gateway_process import make_queue, remembered_id
from bench.pool_admission.stories import stories
from bench.pool_admission.tape import REQUEST, TapedQueue
from policies.admission import Queue
from policies.admitting.events import Arrived, Began, Ended, Grew, Left, TargetReady, Tick
from policies.admitting.ticket import Bounds, Served, TargetFacts, Ticket

POOL = ("m", "", "completion")
FACTS = TargetFacts(id="w", pools=(POOL,), slots=1)
WIDE = Bounds(512, 512)


def ticket(number: int, promise_s: float | None = None) -> Ticket:
    return Ticket(
        id=number, model="m", kind="completion", team="light", arrived_s=1.0, prompt_tokens=30, promise_s=promise_s
    )


def played(queue: Any) -> list[dict[str, Any]]:
    tape = io.StringIO()
    taped = TapedQueue(queue, tape)
    taped.handle(TargetReady(FACTS), 0.0)
    taped.handle(Arrived(ticket(1), WIDE), 1.0)
    taped.handle(Arrived(ticket(2), WIDE), 1.0)
    taped.handle(Arrived(ticket(3), WIDE), 1.0)
    taped.handle(Arrived(ticket(4), Bounds(0, 0)), 1.0)
    taped.handle(Began(1), 1.5)
    taped.handle(Grew(1, 8), 1.7)
    taped.handle(Left(3), 1.8)
    taped.handle(Ended(1, Served(30, 2, 9)), 2.0)
    taped.handle(Tick(), 2.25)
    assert taped.waiting() == 0
    return [json.loads(line) for line in tape.getvalue().splitlines()]


def test_both_queues_leave_the_same_story() -> None:
    for queue in (FifoQueue(), Queue()):
        first, second, third, fourth = stories(played(queue), [])
        assert (first.dispatched_s, first.began_s, first.ended_s, first.output_tokens) == (1.0, 1.5, 2.0, 9)
        assert not first.waited
        assert second.waited
        assert second.actual_wait_s == 1.0
        assert (third.waited, third.left_s, third.dispatched_s) == (True, 1.8, None)
        assert (fourth.waited, fourth.refused_s, fourth.reason) == (False, 1.0, "queue_full")


def test_every_decision_is_timed() -> None:
    lines = played(Queue())
    timed = [line for line in lines if "micros" in line]
    assert len(timed) == 10
    assert all(line["micros"] > 0 for line in timed)


def test_a_ticket_bears_the_id_of_the_request_whose_task_told_of_it() -> None:
    made = remembered_id(1)
    assert REQUEST.get() == made
    assert played(FifoQueue())[1]["request"] == made


def test_a_queue_is_made_as_its_file_says() -> None:
    assert isinstance(make_queue("fifo\n"), FifoQueue)
    assert isinstance(make_queue("corral"), Queue)
    assert isinstance(make_queue('corral {"booking_lapse_s": 2.0}'), Queue)
