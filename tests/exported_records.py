"""Records for the tests of exports: whatever a log could hold, and naughty strings in every text of it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from policies.auditing.exported import Exported

STRINGS = Path(__file__).resolve().parents[2] / "shared" / "corpora" / "strings" / "blns.json"
NASTY = (
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\tx",
    "\rx",
    "\nx",
    "'x",
    '"x"',
    "a|b\\c=d",
    'x]y"z\\',
    "\x00\x1b[2J",
    "\u2028",
    "a,b\r\nc",
)
TEXT = st.sampled_from(NASTY) | st.text(max_size=12)
NUMBER = st.integers(-5, 10**9) | st.floats(allow_nan=False, allow_infinity=False, width=32)
ODD = TEXT | NUMBER | st.none() | st.booleans() | st.lists(TEXT, max_size=2)


def part(*names: str, values: st.SearchStrategy[Any] = TEXT) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), values | ODD, max_size=len(names))


RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "ts": st.datetimes().map(lambda at: at.isoformat(timespec="microseconds") + "Z") | TEXT,
        "event": st.sampled_from(("key.created", "request.denied", "policy.changed")) | TEXT,
        "code": st.sampled_from(("C1000I", "C1002W", "C1001E")) | TEXT,
        "stage": TEXT,
        "node": TEXT,
        "instance": TEXT,
        "req_id": TEXT,
        "actor": part("kind", "name", "team", "key_id", "pseudonym", "method")
        | st.fixed_dictionaries({"kind": st.sampled_from(("system", "key", "anonymous"))}),
        "src": st.fixed_dictionaries({"ip": st.ip_addresses().map(str)}) | part("ip", "peer"),
        "action": part("verb", "route", "model", "model_digest")
        | st.fixed_dictionaries({"verb": st.sampled_from(("GET", "POST")), "model": TEXT}),
        "decision": part("effect", "reason", "rule", "policy_hash")
        | st.fixed_dictionaries({"effect": st.sampled_from(("allow", "deny"))}),
        "result": part("status", "prompt_tokens", "output_tokens", "dur_ms", "bytes_in", "bytes_out", values=NUMBER),
        "change": part("object", "details", values=st.dictionaries(TEXT, ODD, max_size=3)),
        "details": st.dictionaries(TEXT, ODD, max_size=3),
    },
)
EXPORTED = st.deferred(lambda: st.builds(exported, RECORDS, st.integers(0, 2**40)))


def exported(record: dict[str, Any], seq: int = 7) -> Exported:
    """A record with the line that the log has of it."""
    return Exported(chain="box-0", seq=seq, line=json.dumps(record, ensure_ascii=True), record=record)


def naughty() -> list[Exported]:
    """One record for each naughty string, which stands in all of its texts."""
    strings = json.loads(STRINGS.read_text()) if STRINGS.exists() else list(NASTY)
    return [exported(_full_of(text), seq) for seq, text in enumerate(strings)]


def _full_of(text: str) -> dict[str, Any]:
    return {
        **dict.fromkeys(("ts", "event", "code", "stage", "node", "instance", "req_id"), text),
        "actor": dict.fromkeys(("kind", "name", "team", "key_id", "pseudonym", "method"), text),
        "src": {"ip": text},
        "action": dict.fromkeys(("verb", "route", "model", "model_digest"), text),
        "decision": dict.fromkeys(("effect", "reason", "rule", "policy_hash"), text),
        "change": {"object": text, "details": {text: text}},
    }
