"""A trace under a policy: each request gets its team's weight, band, promise and longest answer.

Rules:
(1) A team that the policy does not know is a fault: guessed terms would be the answer to another question.
(2) A request's own promise only tightens its team's, and its own band holds only where it is a lower one.
(3) An answer is as long as it was, cut where the policy now cuts it.
"""

from collections.abc import Iterable

from msgspec import structs

from gateway.simulating.arrivals import Arrival
from policies.policy import Policy, Team


class UnknownTerms(Exception):
    """The trace names a team or band that the policy does not know; the message is one line with the remedy."""


def under_policy(arrivals: Iterable[Arrival], policy: Policy, name: str) -> list[Arrival]:
    """The same requests on `policy`'s terms; `name` is the policy's, for the fault. Raises UnknownTerms."""
    ranks = {band: rank for rank, band in enumerate(policy.bands)}
    return [_on_terms(each, _team_of(each, policy, name), ranks, name) for each in arrivals]


def _team_of(arrival: Arrival, policy: Policy, name: str) -> Team:
    team = policy.teams.get(arrival.team)
    if team is None:
        known = ", ".join(sorted(policy.teams)) or "none"
        raise UnknownTerms(
            f"{name}: it has no team {arrival.team!r}, whose requests the trace holds (its teams: {known}): "
            "add the team there, or give the trace to one of its teams with --team NAME=FILE"
        )
    return team


def _on_terms(arrival: Arrival, team: Team, ranks: dict[str, int], name: str) -> Arrival:
    if arrival.band and arrival.band not in ranks:
        raise UnknownTerms(f"{name}: it has no band {arrival.band!r}, which the trace names: use one of its own")
    own_rank, team_rank = ranks[arrival.band or team.band], ranks[team.band]
    output_cap = min(arrival.output_cap, team.max_output_tokens)
    promises = [each for each in (arrival.promise_s, team.first_token_s) if each is not None]
    return structs.replace(
        arrival,
        weight=team.weight,
        band=arrival.band if own_rank > team_rank else team.band,
        promise_s=min(promises, default=None),
        output_cap=output_cap,
        output_tokens=min(arrival.output_tokens, output_cap),
    )
