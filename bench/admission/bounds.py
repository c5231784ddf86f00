"""What admission promises of itself, as bounds on simulated figures. Each is judged on the mean over the seeds."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from bench.admission.cells import AZURE, CORRAL, RETRIES, SMALL, TWO_TEAMS, UNTOLD, Played
from bench.admission.shares import Shares
from bench.admission.workload import PROMISE_S
from gateway.simulating.figures import Figures

MOST_LATE_FROM_LOAD = 0.8
LIGHT = {1.2: 0.99, 2.0: 0.98}
"""The light team's least goodput up to each load."""
USEFUL = {1.2: 0.78, 2.0: 0.90}
FIRST_TRY = 0.85
SMALL_LIGHT = 0.90


class Bound(Struct, frozen=True, kw_only=True):
    """One bound and what was measured."""

    name: str
    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def holds(self) -> bool:
        return self.holds_within(0.0)

    def holds_within(self, slack: float) -> bool:
        """Whether it holds, or misses by no more than `slack`."""
        above = self.least is None or self.value >= self.least - slack
        return above and (self.most is None or self.value <= self.most + slack)

    def line(self) -> str:
        """For people."""
        wanted = f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"
        return f"{'holds ' if self.holds else 'MISSES'}  {self.name:<4}{self.what}: {self.value:.4g} (wanted {wanted})"


def judge(cells: Iterable[Played], shared: Sequence[tuple[str, Shares]]) -> list[Bound]:
    """All bounds that these results can tell about."""
    played = {(one.cell.scenario, one.cell.policy, one.cell.load): one for one in cells}
    found: list[Bound] = []
    for (scenario, policy, load), one in played.items():
        if policy == CORRAL and scenario == TWO_TEAMS:
            found += _two_teams(load, one.runs)
        if policy == CORRAL and scenario == AZURE:
            found.append(_most("T3", f"wasted work, Azure replay at load {load:g}", waste(one.runs), 0.06))
        if policy == CORRAL and scenario == SMALL:
            found.append(_least("T1", f"light team kept, 2x2 slots at load {load:g}", light(one.runs), SMALL_LIGHT))
        if policy == CORRAL and scenario == RETRIES:
            found += _retries(load, one.runs, played.get((RETRIES, UNTOLD, load)))
    return sorted(
        [*found, *(bound for name, one in shared for bound in _shares(name, one))], key=lambda each: each.name
    )


def light(runs: Sequence[Figures]) -> float:
    """The light team's goodput."""
    return mean([run.teams["light"].goodput for run in runs])


def waste(runs: Sequence[Figures]) -> float:
    """The part of the work that was wasted."""
    return mean([run.waste for run in runs])


def useful(runs: Sequence[Figures]) -> float:
    """Useful worker-seconds a second and worker."""
    return mean([run.useful_per_worker for run in runs])


def first_try(runs: Sequence[Figures]) -> float:
    """Served of all first tries at a moment that was told."""
    tries = sum(run.booked_tries for run in runs)
    return sum((run.first_try or 0.0) * run.booked_tries for run in runs) / tries if tries else 0.0


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _two_teams(load: float, runs: Sequence[Figures]) -> Iterator[Bound]:
    least = next(share for up_to, share in LIGHT.items() if load <= up_to)
    yield _least("T1", f"light team kept at load {load:g}", light(runs), least)
    if load in USEFUL:
        yield _least("T2", f"useful work of workers at load {load:g}", useful(runs), USEFUL[load])
    yield _most("T3", f"wasted work at load {load:g}", waste(runs), 0.02)
    yield _most(
        "T4", f"p99 wait of served, s, at load {load:g}", mean([run.p99_wait_s or 0.0 for run in runs]), PROMISE_S
    )
    if load >= MOST_LATE_FROM_LOAD:
        yield _most("T5", f"late part of refusals at load {load:g}", mean([run.late for run in runs]), 0.15)


def _retries(load: float, runs: Sequence[Figures], untold: Played | None) -> Iterator[Bound]:
    yield _least("T9", f"first tries served at the time told, load {load:g}", first_try(runs), FIRST_TRY)
    yield _least("T9", f"light team kept with retries at load {load:g}", light(runs), 0.99)
    yield _most("T9", f"wasted work with retries at load {load:g}", waste(runs), 0.02)
    if load >= 2.0:
        yield _least("T9", f"useful work of workers with retries at load {load:g}", useful(runs), 0.90)
        if untold is not None:
            gain = useful(runs) - useful(untold.runs)
            yield _least("T9", f"useful work gained by telling a time, load {load:g}", gain, 0.03)


def _shares(name: str, one: Shares) -> Iterator[Bound]:
    team, due = max(one.due.items())
    yield _most("T8", f"share in {name}, off its due", abs(one.slot_time[team] - due), 0.02)
    # VTC's theorem bounds the gap by what may be in a batch at once: here what one team has running and not settled.
    yield _most("T8", f"counters apart in {name}, in charges outstanding", one.counter_gap / one.largest_charge, 2.0)


def _least(name: str, what: str, value: float, least: float) -> Bound:
    return Bound(name=name, what=what, value=value, least=least)


def _most(name: str, what: str, value: float, most: float) -> Bound:
    return Bound(name=name, what=what, value=value, most=most)
