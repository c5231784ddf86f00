"""How much of their limits a key and its team use now, as the store counts them, temporary exceptions included."""

from ipaddress import IPv4Address

from msgspec import Struct

from gateway.gate import Gate
from policies.credentials.principal import Principal
from policies.errors import PolicyUnavailable
from policies.limiting.limits import Claims, Dimension, claims_of, dimensions
from policies.standing import LimitUse

NO_CLIENT = IPv4Address(0)
"""Stands where a request has its client's address; the limits of addresses are left out."""
SHOWN = ("key", "team")


class LimitsShown(Struct, frozen=True):
    """`away`: the store that counts them cannot be asked now, so nothing is known of their use."""

    uses: tuple[LimitUse, ...] = ()
    away: bool = False


async def limits_of_holder(gate: Gate, principal: Principal) -> LimitsShown:
    """What bounds the holder of a key: its own limits, then its team's. Nothing for a team that the policy lacks."""
    policy = gate.in_force.policy
    team = policy.teams.get(principal.team)
    if team is None:
        return LimitsShown()
    found = dimensions(principal, gate.widened(team, principal.team), policy, NO_CLIENT)
    return await _shown(gate, [each for each in found if each.whose in SHOWN])


async def limits_of_team(gate: Gate, name: str) -> LimitsShown:
    """What bounds the whole of a team that the policy names."""
    team = gate.widened(gate.in_force.policy.teams[name], name)
    return await _shown(gate, [Dimension("team", f"team:{name}", f"team {name}", team.limits)])


async def _shown(gate: Gate, found: list[Dimension]) -> LimitsShown:
    every = [claims_of(each) for each in found]
    try:
        return LimitsShown(tuple([use for claims in every for use in await _use(gate, claims)]))
    except PolicyUnavailable:
        return LimitsShown(away=True)


async def _use(gate: Gate, claims: Claims) -> tuple[LimitUse, ...]:
    return await gate.store.use(claims)
