"""One request as one thing: what its records, one for each stage, say together.

Decides which record speaks for what: who asked, from where and for what is what the first stage that says it knew;
how it ended is the last stage's. Nothing is computed that no record says, but the time between the stages.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

Record = Mapping[str, Any]


class RequestView(Struct, frozen=True, kw_only=True):
    """`stages` are the records' own stage, event, time, decision and result, oldest first."""

    request: str
    actor: dict[str, Any] = {}
    src: dict[str, Any] = {}
    action: dict[str, Any] = {}
    params: dict[str, Any] = {}
    stages: tuple[dict[str, Any], ...] = ()


def joined(records: Iterable[Record]) -> tuple[RequestView, ...]:
    """The requests behind records, in the order in which they are first named."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if isinstance(request := record.get("req_id"), str) and request:
            found.setdefault(request, []).append(record)
    return tuple(_view(request, sorted(stages, key=_order)) for request, stages in found.items())


def _view(request: str, records: list[Record]) -> RequestView:
    known = {name: _first(records, name) for name in ("actor", "src", "action", "params")}
    return RequestView(request=request, stages=tuple(map(_stage, records)), **known)


def _first(records: list[Record], name: str) -> dict[str, Any]:
    parts = (record.get(name) for record in records)
    return next((part for part in parts if isinstance(part, dict) and part), {})


def _stage(record: Record) -> dict[str, Any]:
    return {name: record[name] for name in ("stage", "event", "ts", "decision", "result") if name in record}


def _order(record: Record) -> tuple[str, int]:
    """By time; of one moment by place in the chain."""
    seq = record.get("seq")
    return str(record.get("ts", "")), seq if isinstance(seq, int) else 0
