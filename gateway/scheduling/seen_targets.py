"""The targets as all gateways together see them. No I/O, no clock. Rules:

(1) A target is ready while one gateway sees it ready. It serves all that those who see it ready can reach there, with
    the fewest slots that any of them names.
(2) Its steps are told by one gateway, by `me` where I see it: each step is seen by all.
(3) One that nobody sees any more is lost.
"""

from collections.abc import Iterable

from msgspec import structs

from policies.admitting.events import TargetLost, TargetReady

Change = TargetReady | TargetLost


class SeenTargets:
    """See the head of the module."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._seen: dict[str, dict[str, Change]] = {}
        self._told: dict[str, Change] = {}

    def note(self, gateway: str, event: Change) -> None:
        """What that gateway sees of one by now."""
        self._seen.setdefault(event.facts.id, {})[gateway] = event

    def forget(self, gateway: str) -> None:
        """That gateway sees nothing."""
        for seen in self._seen.values():
            seen.pop(gateway, None)

    def names(self) -> tuple[str, ...]:
        """All targets ever seen."""
        return tuple(self._seen)

    def untold(self) -> list[Change]:
        """Those of which nothing was told yet."""
        return [self._together(name) for name, seen in self._seen.items() if seen and name not in self._told]

    def news(self, names: Iterable[str]) -> list[Change]:
        """How these are now, where that was not told yet; it counts as told."""
        found = {name: self._together(name) for name in names if self._seen[name] or name in self._told}
        new = {name: event for name, event in found.items() if event != self._told.get(name)}
        self._told |= new
        return list(new.values())

    def is_ready_for(self, gateway: str, target: str) -> bool:
        """Whether that gateway itself sees it ready."""
        return isinstance(self._seen.get(target, {}).get(gateway), TargetReady)

    def reported_by(self, gateway: str) -> tuple[str, ...]:
        """The targets whose steps that gateway tells."""
        return tuple(name for name in self._seen if self._reporter_of(name) == gateway)

    def _together(self, name: str) -> Change:
        seen = self._seen[name]
        ready = [each.facts for each in seen.values() if isinstance(each, TargetReady)]
        facts = ready or [each.facts for each in seen.values()] or [self._told[name].facts]
        pools = tuple(sorted({pool for each in facts for pool in each.pools}))
        together = structs.replace(facts[0], pools=pools, slots=min(each.slots for each in facts))
        return TargetReady(together) if ready else TargetLost(together)

    def _reporter_of(self, name: str) -> str:
        ready = [gateway for gateway, each in self._seen[name].items() if isinstance(each, TargetReady)]
        return self._me if self._me in ready or not ready else min(ready)
