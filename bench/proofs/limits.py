"""Limits that cannot be exceeded: for any schedule admitted(t, t + W) <= burst + rate * W, over a million steps.

The store of a single gateway is driven through random schedules (bursts, lulls, long answers, cancellations) on a
clock of the proof's own. Nothing of the decision is asked again: what was admitted is written down with its time and,
for tokens, with what it really used, and every window of every bucket is then judged by arithmetic in integers.

 * All windows at once: admitted(t, t + W) - rate * W <= burst for every t and W exactly when the running sum
   m_i = max(m_(i-1) - rate * (t_i - t_(i-1)), 0) + n_i never passes burst (the largest sum over a suffix, Kadane).
 * Tokens besides: in no sixty seconds are more than a minute's worth used.
 * A refusal's time to come back is true: whoever comes back then, and nobody else, is let in.
 * The clock is set back or forward by an hour: nobody waits longer than a full bucket takes to refill.
"""

import random
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from gateway.limits.budget_book import BudgetBook
from gateway.limits.memory_store import MemoryStore
from policies.errors import RateLimited
from policies.limiting.limits import Claims, RateClaim, Reservation, Used
from policies.limiting.rate_limit import NS_PER_MINUTE, Rate

STEPS = 1_000_000
SEEDS = (1, 2, 3, 4)
NS = 1_000_000_000
HOUR_NS = 3600 * NS

T = TypeVar("T")


class StepClock:
    """Both clocks, moved by the proof."""

    def __init__(self) -> None:
        self.now_ns = 10**15

    def unix_ns(self) -> int:
        """Nanoseconds since 1970, as far as budgets are concerned."""
        return 1_700_000_000 * NS + self.now_ns

    def mono_ns(self) -> int:
        """The clock of rates."""
        return self.now_ns


@dataclass
class Ledger:
    """What one bucket let in: times in ns, amounts (tokens: as finally used)."""

    rate: Rate
    events: list[list[int]] = field(default_factory=list)

    def judge(self) -> int:
        """The fullest window, in parts per million of the burst. Raises AssertionError beyond it."""
        # In units of 1 / NS_PER_MINUTE of one request, so that everything is a whole number.
        burst, level, last_ns, fullest = self.rate.burst * NS_PER_MINUTE, 0, 0, 0
        for at_ns, amount in self.events:
            level = max(level - self.rate.per_minute * (at_ns - last_ns), 0) + amount * NS_PER_MINUTE
            last_ns, fullest = at_ns, max(fullest, level)
            assert level <= burst, f"{self.rate}: {level / NS_PER_MINUTE} at once at {at_ns} ns"
        return fullest * 1_000_000 // burst

    def judge_minutes(self) -> None:
        """Raises AssertionError when sixty seconds hold more than a minute's worth."""
        inside: deque[list[int]] = deque()
        total = 0
        for event in self.events:
            inside.append(event)
            total += event[1]
            while inside[0][0] <= event[0] - NS_PER_MINUTE:
                total -= inside.popleft()[1]
            assert total <= self.rate.per_minute, f"{self.rate}: {total} tokens in the minute to {event[0]} ns"


class Schedule:
    """One random schedule against one store."""

    def __init__(self, store: MemoryStore, clock: StepClock, randomness: random.Random) -> None:
        self._store, self._clock, self._random = store, clock, randomness
        self.requests: dict[str, Ledger] = {}
        self.tokens: dict[str, Ledger] = {}
        self._running: list[tuple[Reservation, list[list[int]]]] = []
        self.counts = {"steps": 0, "admitted": 0, "refused": 0, "came_back": 0, "settled": 0}
        draw = randomness.randint
        self._keys = {f"key{n}": Rate(draw(1, 6000), draw(1, 40)) for n in range(4)}
        self._all = Rate(draw(100, 20_000), draw(1, 100))
        self._most_tokens = {f"key{n}": draw(50, 100_000) for n in range(4)} | {"all": draw(1_000, 10**9)}

    def step(self) -> None:
        """One act at a random moment."""
        self.counts["steps"] += 1
        self._clock.now_ns += self._random.choice((0, 0, 1, self._random.randrange(NS), self._random.randrange(8 * NS)))
        if self._running and self._random.random() < 0.35:
            self._settle(self._random.randrange(len(self._running)))
        elif self._random.random() < 0.5:
            self._come(self._random.choice(list(self._keys)))
        else:
            self._work(self._random.choice(list(self._keys)))

    def judge(self) -> dict[str, int]:
        """The figures of all buckets. Raises AssertionError for one that let in too much."""
        while self._running:
            self._settle(0)
        for ledger in self.tokens.values():
            ledger.judge_minutes()
        fullest = [ledger.judge() for ledger in (*self.requests.values(), *self.tokens.values())]
        return self.counts | {"buckets": len(fullest), "fullest_ppm": max(fullest)}

    def _come(self, key: str) -> None:
        claims = (
            RateClaim(f"requests:{key}", self._keys[key]),
            RateClaim("requests:all", self._all, whose="all"),
        )
        if self._let_in(lambda: self._store.take(claims)) is not None:
            for claim in claims:
                ledger = self.requests.setdefault(claim.name, Ledger(claim.rate))
                ledger.events.append([self._clock.now_ns, 1])

    def _work(self, key: str) -> None:
        claims = tuple(self._token_claim(name, unit) for name in (key, "all") for unit in ("prompt", "output"))
        reservation = self._let_in(lambda: self._store.reserve(Claims(rates=claims)))
        if isinstance(reservation, Reservation):
            events = [self._note(claim) for claim in claims]
            self._running.append((reservation, events))

    def _token_claim(self, name: str, unit: str) -> RateClaim:
        most = self._most_tokens[name]
        cost = self._random.randint(0, self._most_tokens[name] // self._random.choice((1, 3, 30)))
        full = "prompt_tokens" if unit == "prompt" else "output_tokens"
        return RateClaim(f"{full}:{name}", Rate(most, most), cost, unit=full)  # type: ignore[arg-type]

    def _note(self, claim: RateClaim) -> list[int]:
        event = [self._clock.now_ns, claim.cost]
        self.tokens.setdefault(claim.name, Ledger(claim.rate)).events.append(event)
        return event

    def _let_in(self, call: Any) -> Any:
        """What the store grants, at once or at the time it named. None when it did not and nobody waited."""
        try:
            granted = run(call())
        except RateLimited as refused:
            self.counts["refused"] += 1
            if self._random.random() < 0.5:
                return None
            self._clock.now_ns += -int(-refused.retry_after_s * NS // 1)
            granted = run(call())  # a second refusal would mean that the time named was not true
            self.counts["came_back"] += 1
        self.counts["admitted"] += 1
        return granted

    def _settle(self, index: int) -> None:
        reservation, events = self._running.pop(index)
        prompt, output = (min(event[1] for event in events[part::2]) for part in (0, 1))
        used = Used(self._random.choice((0, prompt)), self._random.randint(0, output))
        run(self._store.settle(reservation, used))
        for number, event in enumerate(events):
            event[1] = used.output_tokens if number % 2 else used.prompt_tokens
        self.counts["settled"] += 1


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("the store waited")


def prove_schedule(steps: int, seed: int) -> dict[str, int]:
    """One schedule. Raises AssertionError for a window that held too much, RateLimited for an untrue wait."""
    with TemporaryDirectory() as folder:
        clock = StepClock()
        schedule = Schedule(MemoryStore(clock, BudgetBook.open(Path(folder) / "limits.db")), clock, random.Random(seed))
        for _ in range(steps):
            schedule.step()
        return schedule.judge()


def prove_jumps(jumps: int, seed: int) -> dict[str, int]:
    """The clock jumps an hour either way with full buckets; the longest wait that follows is at most the window."""
    randomness, clock, longest_ns = random.Random(seed), StepClock(), 0
    with TemporaryDirectory() as folder:
        store = MemoryStore(clock, BudgetBook.open(Path(folder) / "limits.db"))
        claims = Claims(rates=(RateClaim("r", Rate(60, 20)), RateClaim("t", Rate(900, 900), 300, unit="output_tokens")))
        for _ in range(jumps):
            for _ in range(randomness.randint(1, 30)):
                _wait_ns(store, claims)
            clock.now_ns += randomness.choice((-HOUR_NS, HOUR_NS, 0)) + randomness.randrange(NS)
            wait_ns = _wait_ns(store, claims)
            clock.now_ns += wait_ns
            assert not wait_ns or not _wait_ns(store, claims), "after the wait that was named there is still no room"
            longest_ns = max(longest_ns, wait_ns)
    assert longest_ns <= 61 * NS, f"a jump locked out for {longest_ns / NS} s"
    return {"jumps": jumps, "longest_wait_ms": longest_ns // 1_000_000}


def _wait_ns(store: MemoryStore, claims: Claims) -> int:
    """How long `claims` would have to wait now; they are charged when they need not."""
    try:
        run(store.settle(run(store.reserve(claims)), Used(output_tokens=300)))
    except RateLimited as refused:
        return round(refused.retry_after_s * NS)
    return 0


def prove() -> dict[str, object]:
    """A million steps over four schedules, and ten thousand jumps."""
    figures: dict[str, object] = {}
    for seed in SEEDS:
        figures[f"schedule_{seed}"] = found = prove_schedule(STEPS // len(SEEDS), seed)
        print(seed, found, flush=True)
    return figures | {"clock_jumps": prove_jumps(10_000, 1)}
