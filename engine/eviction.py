"""Which loaded workers make room for one that is wanted. Pure: decides only whom, `engine.residency` decides when.

Rules:

- Idle workers go first, the least recently used of them first; one that was loaded for less time than its load took
  stays, so that callers who alternate between models cannot make loading more than about half of all work.
- A busy worker goes only when the wanted one has waited `patience_s`, and only after as long a stay: the least
  recently loaded of them first, since all of them are in use. It finishes what it runs.
- Nobody goes in vain: when all that may go would not be enough, nobody does. And nobody goes too many: whoever need not
  go beside the others stays.
"""

from collections.abc import Iterable

from msgspec import Struct


class Occupant(Struct, frozen=True, kw_only=True):
    """One loaded worker. `loaded_s` and `used_s` are moments, `load_s` how long its load took."""

    name: str
    needs_bytes: int
    loaded_s: float
    used_s: float
    load_s: float
    busy: bool


def victims(
    occupants: Iterable[Occupant], lacking_bytes: int, *, waited_s: float, patience_s: float, now_s: float
) -> tuple[str, ...]:
    """The names of those that go, so that at least `lacking_bytes` come free; none when that cannot be reached now."""
    found = list(occupants)
    going = [each for each in sorted(found, key=_by_use) if not each.busy and now_s - each.loaded_s >= each.load_s]
    if waited_s >= patience_s:
        may_be_cut = [each for each in found if each.busy and now_s - each.loaded_s >= patience_s]
        going += sorted(may_be_cut, key=lambda each: (each.loaded_s, each.name))
    return tuple(each.name for each in _just_enough(going, lacking_bytes))


def _by_use(each: Occupant) -> tuple[float, str]:
    return each.used_s, each.name


def _just_enough(going: list[Occupant], lacking_bytes: int) -> list[Occupant]:
    """The shortest beginning of `going` that suffices, without those of it that it suffices without."""
    chosen: list[Occupant] = []
    for each in going:
        chosen.append(each)
        if _bytes(chosen) >= lacking_bytes:
            for other in chosen[:]:
                if _bytes(chosen) - other.needs_bytes >= lacking_bytes:
                    chosen.remove(other)
            return chosen
    return []


def _bytes(occupants: list[Occupant]) -> int:
    return sum(each.needs_bytes for each in occupants)
