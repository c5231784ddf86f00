"""Counts against records: no false difference whatever happens, and none missed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auditing import reconcile
from policies.auditing.reconcile import Reconciler
from policies.auditing.reconcile_records import Counted, Difference, Line, LineResult, Reconciliation, read_line, within

POOL, LIFE = "pool:worker-0", "aa"


class Worker:
    """One life of a worker: takes starts, and counts them by the name that was said."""

    def __init__(self, life: str = LIFE) -> None:
        self.life = life
        self.taken: dict[str, int] = {}
        self.ended: dict[str, list[int]] = {}

    def take(self, name: str) -> None:
        self.taken[name] = self.taken.get(name, 0) + 1

    def end(self, name: str, prompt: int, output: int) -> None:
        self.ended.setdefault(name, []).append(prompt * 1000 + output)

    def counted(self, name: str, open_runs: int = 0, **more: Any) -> Counted:
        ended = self.ended.get(name, [])
        return Counted(
            target=POOL, life=self.life, gateway=name, taken=self.taken.get(name, 0), ended=len(ended),
            prompt_tokens=sum(each // 1000 for each in ended), output_tokens=sum(each % 1000 for each in ended),
            open=open_runs, **more,
        )  # fmt: skip


class Chain:
    """Writes lines as a gateway does."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def add(self, **facts: Any) -> None:
        seq = len(self.lines)
        self.lines.append(Line(seq=seq, ts=f"2026-01-01T00:{seq // 60:02d}:{seq % 60:02d}.000000Z", **facts))

    def started(self, process: str = "p") -> None:
        self.add(event="gateway.started", stage="system", details=Counted(process=process))

    def stopped(self) -> None:
        self.add(event="gateway.stopped", stage="system")

    def authorized(self, request_id: str) -> None:
        self.add(event="request.authorized", stage="authorized", req_id=request_id)

    def over(self, request_id: str, taken_by: str = LIFE, target: str = POOL, **result: Any) -> None:
        stage = "completed" if result.get("finish") else "aborted"
        self.add(stage=stage, req_id=request_id, result=LineResult(target=target, taken_by=taken_by, **result))

    def counted(self, count: Counted) -> None:
        self.add(event="worker.counted", stage="system", details=count)


def reconciled(*chains: Chain, runs: bool = False, first_seq: int = 0) -> Reconciliation:
    reconciler = Reconciler()
    for number, chain in enumerate(chains):
        reconciler.begin(f"box-{number}", first_seq)
        for line in chain.lines:
            reconciler.take(line)
        reconciler.end(runs=runs)
    return reconciler.result()


def told(found: Reconciliation) -> list[tuple[str, int]]:
    return [(each.kind, each.count) for each in found.differences]


def served(chain: Chain, worker: Worker, *ids: str, name: str = "p", output: int = 3) -> None:
    for request_id in ids:
        chain.authorized(request_id)
        worker.take(name)
        worker.end(name, 5, output)
        chain.over(request_id, finish="stop", prompt_tokens=5, output_tokens=output)


@pytest.fixture
def chain() -> Chain:
    made = Chain()
    made.started()
    return made


def test_what_is_recorded_is_what_was_counted(chain: Chain) -> None:
    worker = Worker()
    served(chain, worker, "a", "b")
    chain.counted(worker.counted("p"))
    chain.stopped()
    found = reconciled(chain)
    assert found.differences == ()
    (target,) = found.targets
    assert (target.target, target.recorded, target.counted, target.counted_output_tokens) == (POOL, 2, 2, 6)
    assert found.last_count == chain.lines[-2].ts
    assert (found.running, found.uncounted) == (0, 0)


def test_a_start_under_no_name_and_one_under_anothers_are_found(chain: Chain) -> None:
    worker = Worker()
    served(chain, worker, "a")
    chain.counted(worker.counted("p"))
    worker.take("")
    chain.counted(worker.counted(""))
    worker.take("")
    chain.counted(worker.counted(""))
    worker.take("p")
    chain.counted(worker.counted("p"))
    served(chain, worker, "b")
    chain.counted(worker.counted("p"))
    chain.counted(Counted(target=POOL, life=LIFE, gateway="elsewhere:1", taken=4))
    chain.stopped()
    found = reconciled(chain)
    assert told(found) == [("requests", 1), ("nobody", 1), ("nobody", 1), ("nobody", 4)]
    bypass = found.differences[0]
    assert (bypass.target, bypass.life, bypass.who) == (POOL, LIFE, "p")
    assert bypass.since < bypass.until


def test_open_requests_are_believed_only_so_far_as_they_are_authorised(chain: Chain) -> None:
    worker = Worker()
    chain.authorized("a")
    worker.take("p")
    chain.counted(worker.counted("p", 1))
    assert told(reconciled(chain, runs=True)) == []
    worker.take("p")
    chain.counted(worker.counted("p", 2))
    found = reconciled(chain, runs=True)
    assert told(found) == [("requests", 1)]
    assert found.running == 1


def test_two_ends_of_one_request_count_once(chain: Chain) -> None:
    worker = Worker()
    served(chain, worker, "a")
    chain.over("a", finish="stop", prompt_tokens=5, output_tokens=3)
    chain.counted(worker.counted("p"))
    chain.stopped()
    assert reconciled(chain).differences == ()


def test_ended_ids_are_forgotten_at_last(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "MAX_CLOSED", 2)
    worker = Worker()
    served(chain, worker, "a", "b", "c")
    chain.over("c", finish="stop")
    chain.counted(worker.counted("p"))
    chain.stopped()
    assert reconciled(chain).differences == ()


def test_one_that_its_caller_left_may_never_have_been_taken(chain: Chain) -> None:
    worker = Worker()
    chain.authorized("a")
    chain.over("a")
    chain.counted(worker.counted("p"))
    chain.authorized("b")
    chain.over("b", finish="stop")
    chain.counted(worker.counted("p"))
    chain.counted(worker.counted("p"))
    chain.stopped()
    assert told(reconciled(chain)) == [("requests", -1)]


def test_tokens_that_do_not_fit_are_told_once(chain: Chain) -> None:
    worker = Worker()
    served(chain, worker, "a", output=3)
    worker.ended["p"][-1] += 2
    chain.counted(worker.counted("p"))
    chain.counted(worker.counted("p"))
    served(chain, worker, "b")
    worker.ended["p"][-1] -= 4000  # prompt tokens
    chain.counted(worker.counted("p"))
    chain.stopped()
    assert told(reconciled(chain)) == [("tokens", 2), ("tokens", -4)]


def test_an_end_that_crosses_a_cancel_hides_no_tokens_and_makes_none_up(chain: Chain) -> None:
    worker = Worker()
    chain.authorized("a")
    worker.take("p")
    worker.end("p", 5, 9)
    chain.over("a", output_tokens=2)
    served(chain, worker, "b")
    chain.counted(worker.counted("p"))
    chain.stopped()
    assert reconciled(chain).differences == ()


def test_a_killed_gateway_leaves_what_has_no_end_and_nothing_else(chain: Chain) -> None:
    worker = Worker()
    served(chain, worker, "a")
    chain.counted(worker.counted("p"))
    for request_id in ("b", "c", "d"):
        chain.authorized(request_id)
    worker.take("p")
    worker.take("p")
    chain.started("q")
    chain.counted(worker.counted("p"))
    served(chain, worker, "e", name="q")
    chain.counted(worker.counted("q"))
    chain.stopped()
    found = reconciled(chain)
    assert told(found) == [("without_end", 1)] * 3
    assert [each.request_id for each in found.differences] == ["b", "c", "d"]
    assert {each.who for each in found.differences} == {"p"}


def test_more_than_a_killed_gateway_had_is_a_difference(chain: Chain) -> None:
    worker = Worker()
    chain.authorized("b")
    for _ in range(3):
        worker.take("p")
    chain.started("q")
    chain.counted(worker.counted("p"))
    chain.counted(worker.counted("p"))
    chain.stopped()
    assert told(reconciled(chain)) == [("without_end", 1), ("requests", 2)]


def test_what_is_open_at_a_stop_or_where_nobody_runs_has_no_end(chain: Chain) -> None:
    chain.authorized("a")
    assert told(reconciled(chain)) == [("without_end", 1)]
    assert told(reconciled(chain, runs=True)) == []
    chain.stopped()
    assert told(reconciled(chain, runs=True)) == [("without_end", 1)]


def test_refused_ones_and_lookups_are_no_work(chain: Chain) -> None:
    chain.authorized("a")
    chain.over("a", taken_by="", target="")
    chain.add(stage="completed", req_id="tags")
    chain.add(event="target.ready", stage="system")
    chain.stopped()
    found = reconciled(chain)
    assert found.differences == ()
    assert found.targets == ()
    assert found.last_count == ""


def test_a_pruned_chain_begins_with_its_first_counts(chain: Chain) -> None:
    worker = Worker()
    worker.taken["p"] = 50
    worker.ended["p"] = [5003] * 50
    pruned = Chain()
    pruned.add(event="worker.counted", details=Counted(target=POOL, life=LIFE, gateway="", taken=50))
    served(pruned, worker, "a", name="")
    pruned.add(event="worker.counted", details=Counted(target=POOL, life=LIFE, gateway="", taken=51))
    assert told(reconciled(pruned, first_seq=900)) == []
    pruned.add(event="worker.counted", details=Counted(target=POOL, life=LIFE, gateway="", taken=53))
    assert told(reconciled(pruned, first_seq=900)) == [("requests", 2)]


def test_of_a_stored_line_only_what_is_compared_is_read() -> None:
    result = b'"result":{"target":"pool:w","taken_by":"aa","finish":"stop","output_tokens":3,"status":200}'
    assert read_line(b'{"seq":1,"ts":"t","stage":"completed","req_id":"a",%s}' % result) == Line(
        seq=1, ts="t", stage="completed", req_id="a", result=LineResult(POOL[:5] + "w", LIFE, "stop", 0, 3)
    )
    foreign = read_line(b'{"seq":2,"event":"disk.low","details":{"open":"yes","taken":"all"}}')
    assert foreign == Line(seq=2, event="disk.low")
    counted = read_line(b'{"seq":3,"event":"worker.counted","details":{"taken":4,"open":1,"last":true}}')
    assert counted.details == Counted(taken=4, open=1)


def test_only_differences_of_the_time_asked_for_are_told() -> None:
    def one(since: str, until: str) -> Difference:
        return Difference(kind="requests", target=POOL, life="a", who="p", count=1, since=since, until=until, text="t")

    all_three = (one("", "2026-01-02"), one("2026-01-02", "2026-01-03"), one("2026-01-05", "2026-01-06"))
    found = Reconciliation(differences=all_three, targets=(), running=1, uncounted=2, last_count="x")
    assert within(found, "", "") == found
    assert within(found, "2026-01-04", "").differences == all_three[2:]
    assert within(found, "", "2026-01-04").differences == all_three[:2]
    assert within(found, "2026-01-03", "2026-01-04").differences == all_three[1:2]


UPSTREAM = "upstream:second"


def upstream_count(chain: Chain, taken: int, open_runs: int = 0) -> None:
    chain.counted(Counted(target=UPSTREAM, life="x", taken=taken, output_tokens=3 * taken, open=open_runs))


def test_an_upstream_is_held_against_all_chains(chain: Chain) -> None:
    upstream_count(chain, 0)
    other = Chain()
    other.started("q")
    for each in (chain, other):
        each.authorized("a")
        each.over("a", taken_by="upstream", target=UPSTREAM, finish="stop", output_tokens=3)
        each.authorized("b")
        each.over("b", taken_by="", target=UPSTREAM)
    other.authorized("lost")
    other.started("r")
    other.stopped()
    upstream_count(chain, 5)
    chain.stopped()
    found = reconciled(chain, other)
    assert told(found) == [("without_end", 1)]
    (target,) = found.targets
    assert (target.target, target.recorded, target.counted) == (UPSTREAM, 2, 5)
    upstream_count(chain, 6)
    assert told(reconciled(chain, other)) == [("without_end", 1), ("upstream", 1)]


def test_what_was_lost_before_an_upstream_was_counted_may_have_been_there(chain: Chain) -> None:
    chain.authorized("lost")
    chain.started("q")
    chain.authorized("runs")
    upstream_count(chain, 0)
    upstream_count(chain, 1)
    assert told(reconciled(chain, runs=True)) == [("without_end", 1)]


def test_another_gateways_word_of_one_that_runs_is_no_difference_by_itself(chain: Chain) -> None:
    worker = Worker()
    served(chain, worker, "a")
    chain.authorized("runs")
    worker.take("p")
    chain.add(event="target.ready", stage="system")
    other = Chain()
    other.started("q")
    other.counted(worker.counted("p"))
    assert told(reconciled(chain, other, runs=True)) == []
    worker.take("p")
    other.counted(worker.counted("p"))
    assert told(reconciled(chain, other, runs=True)) == [("requests", 1)]
    for _ in range(20):
        other.add(event="target.ready", stage="system")
    for _ in range(9):
        worker.take("p")
    other.counted(worker.counted("p"))  # later than the chain of p was read
    assert told(reconciled(chain, other, runs=True)) == [("requests", 1)]


def test_tokens_that_come_to_fit_again_are_no_new_difference(chain: Chain) -> None:
    worker = Worker()
    served(chain, worker, "a")
    worker.ended["p"][-1] += 6
    chain.counted(worker.counted("p"))
    worker.ended["p"][-1] -= 6
    chain.counted(worker.counted("p"))
    chain.stopped()
    assert told(reconciled(chain)) == [("tokens", 6)]


# ---- anything that can happen

ACTS = st.lists(
    st.sampled_from(
        ("take", "take", "finish", "finish", "leave", "leave_untaken", "slot_taken", "cross", "twice", "refuse",
         "count", "kill", "fail_start")
    ),
    min_size=5, max_size=60,
)  # fmt: skip


class Run:
    """A gateway and a worker, driven by a list of acts; keeps what an honest log would say of it."""

    def __init__(self, thefts: set[int], named: bool) -> None:
        self.chain, self.worker = Chain(), Worker()
        self.process, self.number = "p0", 0
        self.queued: list[str] = []
        self.running: list[str] = []
        self.lost: list[str] = []
        self.stolen = 0
        self._thefts, self._named = thefts, named
        self.chain.started(self.process)

    def do(self, act: str, place: int) -> None:
        if place in self._thefts:
            self.worker.take(self.process if self._named else "")
            self.stolen += 1
        getattr(self, act)()

    def _new(self) -> str:
        self.number += 1
        request_id = f"r{self.number}"
        self.chain.authorized(request_id)
        return request_id

    def take(self) -> None:
        self.running.append(self._new())
        self.worker.take(self.process)

    def finish(self) -> None:
        if self.running:
            self.worker.end(self.process, 7, 4)
            self.chain.over(self.running.pop(0), finish="stop", prompt_tokens=7, output_tokens=4)

    def leave(self) -> None:
        if self.running:
            self.chain.over(self.running.pop(), output_tokens=1)

    def leave_untaken(self) -> None:
        """Sent, left, and then answered SlotTaken: the record says taken, the worker has never taken it."""
        self.chain.over(self._new())

    def slot_taken(self) -> None:
        self.queued.append(self._new())

    def refuse(self) -> None:
        request_id = self.queued.pop() if self.queued else self._new()
        self.chain.over(request_id, taken_by="", target="")

    def cross(self) -> None:
        if self.running:
            self.worker.end(self.process, 7, 9)
            self.leave()

    def twice(self) -> None:
        if self.running:
            request_id = self.running[0]
            self.finish()
            self.chain.over(request_id, finish="stop", prompt_tokens=7, output_tokens=4)

    def fail_start(self) -> None:
        """A start that the worker answers with a fault: taken, and failed."""
        self.take()
        self.leave()

    def count(self) -> None:
        self.chain.counted(self.worker.counted(self.process, len(self.running)))
        for name in self.worker.taken:
            if name != self.process:
                self.chain.counted(self.worker.counted(name))

    def kill(self) -> None:
        self.lost += [*self.running, *self.queued]
        self.running, self.queued = [], []
        self.process = f"p{len(self.chain.lines)}"
        self.chain.started(self.process)

    def stop(self) -> Reconciliation:
        while self.running:
            self.finish()
        while self.queued:
            self.refuse()
        self.count()
        self.chain.stopped()
        return reconciled(self.chain)


@given(ACTS)
@settings(max_examples=300, deadline=None)
def test_nothing_that_happens_by_itself_is_a_difference(acts: list[str]) -> None:
    run = Run(set(), named=False)
    for place, act in enumerate(acts):
        run.do(act, place)
    found = run.stop()
    assert {each.kind for each in found.differences} <= {"without_end"}
    assert [each.request_id for each in found.differences] == run.lost or set(run.lost) == {
        each.request_id for each in found.differences
    }


@given(ACTS, st.sets(st.integers(0, 59), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_whoever_starts_without_a_name_is_always_found(acts: list[str], thefts: set[int]) -> None:
    run = Run(thefts, named=False)
    for place, act in enumerate(acts):
        run.do(act, place)
    found = run.stop()
    assert sum(each.count for each in found.differences if each.kind == "nobody") == run.stolen


@given(ACTS, st.integers(0, 59))
@settings(max_examples=200, deadline=None)
def test_a_start_in_a_living_gateways_name_is_found(acts: list[str], place: int) -> None:
    calm = [act for act in acts if act not in ("kill", "leave_untaken")]
    run = Run({place}, named=True)
    for number, act in enumerate(calm):
        run.do(act, number)
    found = run.stop()
    assert sum(each.count for each in found.differences if each.kind == "requests") == run.stolen
