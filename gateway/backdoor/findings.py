"""What the asked servers answered, over time: what is open, what changed, and which upstreams may not be used.

Decides only. Rules:
 1. Any answer but 401, 403 or 404 to work without a credential is a finding, and the server is open. So is an
    Ollama that lists its models.
 2. It is closed when every question was answered, and none of them so. Anything less leaves what was known: a
    server that is away has not been closed.
 3. An upstream is not used while a server that it leads to is open, or was never found closed.
 4. A server that is no suspect any more (its socket is gone, the configuration names it no longer) is closed.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct, structs

from gateway.backdoor.suspects import Suspect

Verdict = Literal["open", "closed", "silent"]
REFUSALS = frozenset({401, 403, 404})
OPEN, UNCHECKED = "upstream_open", "upstream_unchecked"

Place = tuple[str, int, tuple[str, ...]]


class Finding(Struct, frozen=True, kw_only=True):
    """One answer that should have been a refusal. `models` is how many an Ollama listed, None for other routes."""

    address: str
    port: int
    kind: str
    route: str
    status: int
    models: int | None = None


class Look(Struct, frozen=True, kw_only=True):
    """What one look at one suspect gave."""

    suspect: Suspect
    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    @property
    def place(self) -> Place:
        """Where the suspect is, and which upstreams lead to it."""
        return place_of(self.suspect)


class Changes(Struct, frozen=True):
    """Which servers were found open that were not before, and the other way round."""

    opened: tuple[Look, ...]
    closed: tuple[Look, ...]


class BackDoors:
    """What is known of every suspect so far."""

    def __init__(self, suspects: Iterable[Suspect] = ()) -> None:
        self._known: dict[Place, Look] = {}
        self.expect(suspects)

    def expect(self, suspects: Iterable[Suspect]) -> tuple[Look, ...]:
        """From now on these are the suspects; the new ones are unchecked. Returns the open ones that are none now."""
        expected = {place_of(each): each for each in suspects}
        gone = [look for place, look in self._known.items() if place not in expected]
        self._known = {place: self._carried(place, suspect) for place, suspect in expected.items()}
        return tuple(look for look in gone if look.verdict == "open")

    def take(self, looks: Iterable[Look]) -> Changes:
        """Note what a round of looks gave."""
        opened, closed = [], []
        for look in looks:
            before = self._known.get(look.place)
            if look.verdict == "silent" and before is not None:
                continue
            self._known[look.place] = look
            was_open = before is not None and before.verdict == "open"
            if look.verdict == "open" and not was_open:
                opened.append(look)
            elif look.verdict == "closed" and was_open:
                closed.append(look)
        return Changes(tuple(opened), tuple(closed))

    def findings(self) -> tuple[Finding, ...]:
        """All that is open now."""
        return tuple(finding for look in self._known.values() for finding in look.findings)

    def unchecked(self) -> tuple[Suspect, ...]:
        """The suspects that keep an upstream from being used only because they have not answered yet."""
        return tuple(
            each.suspect for each in self._known.values() if each.verdict == "silent" and each.suspect.upstreams
        )

    def held(self) -> Mapping[str, str]:
        """Upstreams that may not be used, by name, each with the reason."""
        return {
            upstream: OPEN if look.verdict == "open" else UNCHECKED
            for look in sorted(self._known.values(), key=lambda each: each.verdict == "open")
            if look.verdict != "closed"
            for upstream in look.suspect.upstreams
        }

    def _carried(self, place: Place, suspect: Suspect) -> Look:
        before = self._known.get(place)
        if before is None:
            return Look(suspect=suspect, verdict="silent")
        return structs.replace(before, suspect=suspect)


def place_of(suspect: Suspect) -> Place:
    """What one suspect is told from another by; two upstreams may lead to one address."""
    return suspect.address, suspect.port, suspect.upstreams
