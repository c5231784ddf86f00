"""The page of the policy in force: its text with line numbers, its hash, who signed it, and why the file is another.

Who is limited to some teams sees what the policy says of those teams, every default written out, and no more.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from gateway.configuration.yaml_tree import YamlFault, read_tree
from gateway.console.keys.key_pages import own_teams
from gateway.console.page import Page, Visit
from gateway.console.world import World
from gateway.policy_file.live_text import live_text
from gateway.policy_in_force import PolicyInForce
from policies.policy import Policy
from policies.policy_file.policy_diff import policy_data
from policies.policy_file.policy_review import review_policy

MAX_LINES = 20_000
"""Shown; a file may have 1 MiB."""
Json = dict[str, Any]


class LivePage:
    """`/policy`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def shown(self, visit: Visit) -> Page:
        """The policy in force."""
        in_force = self._world.gate.in_force
        whole = visit.viewer.teams is None
        data = self._world.policy_watch.shown() | {"hash": in_force.hash, "author": in_force.author, "whole": whole}
        if whole:
            return Page("policy/live.html", data | await self._text(in_force))
        teams = own_teams(self._world, visit.viewer)
        return Page("policy/live.html", data | {"refusal": "", "settings": list(settings_of(in_force.policy, teams))})

    async def text_in_force(self) -> str | None:
        """What was taken; None where neither the kept policy nor the file has this hash any more."""
        watch = self._world.policy_watch
        return await asyncio.to_thread(live_text, self._world.home.run, watch.path, self._world.gate.in_force.hash)

    async def _text(self, in_force: PolicyInForce) -> Json:
        text = await self.text_in_force()
        if text is None:
            settings = list(settings_of(in_force.policy, None))
            return {"lines": None, "settings": settings, "cut": False, "remarks": ()}
        lines = text.splitlines()
        remarks = await asyncio.to_thread(placed_remarks, in_force.policy, text)
        return {"lines": lines[:MAX_LINES], "cut": len(lines) > MAX_LINES, "remarks": remarks, "settings": ()}


def placed_remarks(policy: Policy, text: str) -> tuple[tuple[int, str], ...]:
    """What is worth a second look in the policy, each with its line in `text`."""
    try:
        tree = read_tree(text)
    except YamlFault:
        return ()
    return tuple((tree.line_of(each.path), f"{'.'.join(each.path)} {each.text}") for each in review_policy(policy))


def settings_of(policy: Policy, teams: list[str] | None) -> Iterator[tuple[str, str]]:
    """Each setting's path with dots and its value, defaults written out; of `teams` only, None: the whole policy."""
    data = policy_data(policy)
    if teams is not None:
        data = {"teams": {name: data["teams"][name] for name in teams}}
    yield from _flat(data, "")


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for place, inner in enumerate(value):
            yield from _flat(inner, f"{path}.{place}")
    else:
        yield path, _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "[]"
    if isinstance(value, bool) or value is None or value == {}:
        return {True: "true", False: "false", None: "null"}.get(value, "{}") if not isinstance(value, dict) else "{}"
    return f"{value:g}" if isinstance(value, float) else str(value)
