from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from engine.interface import Prepared
from gateway.suspects import SuspectBook
from policies.call import Call, Sampling
from policies.errors import CallerKillsWorkers, RequestKillsWorker
from policies.suspects import DEATHS, LAPSE_S, REFUSAL_S
from tests.fakes import ManualClock

CALL = Call(kind="chat", model="m:latest", cache_scope="team:one")
ONE = Prepared(call=CALL, prompt_tokens=2, prompt_ids=((1, 2),), max_output_tokens=8)


def changed(**call: Any) -> Prepared:
    return msgspec.structs.replace(ONE, call=msgspec.structs.replace(CALL, **call))


class Book(SuspectBook):
    """With a clock of its own, and what it noted."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.notes: list[tuple[str, dict[str, Any]]] = []
        super().__init__(self.clock, lambda event, details: self.notes.append((event, details)))


def test_the_story_of_a_killer_and_its_mate() -> None:
    book = Book()
    mate = msgspec.structs.replace(ONE, prompt_ids=((1, 3),))
    assert not book.must_run_alone(ONE)
    with capture_logs() as logs:
        book.died("pool:w", (ONE, mate), alone=False)
        assert book.must_run_alone(ONE)
        assert book.must_run_alone(mate)
        book.ended_well(mate)
        assert not book.must_run_alone(mate)
        book.died("pool:w", (ONE,), alone=True)
    with pytest.raises(RequestKillsWorker) as refusal:
        book.must_run_alone(ONE)
    assert refusal.value.reason == "request_kills_worker"
    assert book.counts() == {"suspects": 0, "refused": 1}
    told = ("requests.suspected", "requests.suspected", "request.kills_worker")
    assert tuple(event for event, _ in book.notes) == told
    assert book.notes[0][1] == {"target": "pool:w", "requests": 2, "alone": False}
    assert set(book.notes[2][1]) == {"target", "model", "fingerprint"}
    assert [entry["event"] for entry in logs] == ["worker_died_with_requests"] * 2 + ["request_kills_worker"]
    book.clock.move(LAPSE_S)
    assert not book.must_run_alone(ONE)


@pytest.mark.parametrize(
    "other",
    [
        changed(sampling=Sampling(temperature=0.123)),
        changed(cache_scope="team:two"),
        changed(model="n:latest"),
        changed(kind="completion"),
        msgspec.structs.replace(ONE, grammar="root ::= [a]"),
        msgspec.structs.replace(ONE, prompt_ids=((1, 2, 3),)),
    ],
)
def test_only_what_a_worker_is_sent_alike_is_the_same_request(other: Prepared) -> None:
    book = Book()
    book.died("pool:w", (ONE,), alone=True)
    assert book.must_run_alone(msgspec.structs.replace(ONE, block_hashes=(b"x",)))
    assert not book.must_run_alone(other)


def test_each_gateway_start_has_a_key_of_its_own_and_an_end_without_suspects_needs_none() -> None:
    one, other = Book(), Book()
    assert one._fingerprint(ONE) != other._fingerprint(ONE)
    one.ended_well(ONE)
    assert one.counts() == {"suspects": 0, "refused": 0}


def numbered(number: int, caller: str = "key:eve") -> Prepared:
    call = msgspec.structs.replace(CALL, caller=caller)
    return msgspec.structs.replace(ONE, call=call, prompt_ids=((number,),))


def test_a_caller_of_whom_each_new_request_kills_is_refused_for_a_while_by_name() -> None:
    book = Book()
    with capture_logs() as logs:
        for number in range(DEATHS):
            assert not book.must_run_alone(numbered(number + 100))
            book.died("pool:w", (numbered(number),), alone=True)
        assert book.must_run_alone(numbered(100)), "another request of the same caller"
        assert not book.must_run_alone(numbered(100, "key:bob"))
        assert book.callers() == {"alone": 1, "refused": 0}
        book.died("pool:w", (numbered(50),), alone=True)
    with pytest.raises(CallerKillsWorkers) as refusal:
        book.must_run_alone(numbered(100))
    assert (refusal.value.reason, refusal.value.retry_after_s) == ("caller_kills_workers", REFUSAL_S)
    assert not book.must_run_alone(numbered(100, "key:bob"))
    [(_, details)] = [each for each in book.notes if each[0] == "caller.kills_workers"]
    assert details == {"target": "pool:w", "model": "m:latest", "caller": "key:eve", "refused_s": REFUSAL_S}
    assert [each["event"] for each in logs][-2:] == ["worker_died_with_requests", "caller_kills_workers"]
    book.clock.move(REFUSAL_S)
    assert book.must_run_alone(numbered(100)), "allowed again, by itself"


class Counted(Book):
    """Whose supervisor counts deaths."""

    def __init__(self) -> None:
        super().__init__()
        self.deaths = 2
        self.count_deaths_by(lambda _target: self.deaths)
        self.lives("pool:w")


def test_a_connection_that_is_dropped_without_a_death_accuses_nobody() -> None:
    book = Counted()
    for _ in range(9):
        book.died("pool:w", (ONE,), alone=True)
        assert not book.must_run_alone(ONE)
        with capture_logs() as logs:
            book.lives("pool:w")
        assert [each["event"] for each in logs] == ["connection_lost_without_a_death"]
    book.deaths += 1  # of what runs there later
    assert not book.must_run_alone(ONE)
    assert (book.counts(), book.callers(), book.notes) == (
        {"suspects": 0, "refused": 0},
        {"alone": 0, "refused": 0},
        [],
    )


def test_a_death_that_is_written_down_later_accuses_before_the_next_process_serves() -> None:
    book = Counted()
    book.died("pool:w", (ONE,), alone=True)
    assert not book.must_run_alone(ONE)
    book.deaths += 1
    assert book.must_run_alone(ONE)
    book.lives("pool:w")
    book.died("pool:w", (ONE,), alone=True)
    book.deaths += 1
    book.lives("pool:w")
    assert book.counts() == {"suspects": 0, "refused": 1}


def test_two_alike_at_once_are_not_one_that_was_alone() -> None:
    book = Book()
    book.died("pool:w", (ONE, ONE), alone=True)
    book.died("pool:w", (ONE, ONE), alone=True)
    assert book.counts() == {"suspects": 1, "refused": 0}
