"""The requests of a report's period: how many, whose, what was refused and why, and what they took.

Rules:
 (1) A request counts once, by its end (policies/auditing/ended_requests.py), under the team and the pseudonym that
     the record names; what nobody proved who it was has no team.
 (2) Refusals are counted by event, reason and team; those that a flood made counts of (`refusals.sampled`) are added
     in a column of their own, since a count names no team.
 (3) Persons are counted by pseudonym, never by name. At most `MAX_PERSONS` are told apart, and `MAX_NETWORKS` of
     floods; those who come later are counted as `(others)`, so that memory is bounded whatever the log says.
"""

from collections import Counter
from typing import Any

from msgspec import Struct, structs

from policies.auditing.report_line import ReportLine, number, shown

MAX_PERSONS = 1 << 16
MAX_NETWORKS = 10_000
OTHERS = "(others)"
NOBODY = "(no team)"
SAMPLED = "refusals.sampled"
UPSTREAM = "upstream:"


class Sums(Struct):
    """What some requests came to."""

    requests: int = 0
    served: int = 0
    refused: int = 0
    failed: int = 0
    cut_short: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    slot_us: int = 0

    def add(self, line: ReportLine) -> None:
        """One more."""
        self.requests += 1
        outcome = _OUTCOMES.get(line.event, "refused" if line.stage == "denied" else "cut_short")
        setattr(self, outcome, getattr(self, outcome) + 1)
        self.prompt_tokens += line.result.prompt_tokens
        self.cached_tokens += line.result.cached_tokens
        self.output_tokens += line.result.output_tokens
        self.slot_us += line.result.slot_us or 0


_OUTCOMES = {"request.completed": "served", "request.failed": "failed"}


class Traffic:
    """The sums of one report, over all chains."""

    def __init__(self, most_persons: int = MAX_PERSONS, most_networks: int = MAX_NETWORKS) -> None:
        self._most_persons = most_persons
        self._most_networks = most_networks
        self._teams: dict[str, Sums] = {}
        self._persons: dict[tuple[str, str], Sums] = {}
        self._models: dict[tuple[str, str], Sums] = {}
        self._upstreams: Counter[str] = Counter()
        self._refused: Counter[tuple[str, str, str]] = Counter()
        self._sampled: Counter[tuple[str, str]] = Counter()
        self._would_refuse: Counter[tuple[str, str]] = Counter()

    def ended(self, line: ReportLine) -> None:
        """A request of the period ended."""
        team, person = line.actor.team, (line.actor.people or ("",))[0]
        self._teams.setdefault(team or NOBODY, Sums()).add(line)
        if team and person:
            self._of(team, person).add(line)
        if line.result.target:
            model = line.action.model, line.action.model_digest
            self._models.setdefault(model, Sums()).add(line)
        if line.result.target.startswith(UPSTREAM):
            self._upstreams[line.result.target] += 1
        if line.stage == "denied":
            self._refused[line.event, line.decision.reason, team or NOBODY] += 1
        for code in line.decision.would_refuse.split():
            self._would_refuse[code, team or NOBODY] += 1

    def sampled(self, line: ReportLine) -> None:
        """A flood of the period was counted. Raises msgspec.MsgspecError."""
        told = line.told()
        kind = shown(told.get("reason")), shown(told.get("network"))
        if kind not in self._sampled and len(self._sampled) >= self._most_networks:
            kind = kind[0], OTHERS
        self._sampled[kind] += round(number(told.get("count")) or 0)

    def used_models(self) -> dict[tuple[str, str], int]:
        """How many requests each model, by name and digest, had work from."""
        return {model: sums.requests for model, sums in self._models.items()}

    def used_upstreams(self) -> dict[str, int]:
        """How many requests each upstream took, by its target's name."""
        return dict(self._upstreams)

    def told(self) -> dict[str, Any]:
        """The sections `denials`, `would_have_been_refused`, `teams` and `persons`."""
        return {
            "denials": [
                {"event": event, "reason": reason, "team": team, "count": count}
                for (event, reason, team), count in sorted(self._refused.items())
            ],
            "denials_counted_only": [
                {"reason": reason, "network": network, "count": count}
                for (reason, network), count in sorted(self._sampled.items())
            ],
            "would_have_been_refused": [
                {"limit": code, "team": team, "count": count}
                for (code, team), count in sorted(self._would_refuse.items())
            ],
            "teams": [{"team": team, **structs.asdict(sums)} for team, sums in sorted(self._teams.items())],
            "persons": [
                {"team": team, "pseudonym": person, **structs.asdict(sums)}
                for (team, person), sums in sorted(self._persons.items())
            ],
        }

    def _of(self, team: str, person: str) -> Sums:
        known = self._persons.get((team, person))
        if known is None and len(self._persons) >= self._most_persons:
            return self._persons.setdefault((team, OTHERS), Sums())
        return known or self._persons.setdefault((team, person), Sums())
