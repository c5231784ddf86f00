"""The last hour of a gateway in steps of ten seconds, for the console's overview. No I/O, no clock.

Rules:
 (1) A step holds what ended in it (refusals by reason, tokens, waits foretold and had) and the most that was waiting
     and running at any look; of several teams that are not all, the sum of what each had at most. A step without a
     look says nothing of the queue; the step that still runs is not shown.
 (2) Memory is bounded: STEPS steps, of each MAX_TEAMS teams, of each of these MAX_REASONS reasons. What is beyond
     counts under OTHERS, which is shown only to those who see all teams.
 (3) Whoever sees some teams is shown the sums of those, and no slots: the load of the whole tells of the others.
"""

from collections import deque
from collections.abc import Iterable

from msgspec import Struct

STEP_S = 10
STEPS = 360
MAX_TEAMS = 256
MAX_REASONS = 32
SHOWN_TEAMS = 8
"""Lines that a chart can still tell apart."""
OTHERS = ""
"""No team and no reason is called so. Requests of nobody known count here too."""

Teams = frozenset[str] | None


class Ended(Struct, frozen=True, kw_only=True):
    """One request that is over. `refused` is the reason, "" for one that was not; waits are of one that had a slot."""

    team: str
    refused: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    foretold_s: float | None = None
    waited_s: float | None = None


class TeamLook(Struct, frozen=True):
    """How many of a team's requests wait and run at a look."""

    name: str
    waiting: int
    running: int


class Look(Struct, frozen=True, kw_only=True):
    """The queue at one moment, and the `slots` of the targets that are ready."""

    slots: int
    teams: tuple[TeamLook, ...]


class HourView(Struct, frozen=True, kw_only=True):
    """Columns with one value a step, the oldest first. None: nobody looked, nobody waited, or it may not be seen.

    `ages_s` is how long ago each step began. Tokens are a second's; `foretold_s` and `waited_s` are means over the
    `waits` requests that got a slot. `refused` counts by reason over the whole hour, `waiting_by_team` has the teams
    that waited most.
    """

    step_s: int
    ages_s: tuple[float, ...]
    waiting: tuple[int | None, ...]
    running: tuple[int | None, ...]
    slots: tuple[int | None, ...]
    prompt_tokens_per_s: tuple[float, ...]
    output_tokens_per_s: tuple[float, ...]
    foretold_s: tuple[float | None, ...]
    waited_s: tuple[float | None, ...]
    waits: tuple[int, ...]
    refusals: tuple[int, ...]
    refused: dict[str, int]
    waiting_by_team: dict[str, tuple[int | None, ...]]


class _Tally(Struct):
    """One team in one step."""

    waiting: int = 0
    running: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    waits: int = 0
    foretold_s: float = 0.0
    waited_s: float = 0.0
    refused: dict[str, int] = {}

    def look(self, waiting: int, running: int) -> None:
        """So many wait and run now."""
        self.waiting, self.running = max(self.waiting, waiting), max(self.running, running)

    def end(self, ended: Ended) -> None:
        """Count one request."""
        self.prompt_tokens += ended.prompt_tokens
        self.output_tokens += ended.output_tokens
        if ended.refused:
            known = ended.refused in self.refused or len(self.refused) < MAX_REASONS
            reason = ended.refused if known else OTHERS
            self.refused[reason] = self.refused.get(reason, 0) + 1
        if ended.foretold_s is not None and ended.waited_s is not None:
            self.waits += 1
            self.foretold_s += ended.foretold_s
            self.waited_s += ended.waited_s


class _Step(Struct):
    """One step. `number` counts from the clock's beginning; `whole` is all teams together."""

    number: int
    whole: _Tally
    looked: bool = False
    slots: int = 0
    teams: dict[str, _Tally] = {}

    def tally(self, team: str) -> _Tally:
        """That team's, or that of all who have none of their own."""
        known = team in self.teams or len(self.teams) < MAX_TEAMS
        return self.teams.setdefault(team if known else OTHERS, _Tally())

    def of(self, teams: Teams) -> list[_Tally]:
        """What a viewer of `teams` may see."""
        return [self.whole] if teams is None else [self.teams[name] for name in teams if name in self.teams]


class LastHour:
    """See the head of the module. `now_s` is any steadily growing time in seconds."""

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque(maxlen=STEPS)

    def ended(self, ended: Ended, now_s: float) -> None:
        """One request is over."""
        step = self._step(now_s)
        step.whole.end(ended)
        step.tally(ended.team).end(ended)

    def looked(self, look: Look, now_s: float) -> None:
        """The queue as it is now."""
        step = self._step(now_s)
        step.looked, step.slots = True, look.slots
        step.whole.look(sum(each.waiting for each in look.teams), sum(each.running for each in look.teams))
        for each in look.teams:
            step.tally(each.name).look(each.waiting, each.running)

    def shown(self, teams: Teams, now_s: float) -> HourView:
        """The finished steps of the hour before `now_s`, as a viewer of `teams` (None: of all) may see them."""
        steps = self._finished(now_s)
        tallies = [step.of(teams) for step in steps]
        return HourView(
            step_s=STEP_S,
            ages_s=tuple(now_s - step.number * STEP_S for step in steps),
            waiting=_looked(steps, (sum(each.waiting for each in found) for found in tallies)),
            running=_looked(steps, (sum(each.running for each in found) for found in tallies)),
            slots=_looked(steps, (step.slots if teams is None else None for step in steps)),
            prompt_tokens_per_s=tuple(sum(each.prompt_tokens for each in found) / STEP_S for found in tallies),
            output_tokens_per_s=tuple(sum(each.output_tokens for each in found) / STEP_S for found in tallies),
            foretold_s=tuple(_mean(found, sum(each.foretold_s for each in found)) for found in tallies),
            waited_s=tuple(_mean(found, sum(each.waited_s for each in found)) for found in tallies),
            waits=tuple(sum(each.waits for each in found) for found in tallies),
            refusals=tuple(sum(sum(each.refused.values()) for each in found) for found in tallies),
            refused=_by_reason(tallies),
            waiting_by_team=_by_team(steps, teams),
        )

    def _step(self, now_s: float) -> _Step:
        number = int(now_s // STEP_S)
        if not self._steps or self._steps[-1].number < number:
            self._steps.append(_Step(number, _Tally()))
        return self._steps[-1]

    def _finished(self, now_s: float) -> list[_Step]:
        """Without gaps, from the first that is known, or from an hour ago."""
        until = int(now_s // STEP_S)
        known = {step.number: step for step in self._steps}
        first = max(min(known, default=until), until - STEPS)
        return [known.get(number) or _Step(number, _Tally()) for number in range(first, until)]


def _looked(steps: list[_Step], values: Iterable[int | None]) -> tuple[int | None, ...]:
    """None for the steps without a look."""
    return tuple(value if step.looked else None for step, value in zip(steps, values, strict=True))


def _mean(tallies: list[_Tally], total_s: float) -> float | None:
    waits = sum(each.waits for each in tallies)
    return total_s / waits if waits else None


def _by_reason(tallies: list[list[_Tally]]) -> dict[str, int]:
    """The most frequent first."""
    counts: dict[str, int] = {}
    for tally in (each for found in tallies for each in found):
        for reason, count in tally.refused.items():
            counts[reason] = counts.get(reason, 0) + count
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _by_team(steps: list[_Step], teams: Teams) -> dict[str, tuple[int | None, ...]]:
    """The teams whose waits sum up to most, at most SHOWN_TEAMS of them."""
    totals: dict[str, int] = {}
    for step in steps:
        for name, tally in step.teams.items():
            if tally.waiting and (teams is None or name in teams):
                totals[name] = totals.get(name, 0) + tally.waiting
    most = sorted(totals, key=lambda name: (-totals[name], name))[:SHOWN_TEAMS]
    empty = _Tally()
    return {name: _looked(steps, (step.teams.get(name, empty).waiting for step in steps)) for name in most}
