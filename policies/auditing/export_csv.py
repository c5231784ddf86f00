"""Records as CSV (RFC 4180): one row each, every cell quoted, safe to open in a spreadsheet.

Rules:
 (1) A cell that a spreadsheet would take for a formula (it begins with = + - @, a tab, a carriage return or a line
     feed; CWE-1236, OWASP CSV injection) gets an apostrophe before it. So does one that begins with an apostrophe:
     whoever takes one off every cell that has it gets exactly what was there.
 (2) The last column is the record's exact line.
"""

import json
from collections.abc import Callable

from policies.auditing.exported import Exported

RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
END = "\r\n"

_CELLS: tuple[tuple[str, Callable[[Exported], object]], ...] = (
    ("chain", lambda it: it.chain),
    ("seq", lambda it: it.seq),
    ("time", lambda it: it.text("ts")),
    ("event", lambda it: it.text("event")),
    ("code", lambda it: it.text("code")),
    ("stage", lambda it: it.text("stage")),
    ("outcome", lambda it: it.text("decision", "effect")),
    ("reason", lambda it: it.text("decision", "reason")),
    ("rule", lambda it: it.text("decision", "rule")),
    ("policy_hash", lambda it: it.text("decision", "policy_hash")),
    ("team", lambda it: it.facts().team),
    ("key", lambda it: it.facts().key),
    ("actor_kind", lambda it: it.text("actor", "kind")),
    ("actor_name", lambda it: it.name()),
    ("pseudonym", lambda it: it.text("actor", "pseudonym")),
    ("method", lambda it: it.text("actor", "method")),
    ("address", lambda it: it.address()),
    ("verb", lambda it: it.text("action", "verb")),
    ("route", lambda it: it.text("action", "route")),
    ("model", lambda it: it.facts().model),
    ("request", lambda it: it.text("req_id")),
    ("status", lambda it: it.number("result", "status")),
    ("prompt_tokens", lambda it: it.number("result", "prompt_tokens")),
    ("output_tokens", lambda it: it.number("result", "output_tokens")),
    ("queued_ms", lambda it: it.number("result", "queued_ms")),
    ("ttft_ms", lambda it: it.number("result", "ttft_ms")),
    ("dur_ms", lambda it: it.number("result", "dur_ms")),
    ("target", lambda it: it.text("result", "target")),
    ("object", lambda it: it.text("change", "object")),
    ("details", lambda it: json.dumps(it.part("change").get("details") or it.part("details"), sort_keys=True)),
    ("line", lambda it: it.line),
)
COLUMNS = tuple(name for name, _ in _CELLS)


def header() -> str:
    """The first row."""
    return ",".join(f'"{name}"' for name in COLUMNS) + END


def row(exported: Exported) -> str:
    """The row of one record."""
    return ",".join(cell(read(exported)) for _, read in _CELLS) + END


def cell(value: object) -> str:
    """One value, quoted and made safe (rule 1); None is an empty cell."""
    text = "" if value is None else str(value)
    guard = "'" if text.startswith(RISKY) else ""
    return '"' + guard + text.replace('"', '""') + '"'
