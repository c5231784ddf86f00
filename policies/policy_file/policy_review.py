"""What is worth a second look in a policy that has no fault: allowed, and rarely meant. Decides nothing.

- nobody may call: no team, or a team without models
- everybody may: no list of networks, or one that holds the whole internet
- many may say where they come from: `unsafe_trust_all_proxies`, or proxies in a wide network
- a limit that refuses nothing (`mode: report`), or no bound on the requests of a team's keys
- a promise that refuses nothing (`promise_mode: report`)
- a team whose waiting requests alone can fill the queue of all
"""

from collections.abc import Iterator

from msgspec import Struct

from policies.addresses.networks import read_network
from policies.policy import Limits, Policy, Team

WIDE_PROXIES = {4: 16, 6: 48}
"""Shorter prefixes than a site commonly has hold more than proxies."""

Path = tuple[str, ...]


class Remark(Struct, frozen=True):
    """One remark: the path of the setting in policy.yaml, and a sentence."""

    path: Path
    text: str


def review_policy(policy: Policy) -> tuple[Remark, ...]:
    """Everything worth a second look, in the order of the file's reference page."""
    return tuple(_remarks(policy))


def _remarks(policy: Policy) -> Iterator[Remark]:
    if not policy.teams:
        yield Remark(("teams",), "names no team, so nobody may call")
    for name, team in policy.teams.items():
        yield from _team(team, ("teams", name))
        if team.max_queued >= policy.max_queued and len(policy.teams) > 1:
            yield Remark(("teams", name, "max_queued"), "is as much as max_queued of all: this team can fill the queue")
    yield from _networks(policy)
    for path, limits in _all_limits(policy):
        if limits.mode == "report":
            yield Remark((*path, "mode"), "is report: what is over these limits is recorded and let through")
    yield from _proxies(policy)


def _team(team: Team, path: Path) -> Iterator[Remark]:
    if not team.models:
        yield Remark((*path, "models"), 'names no model, so the team can use none; "*" is every model')
    if team.limits.requests_per_minute is None and team.key_limits.requests_per_minute is None:
        yield Remark((*path, "key_limits", "requests_per_minute"), "is null: the requests of this team are not bounded")
    if team.promise_mode == "report":
        promised = "what would break the promise is recorded and let in"
        promise = "there is no first_token_s to report on" if team.first_token_s is None else promised
        yield Remark((*path, "promise_mode"), f"is report: {promise}")


def _networks(policy: Policy) -> Iterator[Remark]:
    allow = policy.networks.allow
    if allow is None:
        yield Remark(("networks", "allow"), "is not set: every address may call that a team's own list lets in")
    elif any(read_network(text).prefixlen == 0 for text in allow):
        yield Remark(("networks", "allow"), "holds the whole internet")


def _all_limits(policy: Policy) -> Iterator[tuple[Path, Limits]]:
    yield ("limits",), policy.limits
    yield ("address_limits",), policy.address_limits
    for name, limits in policy.model_limits.items():
        yield ("model_limits", name), limits
    for name, team in policy.teams.items():
        yield ("teams", name, "limits"), team.limits
        yield ("teams", name, "key_limits"), team.key_limits


def _proxies(policy: Policy) -> Iterator[Remark]:
    if policy.unsafe_trust_all_proxies:
        yield Remark(("unsafe_trust_all_proxies",), "lets whoever is in trusted_proxies write their own address")
    for text in policy.trusted_proxies:
        network = read_network(text)
        if network.prefixlen < WIDE_PROXIES[network.version]:
            yield Remark(("trusted_proxies",), f"{network} is wide: each of its addresses may say where a call is from")
