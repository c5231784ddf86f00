"""The page that asks what would happen to a request: the steps of the flow, run for a caller who is made up.

As `corral policy explain`, with what only the running gateway knows: revocations, lockdowns, and the temporary
exceptions from limits that hold now.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import urlencode

from gateway.configuration.yaml_tree import YamlFault, read_tree
from gateway.console.keys.form_fields import ids_only
from gateway.console.keys.key_holder import find_key, holder_of_any
from gateway.console.keys.key_pages import own_teams
from gateway.console.page import Answer, Elsewhere, Page, Visit
from gateway.console.policy.live_page import LivePage
from gateway.console.world import World
from gateway.explain import Case, Explanation, explain
from policies.access import Kind
from policies.addresses.networks import Networks, read_address
from policies.credentials.key_record import SCOPES
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated, NotAuthorized
from policies.policy import Policy

KINDS: tuple[Kind, ...] = get_args(Kind)
LISTENERS = ("public", "admin")
DEFAULTS = {
    "key": "",
    "team": "",
    "kind": "api_key",
    "scopes": "inference models",
    "address": "127.0.0.1",
    "route": "POST /api/chat",
    "model": "",
    "listener": "public",
}
MAX_FIELD = 256
Json = dict[str, Any]


class Misasked(Exception):
    """The question has no answer; the word key says why."""


class ExplainPage:
    """`/policy/explain`."""

    def __init__(self, world: World, live: LivePage) -> None:
        self._world = world
        self._live = live

    async def shown(self, visit: Visit) -> Answer:
        """The form, and what the steps say of the caller it describes."""
        if (clean := ids_only(visit.query)) != visit.query:
            return Elsewhere(f"{visit.path}?{urlencode(clean)}")
        asked = {name: visit.query.get(name, default)[:MAX_FIELD].strip() for name, default in DEFAULTS.items()}
        data: Json = {"asked": asked, "kinds": KINDS, "listeners": LISTENERS, "fault": "", "found": None}
        data["teams"] = own_teams(self._world, visit.viewer)
        if not (asked["key"] or asked["team"]):
            return Page("policy/explain.html", data)
        try:
            found = self._explained(visit, asked)
        except Misasked as fault:
            return Page("policy/explain.html", data | {"fault": str(fault)}, 400)
        return Page("policy/explain.html", data | {"found": found, "line": await self._line(found)})

    def _explained(self, visit: Visit, asked: Mapping[str, str]) -> Explanation:
        gate, (team, prove) = self._world.gate, self._caller(visit, asked)
        case = _case(asked, prove, gate.catalogue.find)
        return explain(case, self._widened(team), gate.routes[case.listener])

    def _caller(self, visit: Visit, asked: Mapping[str, str]) -> tuple[str, Callable[[], Principal]]:
        """The team, and how the caller proves who they are. Raises Misasked, NotAuthorized."""
        if asked["key"]:
            return self._key_holder(visit, asked["key"])
        if asked["team"] not in self._world.gate.in_force.policy.teams or not visit.viewer.may_see_team(asked["team"]):
            raise NotAuthorized("console_team_unknown")
        return asked["team"], self._living(_made_up(asked))

    def _key_holder(self, visit: Visit, key_id: str) -> tuple[str, Callable[[], Principal]]:
        keys, now_s = self._world.keys, visit.now_us / 1e6
        record = find_key(key_id, keys)
        if record is None or not visit.viewer.may_see_team(record.team):
            raise Misasked("policy.no_such_key")
        state = record.state(now_s)
        if state != "active":
            return record.team, _refused(state, record.id)
        return record.team, self._living(holder_of_any(record, keys))

    def _living(self, principal: Principal) -> Callable[[], Principal]:
        """The principal, unless something was revoked or locked down since it was issued."""

        def prove() -> Principal:
            self._world.keys.revocations.current.check(principal)
            return principal

        return prove

    def _widened(self, team: str) -> Policy:
        """The policy with the exceptions that the team has now."""
        gate = self._world.gate
        policy = gate.in_force.policy
        if team not in policy.teams:
            return policy
        return replace(policy, teams={**policy.teams, team: gate.widened(policy.teams[team], team)})

    async def _line(self, found: Explanation) -> int | None:
        """Where in the policy's text the setting stands that decided."""
        if found.decider is None or not found.decider.setting:
            return None
        text = await self._live.text_in_force()
        return None if text is None else await asyncio.to_thread(_line_of, text, found.decider.setting)


def _case(asked: Mapping[str, str], prove: Callable[[], Principal], find_model: Any) -> Case:
    try:
        read_address(asked["address"])
    except ValueError:
        raise Misasked("policy.no_address") from None
    words = asked["route"].split()
    if len(words) != 2 or not (words[0].isascii() and words[0].isalpha()):
        raise Misasked("policy.no_route")
    if asked["listener"] not in LISTENERS:
        raise Misasked("policy.no_listener")
    return Case(
        method=words[0].upper(),
        target=words[1],
        address=asked["address"],
        listener="admin" if asked["listener"] == "admin" else "public",
        model=asked["model"],
        prove=prove,
        find_model=find_model,
    )


def _made_up(asked: Mapping[str, str]) -> Principal:
    """A caller of the team, with a credential just issued. Raises Misasked."""
    scopes, kind = frozenset(asked["scopes"].split()), next((each for each in KINDS if each == asked["kind"]), None)
    if kind is None or not scopes <= SCOPES:
        raise Misasked("policy.no_credential")
    return Principal(kind=kind, team=asked["team"], scopes=scopes, networks=Networks(), issued_s=float("inf"))


def _refused(state: str, key_id: str) -> Callable[[], Principal]:
    def prove() -> Principal:
        raise NotAuthenticated(state, presented=True, key_id=key_id)

    return prove


def _line_of(text: str, setting: tuple[str, ...]) -> int | None:
    try:
        return read_tree(text).line_of(setting)
    except YamlFault:
        return None
