"""The stored records as people read them: the latest of all chains by time, one short line each."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.audit.audit_files import segments
from gateway.audit.index.segment_lines import lines_from
from policies.auditing.request_view import RequestView

Record = dict[str, Any]
Wanted = Callable[[bytes], bool]
POLL_S = 0.5


class _Reader:
    """One chain, read on from where it was left."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self._folder = folder
        self._wanted = wanted
        self._segment = ""
        self._offset_bytes = 0

    def latest(self, count: int) -> list[bytes]:
        """The last `count` lines that are wanted, from the newest segments back; `fresh` goes on behind them."""
        lines: list[bytes] = []
        for segment in reversed(segments(self._folder)):
            found: deque[bytes] = deque(maxlen=count)
            end_bytes = 0
            for start, line in lines_from(segment, 0):
                end_bytes = start + len(line) + 1
                if self._wanted(line):
                    found.append(line)
            if not self._segment:
                self._segment, self._offset_bytes = segment.name, end_bytes
            lines = [*found, *lines]
            if len(lines) >= count:
                break
        return lines[-count:] if count else []

    def fresh(self) -> list[bytes]:
        """Whole lines that were added since the last look and are wanted."""
        lines = []
        for segment in segments(self._folder):
            if segment.name < self._segment:
                continue
            if segment.name != self._segment:
                self._segment, self._offset_bytes = segment.name, 0
            for start, line in lines_from(segment, self._offset_bytes):
                self._offset_bytes = start + len(line) + 1
                if self._wanted(line):
                    lines.append(line)
        return lines


class Chains:
    """Several chains as one, in the order of their records' times; only lines that are `wanted`."""

    def __init__(self, folders: list[Path], wanted: Wanted | None = None) -> None:
        self._readers = [_Reader(folder, wanted or _any_line) for folder in folders]

    def latest(self, count: int) -> list[bytes]:
        """The last `count` records of all chains, oldest first. Raises OSError."""
        lines = [line for reader in self._readers for line in reader.latest(count)]
        return sorted(lines, key=_time_of)[-count:] if count else []

    def follow(self, wait: Callable[[float], None] = time.sleep) -> Iterator[bytes]:
        """Records as they are written, for ever; looks twice a second. Raises OSError."""
        while True:
            yield from sorted((line for reader in self._readers for line in reader.fresh()), key=_time_of)
            wait(POLL_S)


def _any_line(_line: bytes) -> bool:
    return True


def read_record(line: bytes) -> Record:
    """The record in a line; a line that is none comes back as a record that says so."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    return record if isinstance(record, dict) else {"event": "(not a record: run 'corral audit verify')"}


def one_line(record: Record) -> str:
    """Time, stage, decision, team, key id, model, status, tokens, milliseconds; what is absent is left out."""
    actor, result = _part(record, "actor"), _part(record, "result")
    words = [
        _text(record.get("ts"), 27),
        _text(record.get("event")),
        _decision(_part(record, "decision")),
        _death(record),
        _named("team", actor.get("team")),
        _named("key", actor.get("key_id")),
        _text(actor.get("name")),
        _text(_part(record, "src").get("ip")),
        _text(_part(record, "action").get("route")),
        _text(_part(record, "action").get("model")),
        _text(_part(record, "change").get("object")),
        _text(result.get("status")),
        _tokens(result),
        _milliseconds(result.get("dur_ms")),
    ]
    return "  ".join(word for word in words if word)


def _time_of(line: bytes) -> str:
    return str(read_record(line).get("ts", ""))


def _part(record: Record, name: str) -> Record:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _decision(decision: Record) -> str:
    return "/".join(filter(None, (_text(decision.get("effect")), _text(decision.get("reason")))))


def _death(record: Record) -> str:
    """Of an engine process: which, and why."""
    if record.get("event") != "worker.died":
        return ""
    details = _part(record, "details")
    return ": ".join(filter(None, (_text(details.get("process")), _text(details.get("cause"), 200))))


def _named(name: str, value: Any) -> str:
    return f"{name}={_text(value)}" if value else ""


def _tokens(result: Record) -> str:
    if "output_tokens" not in result:
        return ""
    return f"{_text(result.get('prompt_tokens', '?'))}+{_text(result['output_tokens'])} tokens"


def _milliseconds(value: Any) -> str:
    return f"{value:.1f}ms" if isinstance(value, int | float) else _text(value)


def _text(value: Any, limit: int = 80) -> str:
    """A value for a terminal, also from a log that someone changed: nothing in it moves the cursor."""
    if value is None:
        return ""
    return "".join(sign if sign.isprintable() else "?" for sign in str(value))[:limit]


def request_lines(view: RequestView) -> str:
    """One request for people: who asked for what from where, then each stage with its decision and result."""
    actor, source, action = view.actor, view.src, view.action
    who = [_text(actor.get("name") or actor.get("pseudonym")), _named("team", actor.get("team"))]
    who += [_named("key", actor.get("key_id")), _named("from", source.get("ip"))]
    what = [_text(action.get("verb")), _text(action.get("route")), _text(action.get("model"))]
    lines = [f"request {_text(view.request)}", _row("who", who), _row("what", what)]
    return "\n".join([*lines, *(_row(_text(stage.get("stage")), _stage_words(stage)) for stage in view.stages)])


def _row(name: str, words: list[str]) -> str:
    return f"  {name:<11}{'  '.join(word for word in words if word)}"


def _stage_words(stage: Record) -> list[str]:
    result, decision = _part(stage, "result"), _part(stage, "decision")
    return [
        _text(stage.get("ts"), 27),
        _text(stage.get("event")),
        _decision(decision),
        _text(decision.get("rule")),
        _text(result.get("status")),
        _tokens(result),
        _named("queued", _milliseconds(result.get("queued_ms"))),
        _milliseconds(result.get("dur_ms")),
        _named("on", result.get("target")),
    ]


def matter_lines(record: Record) -> list[str]:
    """What an admin act changed, or what a system event tells, one line each; nothing of a request."""
    change = _part(record, "change")
    told = _part(change, "details") | {name: change[name] for name in ("reason", "ticket") if name in change}
    told |= _part(record, "details")
    return [f"    {_text(name)}: {_text(value, 500)}" for name, value in told.items()]
