"""Complaints about promises of policy.yaml that cannot be kept even without a wait."""

from collections.abc import Iterable, Iterator

from gateway.doctor.complaint import Complaint
from policies.admitting.queue_view import PoolView
from policies.policy import Policy, Team

FEWEST_SAMPLES = 20
"""Before that the means are those of a few prompts."""


def promise_complaints(pools: Iterable[PoolView], policy: Policy) -> Iterator[Complaint]:
    """One for each team whose promise is shorter than a mean prompt takes to its first token, as measured."""
    measured = [each for each in pools if each.kind != "embedding" and each.samples >= FEWEST_SAMPLES]
    for name, team in policy.teams.items():
        slowest = max((each for each in measured if team.may_use(each.model)), key=_first_token_s, default=None)
        if slowest is not None and team.first_token_s is not None and _first_token_s(slowest) > team.first_token_s:
            yield _complaint(name, team, slowest)


def _first_token_s(pool: PoolView) -> float:
    """From slot to first token of the pool's mean prompt."""
    return pool.first_token_s_per_token * pool.prompt_tokens


def _complaint(name: str, team: Team, pool: PoolView) -> Complaint:
    consequence = "are refused" if team.promise_mode == "enforce" else "are recorded as refused"
    return Complaint(
        check="promise",
        what=(
            f"team {name} is promised a first token within {team.first_token_s:g} s, and a prompt of "
            f"{pool.prompt_tokens:.0f} tokens, the mean of {pool.model}, takes {_first_token_s(pool):.2g} s to it"
        ),
        why=f"such requests of the team {consequence} even when nobody else waits",
        remedy=f"raise teams.{name}.first_token_s in policy.yaml, or give the team faster models only",
    )
