"""A record of the policy's history as a line for people. The order of what differs is the record's own."""

from typing import Any

from msgspec import Struct


class HistoryRow(Struct, frozen=True, kw_only=True):
    """One change that was taken, or one file that was refused.

    `lines` are the differences (`path: before -> after`) or the faults; `unlisted` of them are not in the record.
    """

    place: str
    at: str
    author: str
    method: str
    before: str
    after: str
    reason: str
    lines: tuple[str, ...]
    warnings: tuple[str, ...]
    unlisted: int


def history_row(place: str, record: dict[str, Any]) -> HistoryRow:
    """The line of one `policy.changed` or `policy.refused`, its personal parts opened; `place` is where it stands."""
    change, actor = _part(record, "change"), _part(record, "actor")
    details = _part(change, "details")
    lines, warnings = _numbered(details, "change") or _numbered(details, "fault"), _numbered(details, "warning")
    told = details.get("changes", details.get("faults", 0))
    return HistoryRow(
        place=place,
        at=str(record.get("ts", "")),
        author=str(details.get("signers") or actor.get("name", "")),
        method=str(actor.get("method", "")),
        before=str(change.get("before_hash", "")),
        after=str(change.get("after_hash", "")),
        reason=str(_part(record, "decision").get("reason", "")),
        lines=lines,
        warnings=warnings,
        unlisted=max(0, told - len(lines)) if isinstance(told, int) else 0,
    )


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _numbered(details: dict[str, Any], word: str) -> tuple[str, ...]:
    """`word_1`, `word_2` and so on, as far as they go."""
    found: list[str] = []
    while (text := details.get(f"{word}_{len(found) + 1}")) is not None:
        found.append(str(text))
    return tuple(found)
