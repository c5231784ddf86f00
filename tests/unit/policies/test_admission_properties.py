"""Invariant: whatever happens, in whatever order, nobody is lost, nothing free lies idle, and nobody is counted twice.

A machine drives the real queue with everything that can happen to it: two models and their adapters on targets that
come, go and change what they list, bands of which one keeps its slots, clocks that jump, callers that leave, slots that
were taken, requests that must run alone. After each event the rules are checked against a model of the test's own.
"""

import math
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct

from policies.admission import TAKEN_PAUSE_S
from policies.admitting.effects import Forecast
from policies.admitting.events import (
    BandsChanged,
    Began,
    Ended,
    Grew,
    QueueEvent,
    Resumed,
    Stepped,
)
from policies.admitting.ticket import BandTerms, Bounds, PoolKey, Served, Step, TargetFacts
from tests.unit.policies.queue_driver import OTHER, POOL, WIDE, Driver

ADAPTED: PoolKey = ("m", "poet", "chat")
VECTORS: PoolKey = ("n", "", "embedding")
POOLS = (POOL, OTHER, ADAPTED, VECTORS)
ALL_LEND = (BandTerms("high", 0.5), BandTerms("", 0.3), BandTerms("low", 0.2))
ONE_KEEPS = (BandTerms("high", 0.3, lends=False), BandTerms("", 0.3), BandTerms("low", 0.2))
NEVER = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-300, 1e300)
NOT_COMPARED = {"_figures", "bookings", "_beyond", "_handlers", "_now_s"}

some_pools = st.lists(st.sampled_from(POOLS), max_size=3, unique=True).map(tuple)
some_seconds = st.sampled_from((None, 0.0, 0.5, 3.0, 40.0, 1e6))
some_time = st.one_of(st.floats(0, 100), st.sampled_from(NEVER))


def frozen(thing: object, seen: frozenset[int] = frozenset()) -> object:
    """All that the queue keeps as plain values that compare by content, but for what is not compared."""
    if id(thing) in seen:
        return "..."
    seen |= {id(thing)}
    if isinstance(thing, dict):
        kept = {key: frozen(value, seen) for key, value in thing.items() if not _is_unused(value)}
        return list(kept.items())
    if isinstance(thing, list | tuple):
        return [frozen(each, seen) for each in thing]
    if isinstance(thing, str | bytes | int | float | bool | None | Struct | frozenset):
        return thing
    names = getattr(type(thing), "__slots__", None) or vars(thing)
    return [(name, frozen(getattr(thing, name), seen)) for name in names if name not in NOT_COMPARED]


def _is_unused(thing: object) -> bool:
    """An account that holds bookings only."""
    return type(thing).__name__ == "TeamAccount" and not vars(thing)["_demand"]


class QueueMachine(RuleBasedStateMachine):
    """See the head of the module."""

    @initialize()
    def start(self) -> None:
        self.driver = Driver()
        self.targets: dict[str, TargetFacts] = {}
        self.ready: set[str] = set()
        self.taken_s: dict[str, float] = {}
        self.bands: tuple[BandTerms, ...] = ()
        self.counters: dict[str, float] = {}
        self.settles = False
        self.get_ready("u", (POOL, OTHER), 2, swaps=True)
        self.get_ready("v", (POOL, ADAPTED), 1, swaps=False)

    # ---- what happens

    @rule(
        pool=st.sampled_from(POOLS),
        team=st.sampled_from("abc"),
        band=st.sampled_from(("high", "", "low", "unheard of")),
        promise_s=some_seconds,
        patience_s=some_seconds,
        enforced=st.booleans(),
        tokens=st.integers(0, 5_000),
        identity=st.sampled_from((b"", b"x", b"y")),
        bounds=st.sampled_from((WIDE, Bounds(total=3, team=2))),
        alone=st.sampled_from((False, False, False, True)),
    )
    def arrive(  # noqa: PLR0917 (Hypothesis names them)
        self,
        pool: PoolKey,
        team: str,
        band: str,
        promise_s: float | None,
        patience_s: float | None,
        enforced: bool,
        tokens: int,
        identity: bytes,
        bounds: Bounds,
        alone: bool,
    ) -> None:
        driver = self.driver
        before, refused = frozen(driver.queue), len(driver.refused)
        number = driver.arrive(
            team,
            bounds,
            model=pool[0],
            adapter=pool[1],
            kind=pool[2],
            band=band,
            weight=1.0 + "abc".index(team),
            promise_s=promise_s,
            expires_s=None if patience_s is None else driver.now_s + patience_s,
            enforced=enforced,
            prompt_tokens=tokens,
            output_cap=max(tokens, 1),
            identity=identity,
            blocks=tuple(bytes([each]) for each in range(tokens % 5)),
            alone=alone,
        )
        places = (number in driver.waiting) + (number in driver.running)
        assert places + sum(each.ticket.id == number for each in driver.refused[refused:]) == 1, "one answer each"
        if len(driver.refused) == refused + 1 and not places and driver.refused[-1].ticket.id == number:
            retry_after_s = driver.refused[-1].retry_after_s
            assert retry_after_s is None or 1.0 <= retry_after_s <= 120.0
            assert frozen(driver.queue) == before, "a refusal leaves nothing behind but its booking"

    @rule(data=st.data(), served=st.tuples(st.integers(-5, 4_000), st.integers(-5, 4_000), st.integers(-5, 4_000)))
    @precondition(lambda self: self.driver.running)
    def end(self, data: st.DataObject, served: tuple[int, int, int]) -> None:
        load_s = data.draw(st.sampled_from((*NEVER, 0.0, 2.0)))
        self._settle(Ended(self._one(data, self.driver.running), Served(*served, load_s)))

    @rule(data=st.data())
    @precondition(lambda self: self.driver.running)
    def report(self, data: st.DataObject) -> None:
        number = self._one(data, self.driver.running)
        self.driver.tell(Began(number))
        self.driver.tell(Grew(number, data.draw(st.integers(-5, 5_000))))

    @rule(data=st.data())
    @precondition(lambda self: self.driver.running or self.driver.waiting)
    def leave(self, data: st.DataObject) -> None:
        number = self._one(data, self.driver.running | self.driver.waiting)
        self.settles = True
        self.driver.leave(number)
        self._check_counters()
        assert self.driver.leave(number) == [], "who is gone goes only once"

    @rule(data=st.data())
    @precondition(lambda self: self.driver.running)
    def find_the_slot_taken(self, data: st.DataObject) -> None:
        number = self._one(data, self.driver.running)
        self.taken_s[self.driver.running[number][1]] = self.driver.now_s
        self.settles = True
        self.driver.taken(number)
        self._check_counters()

    @rule(name=st.sampled_from("uvw"), pools=some_pools, slots=st.integers(0, 3), swaps=st.booleans())
    def get_ready(self, name: str, pools: tuple[PoolKey, ...], slots: int, *, swaps: bool) -> None:
        facts = TargetFacts(id=name, pools=pools, slots=slots, swaps=swaps, slot_weight=1.0 + slots)
        self.targets[name] = facts
        self.ready.add(name)
        self.taken_s.pop(name, None)
        self.driver.ready(facts)

    @rule(name=st.sampled_from("uvw"), pools=some_pools)
    def get_lost(self, name: str, pools: tuple[PoolKey, ...]) -> None:
        facts = TargetFacts(id=name, pools=pools, slots=2)
        if pools or name not in self.targets:
            self.targets[name] = facts
        self.ready.discard(name)
        self.driver.lose(facts)

    @rule(name=st.sampled_from("uvw"), step_s=some_time, rows=st.integers(-1, 5), busy=st.integers(0, 4))
    def step(self, name: str, step_s: float, rows: int, busy: int) -> None:
        if name in self.targets and busy < self.targets[name].slots:
            self.taken_s.pop(name, None)
        step = Step(step_s=step_s, decode_rows=rows, prefill_rows=0, busy_slots=busy)
        self.driver.tell(Stepped(name, step))

    @rule(bands=st.sampled_from(((), ALL_LEND, ONE_KEEPS)))
    def change_bands(self, bands: tuple[BandTerms, ...]) -> None:
        self.bands = bands
        self.driver.tell(BandsChanged(bands))

    @rule(seconds=st.floats(0, 90))
    def pass_time(self, seconds: float) -> None:
        self.driver.now_s += seconds
        now_s = self.driver.now_s
        self.taken_s = {name: at_s for name, at_s in self.taken_s.items() if now_s < at_s + TAKEN_PAUSE_S}
        self.driver.tick()
        assert all(each.expires_s is None or each.expires_s > now_s for each in self.driver.waiting.values())

    @rule(now_s=st.sampled_from((math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-300)), ask=st.booleans())
    def break_the_clock(self, now_s: float, ask: bool) -> None:
        """It shows what is no time, or is set back; the next event has the right one again."""
        true_s, self.driver.now_s = self.driver.now_s, now_s
        if ask:
            for number in self.driver.waiting:
                _is_sound(self.driver.queue.forecast(number, now_s))
            self.driver.queue.view(now_s)
        else:
            self.driver.tell(Stepped("u", Step(step_s=0.0, decode_rows=0, prefill_rows=0, busy_slots=9)))
        self.driver.now_s = true_s

    @rule(number=st.integers(-3, -1))
    def speak_of_nobody(self, number: int) -> None:
        for event in (Began(number), Grew(number, 1), Ended(number, Served())):
            assert self.driver.tell(event) == []
        assert self.driver.leave(number) == []
        assert self.driver.taken(number) == []

    @rule(data=st.data())
    @precondition(lambda self: self.driver.running or self.driver.waiting)
    def hear_of_one_twice(self, data: st.DataObject) -> None:
        known = self.driver.waiting | {number: asked for number, (asked, _) in self.driver.running.items()}
        assert self.driver.tell(Resumed(known[self._one(data, known)], "u")) == []

    # ---- what always holds

    @invariant()
    def nobody_is_lost(self) -> None:
        queue, driver = self.driver.queue, self.driver
        assert queue.waiting() == len(driver.waiting)
        assert set(queue._waiting) == set(driver.waiting)
        assert set(queue._running) == set(driver.running)
        assert driver.waiting.keys().isdisjoint(driver.running)
        on_targets = {number for target in queue._targets.values() for number in target.running}
        assert on_targets == set(driver.running)
        running: dict[str, int] = {}
        for asked, _ in driver.running.values():
            running[asked.team] = running.get(asked.team, 0) + 1
        assert {
            name: sum(each.running.values()) for name, each in queue._known.accounts.items() if each.running
        } == running

    @invariant()
    def nothing_free_lies_idle(self) -> None:
        for number, asked in self.driver.waiting.items():
            open_to_it = [
                name
                for name in self.ready
                if self._has_room(name) and asked.pool in self.targets[name].pools and name not in self._kept()
            ]
            if asked.alone and any(asked.pool in self.targets[name].pools for name in self._kept() & self.ready):
                continue  # such take one target after the other, whatever else is free
            assert not open_to_it or self._is_kept(asked.band, asked.pool), f"{number} waits beside {open_to_it}"

    @invariant()
    def who_runs_alone_has_nobody_beside_it(self) -> None:
        queue = self.driver.queue
        for name, target in queue._targets.items():
            ids = [each.ticket.id for each in target.lone.waiting]
            alone = [number for number, each in target.running.items() if each.ticket.alone]
            assert target.lone.is_kept == bool(ids or alone), "a target is kept for somebody"
            assert not alone or len(target.running) == 1
            assert not (ids and target.is_ready and target.facts.slots and name not in self.taken_s) or target.running
            assert all(queue._aside[number] is target for number in ids)
        assert sum(len(each.lone.waiting) for each in queue._targets.values()) == len(queue._aside)

    @invariant()
    def a_backlog_is_the_sum_of_what_waits(self) -> None:
        for account in self.driver.queue._known.accounts.values():
            for line in account.lines.values():
                waiting = list(line)
                assert waiting, "no line is kept empty"
                assert math.isclose(line.cost_s, sum(each.cost_s for each in waiting), abs_tol=1e-6)
                assert all(each.cost_s > 0 for each in waiting)
                assert all(one.order < next_one.order for one, next_one in pairwise(waiting))

    @invariant()
    def counters_fall_only_when_settled(self) -> None:
        self._check_counters()

    @invariant()
    def what_is_told_is_a_time(self) -> None:
        driver = self.driver
        for number in driver.waiting:
            _is_sound(driver.queue.forecast(number, driver.now_s))
            assert driver.queue.position(number) >= 1
        driver.queue.view(driver.now_s)

    # ---- the test's own model

    def _settle(self, event: QueueEvent) -> None:
        self.settles = True
        self.driver.tell(event)
        self._check_counters()

    def _check_counters(self) -> None:
        now = {name: each.counter for name, each in self.driver.queue._known.accounts.items()}
        for name, counter in self.counters.items():
            assert math.isfinite(now[name])
            assert self.settles or now[name] >= counter
        self.counters, self.settles = now, False

    def _one(self, data: st.DataObject, among: dict[int, Any]) -> int:
        return data.draw(st.sampled_from(sorted(among)))

    def _has_room(self, name: str) -> bool:
        busy = sum(target == name for _, target in self.driver.running.values())
        return name not in self.taken_s and busy < self.targets[name].slots

    def _kept(self) -> set[str]:
        return {name for name, each in self.driver.queue._targets.items() if each.lone.is_kept}

    def _is_kept(self, band: str, pool: PoolKey) -> bool:
        """Whether the free slots of the domain are no more than those that the keeping band has yet to use."""
        if self.bands is not ONE_KEEPS or band == "high":
            return False
        domain = {pool}
        for _ in POOLS:
            domain.update(*(each.pools for each in self.targets.values() if domain & set(each.pools)))
        names = [name for name, each in self.targets.items() if domain & set(each.pools)]
        running = [asked.band for asked, target in self.driver.running.values() if target in names]
        slots = sum(self.targets[name].slots for name in names if name in self.ready)
        kept = max(0, math.ceil(0.3 * slots - 1e-9) - running.count("high"))
        free = sum(
            self.targets[name].slots - sum(target == name for _, target in self.driver.running.values())
            for name in names
            if name in self.ready and self._has_room(name) and name not in self._kept()
        )
        return free <= min(kept, slots if running.count(band) else slots - 1)


def _is_sound(forecast: Forecast) -> None:
    for seconds in (forecast.wait_s, forecast.likely_s, forecast.p90_s, forecast.prefill_s):
        assert 0 <= seconds < math.inf


TestQueueMachine = QueueMachine.TestCase
