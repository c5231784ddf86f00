"""The stored records as people read them: the latest of all chains by time, one short line each."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.audit.audit_files import segment_paths

Record = dict[str, Any]
POLL_S = 0.5


class _Reader:
    """One chain, read on from where it was left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segment = ""
        self._offset_bytes = 0

    def latest(self, count: int) -> list[bytes]:
        """The last `count` lines, read from the newest segments back; `fresh` goes on behind them."""
        lines: list[bytes] = []
        for path in reversed(segment_paths(self._folder)):
            whole = _whole_lines(path.read_bytes())
            if not self._segment:
                self._segment, self._offset_bytes = path.name, len(whole)
            lines = whole.split(b"\n")[:-1] + lines
            if len(lines) >= count:
                break
        return lines[-count:] if count else []

    def fresh(self) -> list[bytes]:
        """Whole lines that were added since the last look."""
        lines = []
        for path in segment_paths(self._folder):
            if path.name < self._segment:
                continue
            if path.name != self._segment:
                self._segment, self._offset_bytes = path.name, 0
            with path.open("rb") as file:
                file.seek(self._offset_bytes)
                data = file.read()
            whole = _whole_lines(data)
            self._offset_bytes += len(whole)
            lines += whole.split(b"\n")[:-1]
        return lines


def _whole_lines(data: bytes) -> bytes:
    """`data` without the line that is being written at its end."""
    return data[: data.rfind(b"\n") + 1]


class Chains:
    """Several chains as one, in the order of their records' times."""

    def __init__(self, folders: list[Path]) -> None:
        self._readers = [_Reader(folder) for folder in folders]

    def latest(self, count: int) -> list[bytes]:
        """The last `count` records of all chains, oldest first. Raises OSError."""
        lines = [line for reader in self._readers for line in reader.latest(count)]
        return sorted(lines, key=_time_of)[-count:] if count else []

    def follow(self, wait: Callable[[float], None] = time.sleep) -> Iterator[bytes]:
        """Records as they are written, for ever; looks twice a second. Raises OSError."""
        while True:
            yield from sorted((line for reader in self._readers for line in reader.fresh()), key=_time_of)
            wait(POLL_S)


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
