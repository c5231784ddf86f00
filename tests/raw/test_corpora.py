"""T9 and T14 by other people's data: JSONTestSuite and the Big List of Naughty Strings, through the whole gateway."""

import asyncio
import io
import json
from pathlib import Path

import pytest
import structlog

from gateway.audit.audit_log import AuditLog
from gateway.logs import configure_logs
from gateway.request_audit import RequestAudit
from tests.fakes import STAMP
from tests.raw.raw_house import SENTINEL, RawHouse

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
PARSING = CORPORA / "json" / "test_parsing"
STRINGS = CORPORA / "strings" / "blns.json"
pytestmark = pytest.mark.skipif(not PARSING.is_dir(), reason="the corpora are not beside the repository")
# Both hold one key twice, which the suite's specification leaves to the reader.
DUPLICATE_KEYS = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
BIDI = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


async def _answers(house: RawHouse, prefix: str) -> dict[str, int]:
    found = {}
    for path in sorted(PARSING.glob(f"{prefix}_*.json")):
        fields = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false,"ignored":'
        told = await house.ask(house.chat(body=fields + path.read_bytes() + b"}") + SENTINEL, 2)
        assert told.statuses[1:] == [200], path.name
        found[path.name] = told.statuses[0]
    return found


async def test_t14_json_test_suite(house: RawHouse) -> None:
    refused, taken, either = [await _answers(house, prefix) for prefix in ("n", "y", "i")]
    assert (len(refused), len(taken), len(either)) == (188, 95, 35)
    assert set(refused.values()) == {400}
    assert {name for name, status in taken.items() if status != 200} == DUPLICATE_KEYS
    assert set(either.values()) <= {200, 400}
    assert house.gate.bugs == []


async def test_t09_naughty_strings_leave_one_line_each(house: RawHouse, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    log = AuditLog.open(folder, node="n", segment_bytes=64 * 1024 * 1024)
    gate = house.gate.gate
    await gate.audit.close()
    gate.audit = RequestAudit(log, lambda: STAMP, policy_hash=lambda: "p" * 64)
    stream = io.StringIO()
    configure_logs(stream, "debug")
    try:
        strings = json.loads(STRINGS.read_text(encoding="utf-8"))
        assert len(strings) == 515
        ids = []
        for string in strings:
            sent = (_send_as(house, string, place) for place in ("model", "agent", "message"))
            ids += await asyncio.gather(*sent)
        await gate.audit.close()
    finally:
        structlog.reset_defaults()
        await log.close()
    lines = b"".join(path.read_bytes() for path in folder.glob("*.jsonl")).splitlines()
    ends = [entry["req_id"] for entry in map(json.loads, lines) if _ends(entry)]
    assert sorted(ends) == sorted(ids)
    for line in (*lines, *stream.getvalue().encode().splitlines()):
        json.loads(line)
        assert line.isascii()
        assert all(byte >= 0x20 for byte in line)
    assert house.gate.bugs == []


def _ends(entry: dict[str, object]) -> bool:
    return "req_id" in entry and entry["event"] != "request.authorized"


async def _send_as(house: RawHouse, string: str, place: str) -> str:
    """Send the string, and give the request's id."""
    model, message, agent = "m", "hi", b"x"
    if place == "model":
        model = string
    elif place == "message":
        message = string
    else:  # what no client library would let through is left out: line ends and other controls
        agent = bytes(byte for byte in string.encode("utf-8") if byte >= 0x20 and byte != 0x7F)[:4000]
    call = {"model": model, "messages": [{"role": "user", "content": message}], "stream": False}
    told = await house.ask(house.chat(b"User-Agent: " + agent, body=json.dumps(call).encode()), 1)
    assert told.statuses[0] in ({200} if place != "model" else {400, 404}), (string, told.statuses)
    assert 0x1B not in told.raw
    assert not any(mark in told.raw.decode("utf-8") for mark in BIDI), string
    head = told.raw.split(b"\r\n\r\n")[0].lower()
    return head.partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
