"""One worker: what a batch does to each of its requests."""

from math import inf

import pytest

from gateway.simulating.engine_model import EngineModel
from gateway.simulating.fluid_worker import FluidWorker, Job

MODEL = EngineModel(slots=4, decode_s=(0.0, 0.1, 0.16, 0.2, 0.22), prefill_tokens_per_s=1000.0, chunk_tokens=100.0)


def run(worker: FluidWorker) -> list[tuple[float, list[int], list[int]]]:
    """All its events: when, who began, who was done."""
    events = []
    while (now_s := worker.next_s()) < inf:
        began, done = worker.step(now_s)
        events.append((round(now_s, 9), [job.id for job in began], [job.id for job in done]))
    return events


def test_alone_it_reads_its_prompt_and_then_answers() -> None:
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 500, 20), 2.0)
    assert run(worker) == [(2.5, [1], []), (4.5, [], [1])]
    assert worker.next_s() == inf


def test_two_answers_slow_each_other_by_the_table() -> None:
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 0, 10), 0.0)
    worker.add(Job(2, 0, 20), 0.0)
    assert worker.step(0.0) == ([worker.jobs[0], worker.jobs[1]], [])
    assert run(worker) == [(1.6, [], [1]), (2.6, [], [2])]


def test_a_prompt_stalls_the_others_decoding() -> None:
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 0, 10), 0.0)
    worker.step(0.0)
    worker.add(Job(2, 200, 10), 0.0)
    assert run(worker)[0] == (0.4, [2], [])  # two steps of 0.1 and 0.1 s
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 0, 10), 0.0)
    worker.step(0.0)
    worker.add(Job(2, 200, 10), 0.0)
    assert worker.answers(0.2) == [(1, 1)]


def test_of_two_prompts_the_first_to_come_is_read_first() -> None:
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 300, 100), 0.0)
    worker.add(Job(2, 100, 100), 0.0)
    worker.step(0.1)
    assert [job.prompt_left for job in worker.jobs] == pytest.approx([200, 100])
    assert [began for _, began, _ in run(worker)[:2]] == [[1], [2]]


def test_a_chunk_flows_over_to_the_next_prompt() -> None:
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 100, 100), 0.0)
    worker.add(Job(2, 100, 100), 0.0)
    began, _ = worker.step(0.15)
    assert [job.id for job in began] == [1]
    assert worker.jobs[1].prompt_left == pytest.approx(50)


def test_one_that_is_taken_out_gives_its_speed_to_the_others() -> None:
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 0, 10), 0.0)
    worker.add(Job(2, 0, 10), 0.0)
    worker.step(0.0)
    worker.remove(worker.jobs[0], 0.8)
    assert run(worker) == [(1.3, [], [2])]


def test_how_far_answers_are_is_told_without_a_change() -> None:
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 100, 10), 0.0)
    assert worker.answers(0.05) == []
    worker.step(0.1)
    assert worker.answers(0.35) == [(1, 2)]
    assert worker.answers(99.0) == [(1, 10)]
    assert run(worker) == [(1.1, [], [1])]


def test_it_can_be_slowed_while_it_works() -> None:
    worker = FluidWorker(MODEL)
    worker.add(Job(1, 0, 10), 0.0)
    worker.step(0.0)
    worker.change(MODEL.slowed(2.0), 0.5)
    assert run(worker) == [(1.5, [], [1])]
