"""The page that prints the patch for a setting that only policy.yaml may change. It changes nothing.

What is printed was tried first: the patched text is parsed as the gateway would, and differs from the policy in force
in the asked setting alone. Where the file's form does not allow that, the setting is printed to be put in by hand.
"""

import asyncio
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.configuration.config import ConfigFaults, parse_policy
from gateway.configuration.yaml_tree import YamlFault, read_tree
from gateway.console.page import Answer, Page, Sent, Visit
from gateway.console.policy.live_page import LivePage
from gateway.console.world import World
from policies.addresses.egress import ANYWHERE, Egress
from policies.policy import Policy
from policies.policy_file.policy_diff import Difference, diff_policies, orphan_warnings
from policies.policy_file.policy_patch import edited, fragment, read_path, read_value, unified
from policies.worded import line_of, worded

NAME = "policy.yaml"
MAX_FIELD = 600


class Patch(Struct, frozen=True):
    """What to do: a `patch` for the file, or (empty) the `fragment` by hand; and what it changes."""

    patch: str = ""
    fragment: str = ""
    changes: tuple[Difference, ...] = ()
    warnings: tuple[str, ...] = ()


class NoPatch(Exception):
    """The setting cannot be so; the text is one line that says why."""


class PatchPage:
    """`/policy/patch`."""

    def __init__(self, world: World, live: LivePage) -> None:
        self._world = world
        self._live = live

    async def shown(self, visit: Visit) -> Answer:
        """The form, and the patch for what it asks; with `download` the patch alone."""
        asked = {name: visit.query.get(name, "")[:MAX_FIELD] for name in ("setting", "value")}
        data: dict[str, Any] = {"asked": asked, "fault": "", "made": None}
        if not asked["setting"]:
            return Page("policy/patch.html", data)
        try:
            made = await self._made(asked["setting"], asked["value"], visit.now_us / 1e6)
        except (ValueError, NoPatch) as fault:
            return Page("policy/patch.html", data | {"fault": line_of(fault)}, 400)
        if made.patch and visit.query.get("download") == "1":
            return Sent(made.patch.encode(), "text/x-diff; charset=utf-8", "policy.patch")
        return Page("policy/patch.html", data | {"made": made})

    async def _made(self, setting: str, value: str, now_s: float) -> Patch:
        """Raises ValueError, NoPatch."""
        policy, text = self._world.gate.in_force.policy, await self._live.text_in_force()
        return await asyncio.to_thread(
            make_patch, policy, text, (setting, value), self._active_keys(now_s), self._world.egress
        )

    def _active_keys(self, now_s: float) -> dict[str, int]:
        counts: dict[str, int] = {}
        for record in self._world.keys.records():
            if record.state(now_s) == "active":
                counts[record.team] = counts.get(record.team, 0) + 1
        return counts


def make_patch(
    policy: Policy, text: str | None, asked: tuple[str, str], live_keys: dict[str, int], egress: Egress = ANYWHERE
) -> Patch:
    """The patch that sets what is `asked` (a path with dots, a value in YAML). Raises ValueError, NoPatch."""
    path, value = read_path(asked[0]), read_value(asked[1])
    after_text = None if text is None else _edited(text, path, value)
    if text is None or after_text is None:
        return Patch(fragment=fragment(path, value))
    after = _parsed(after_text, egress)
    changes = diff_policies(policy, after)
    if not changes:
        line = f"{asked[0]} is {value} already"
        raise NoPatch(worded(line, "setting_already", setting=asked[0], value=value))
    if not all(_within(each.path, asked[0].strip()) for each in changes):
        return Patch(fragment=fragment(path, value))
    return Patch(unified(text, after_text, NAME), "", changes, orphan_warnings(policy, after, live_keys))


def _edited(text: str, path: tuple[str, ...], value: str) -> str | None:
    try:
        return edited(text, read_tree(text).lines, path, value)
    except YamlFault:
        return None


def _parsed(text: str, egress: Egress) -> Policy:
    """Raises NoPatch with the first fault."""
    try:
        return parse_policy(text.encode(), Path(NAME), egress)
    except ConfigFaults as faults:
        raise NoPatch(faults.faults[0]) from None


def _within(path: str, asked: str) -> bool:
    return path == asked or path.startswith(f"{asked}.")
