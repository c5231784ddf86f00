"""Invariant: a line has its seven header fields and only keys of ours, and its rawEvent is the record's exact line."""

import json
import re

from hypothesis import given

from policies.auditing import export_cef
from policies.auditing.exported import Exported, printable
from tests.exported_records import EXPORTED, exported, naughty

PLAIN = (
    "rt", "externalId", "deviceExternalId", "dvchost", "cat", "act", "outcome", "reason", "suser", "suid", "src",
    "c6a2", "c6a2Label", "requestMethod", "request", "in", "out", "rawEvent",
)  # fmt: skip
KEYS = {
    *PLAIN,
    *(f"{kind}{number}{label}" for kind in ("cs", "cn") for number in range(1, 7) for label in ("", "Label")),
}


def read_back(line: str) -> tuple[list[str], dict[str, str]]:
    """Header and extension, as the standard says to read them."""
    assert line.endswith("\n")
    assert line.count("\n") == 1
    fields = re.split(r"(?<!\\)(?:\\\\)*\|", _masked(line[:-1]), maxsplit=7)
    header = [each.replace("\\|", "|").replace("\x01", "\\") for each in fields[:7]]
    found = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", re.sub(r"\\=", "\x02\x02", fields[7])))
    extension = {}
    for place, match in enumerate(found):
        end = found[place + 1].start() if place + 1 < len(found) else len(fields[7])
        extension[match[1]] = fields[7][match.end() : end].replace("\\=", "=").replace("\x01", "\\")
    return header, extension


def _masked(text: str) -> str:
    """Escaped backslashes as one sign that nothing else is."""
    assert "\x01" not in text
    return text.replace("\\\\", "\x01")


def check(it: Exported) -> None:
    header, extension = read_back(export_cef.line(it))
    assert header[:4] == ["CEF:0", "Corral", "Corral", "1"]
    assert header[5] == (printable(it.text("event")) or "unknown")
    assert 0 <= int(header[6]) <= 10
    assert extension.keys() <= KEYS
    assert json.loads(extension["rawEvent"]) == json.loads(it.line)
    assert extension.get("suser", "") == printable(it.name())
    assert extension.get("reason", "") == printable(it.text("decision", "reason"))
    assert extension["externalId"] == it.place


@given(EXPORTED)
def test_lines_parse_back(it: Exported) -> None:
    check(it)


def test_naughty_strings_parse_back() -> None:
    for it in naughty():
        check(it)


def test_addresses_stand_under_the_key_of_their_version() -> None:
    _, old = read_back(export_cef.line(exported({"src": {"ip": "192.0.2.7"}})))
    _, new = read_back(export_cef.line(exported({"src": {"ip": "2001:db8::1"}, "decision": {"effect": "allow"}})))
    assert old["src"] == "192.0.2.7"
    assert (new["c6a2"], new["c6a2Label"], new["outcome"]) == ("2001:db8::1", "Source IPv6 Address", "success")
