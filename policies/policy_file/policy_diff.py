"""What differs between two policies, as short texts for the audit log and for people. Decides nothing.

Rules:
 (1) Nothing is left out: two policies that are not equal have at least one difference, equal ones none.
 (2) One difference a value, by its path as it stands in policy.yaml (`teams.default.models`). What is
     left out of the file has its default, so writing a default down is no difference.
 (3) A list of mappings is compared by the mappings' names where they have any, else by place.
 (4) The texts are bounded, so that one record can hold them: a long list says what came and what went, any
     other long value is cut and carries its SHA-256, so that two of them never look alike.
 (5) The order of `bands` is their rank, so it is a value of its own, though two mappings are equal in any order.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from policies.policy import Policy

MAX_VALUE = 180
MAX_PATH = 128
MAX_LISTED = 20
MAX_WARNINGS = 8
"""With `changes` and `unlisted` these are 30 details of 512 characters at most; with the signatures, a record's 32."""
ABSENT = "absent"
NAMES = ("name", "issuer", "identity", "id")
"""Fields that tell one mapping of a list from the others."""


class Difference(Struct, frozen=True):
    """One value that differs: where in policy.yaml, and both values as JSON (or `absent`), cut when long."""

    path: str
    before: str
    after: str

    @property
    def text(self) -> str:
        """`path: before -> after`, at most 512 characters."""
        return f"{self.path}: {self.before} -> {self.after}"


def diff_policies(before: Policy, after: Policy) -> tuple[Difference, ...]:
    """Every difference, in the order of the reference page; names within a mapping in their own order."""
    return (*walk(before, after, ""), *_ranks(before, after))


def orphan_warnings(before: Policy, after: Policy, live_keys: Mapping[str, int]) -> tuple[str, ...]:
    """One sentence for each team that `after` no longer names though keys of it are active.

    `live_keys` counts the active keys by team.
    """
    gone = sorted(set(before.teams) - set(after.teams))
    return tuple(
        f"team {name} is removed while {live_keys[name]} of its keys are active: they are refused from now on"
        for name in gone
        if live_keys.get(name)
    )


def teamless_keys(policy: Policy, live_keys: Mapping[str, int]) -> tuple[str, ...]:
    """One sentence for each team that has active keys, counted in `live_keys`, and that `policy` does not name."""
    return tuple(
        f"teams.{name} is not named while {count} of its keys are active: under this policy they are refused"
        for name, count in sorted(live_keys.items())
        if count and name not in policy.teams
    )


def diff_details(differences: tuple[Difference, ...], warnings: tuple[str, ...]) -> dict[str, str | int]:
    """The details of an audit record: counts, warnings first, then the differences as far as they fit."""
    details: dict[str, str | int] = {"changes": len(differences)}
    details |= {f"warning_{number}": text for number, text in enumerate(warnings[:MAX_WARNINGS], 1)}
    details |= {f"change_{number}": each.text for number, each in enumerate(differences[:MAX_LISTED], 1)}
    unlisted = max(0, len(differences) - MAX_LISTED) + max(0, len(warnings) - MAX_WARNINGS)
    return details | ({"unlisted": unlisted} if unlisted else {})


def policy_data(policy: Policy) -> dict[str, Any]:
    """The policy as plain data with every default written out; read as a policy.yaml it is the same policy."""
    data: dict[str, Any] = _plain(policy)
    return data


def walk(before: Any, after: Any, path: str) -> Iterator[Difference]:
    """`diff_policies` for any two values of the file's types, at `path`."""
    if before == after:
        return
    found = list(_inner(before, after, path))
    # Rule (1): the same mappings in another order are still another policy.
    yield from found or [_leaf(before, after, path)]


def _ranks(before: Policy, after: Policy) -> Iterator[Difference]:
    """Rule (5)."""
    if list(before.bands) != list(after.bands):
        yield _leaf(list(before.bands), list(after.bands), "bands")


def _inner(before: Any, after: Any, path: str) -> Iterator[Difference]:
    """The differences of the parts, when both have parts."""
    parts_before, parts_after = _parts(before), _parts(after)
    if parts_before is None or parts_after is None:
        return
    for name in dict.fromkeys([*parts_before, *parts_after]):
        inner = f"{path}.{name}" if path else name
        if name in parts_before and name in parts_after:
            yield from walk(parts_before[name], parts_after[name], inner)
        else:
            yield _leaf(parts_before.get(name, _NOTHING), parts_after.get(name, _NOTHING), inner)


def _parts(value: Any) -> dict[str, Any] | None:
    """The parts of a mapping by name; None for what is one value."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    if isinstance(value, dict):
        return {str(name): value[name] for name in sorted(value)}
    if isinstance(value, tuple) and value and all(map(dataclasses.is_dataclass, value)):
        return dict(zip(_labels(value), value, strict=True))
    return None


def _labels(mappings: tuple[Any, ...]) -> list[str]:
    for field in NAMES:
        labels = [str(getattr(each, field, "")) for each in mappings]
        if all(labels) and len(set(labels)) == len(labels):
            return labels
    return [str(place) for place in range(len(mappings))]


class _Nothing:
    """What stands where nothing stands; null is a value."""


_NOTHING = _Nothing()


def _leaf(before: Any, after: Any, path: str) -> Difference:
    texts = _whole(before), _whole(after)
    if max(map(len, texts)) > MAX_VALUE and isinstance(before, tuple) and isinstance(after, tuple):
        texts = _entries(before, after, "gone"), _entries(after, before, "new")
    return Difference(_cut(path, MAX_PATH), _cut(texts[0], MAX_VALUE), _cut(texts[1], MAX_VALUE))


def _whole(value: Any) -> str:
    return ABSENT if value is _NOTHING else json.dumps(_plain(value, short=True))


def _entries(those: tuple[Any, ...], others: tuple[Any, ...], word: str) -> str:
    """A long list in short: how many entries, and which of them the other list does not have."""
    known = set(map(_whole, others))
    only = [text for text in map(_whole, those) if text not in known]
    return f"{len(those)} entries, {len(only)} {word}: [{', '.join(only)}]"


def _plain(value: Any, *, short: bool = False) -> Any:
    """Plain data; `short` leaves out what has its default."""
    if dataclasses.is_dataclass(value):
        parts = {
            each.name: getattr(value, each.name) for each in dataclasses.fields(value) if _tells(value, each, short)
        }
        return {name: _plain(part, short=short) for name, part in parts.items()}
    if isinstance(value, dict):
        return {str(name): _plain(inner, short=short) for name, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(map(_plain, value))
    return [_plain(inner, short=short) for inner in value] if isinstance(value, tuple) else value


def _tells(value: Any, field: dataclasses.Field[Any], short: bool) -> bool:
    """Whether a field is one of the file's, and says more than its default does."""
    if not field.init:
        return False
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return not short or bool(getattr(value, field.name) != default)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    mark = f"... (sha256 {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]})"
    return text[: limit - len(mark)] + mark
