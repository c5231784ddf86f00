"""Invariant: every message is one line of RFC 5424 whose structured data and message are what the record says."""

import json
import re

from hypothesis import given

from policies.auditing import export_syslog
from policies.auditing.exported import Exported, printable
from tests.exported_records import EXPORTED, exported, naughty

MESSAGE = re.compile(
    r"<(?P<priority>[0-9]{1,3})>1 (?P<time>\S+) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<process>[!-~]{1,128}) "
    r"(?P<id>[!-~]{1,32}) \[(?P<element>[!-~]+?)(?P<told>(?: [a-z]+=\"(?:[^\"\\\]]|\\[\"\\\]])*\")*)\] "
    r"(?P<message>.*)\n"
)


def read_back(message: str) -> tuple[dict[str, str], dict[str, str]]:
    """The parts, and the parameters with their escapes taken off."""
    match = MESSAGE.fullmatch(message)
    assert match, message
    told = re.findall(r' ([a-z]+)="((?:[^"\\\]]|\\["\\\]])*)"', match["told"])
    return match.groupdict(), {name: re.sub(r"\\([\"\\\]])", r"\1", value) for name, value in told}


def check(it: Exported) -> None:
    parts, told = read_back(export_syslog.message(it))
    assert int(parts["priority"]) >> 3 == 13
    assert parts["element"] == "corral@32473"
    assert json.loads(parts["message"]) == json.loads(it.line)
    assert told["place"] == it.place
    assert told.get("reason", "") == printable(it.text("decision", "reason"))
    assert told.get("name", "") == printable(it.name())


@given(EXPORTED)
def test_messages_parse_back(it: Exported) -> None:
    check(it)


def test_naughty_strings_parse_back() -> None:
    for it in naughty():
        check(it)


def test_severity_time_and_names() -> None:
    record = {"code": "C1002W", "ts": "2026-11-22T18:00:00.000001Z", "node": "box one", "instance": "box-0"}
    parts, _ = read_back(export_syslog.message(exported(record)))
    assert (parts["priority"], parts["time"], parts["host"]) == ("108", "2026-11-22T18:00:00.000001Z", "box?one")
    assert (parts["process"], parts["id"]) == ("box-0", "C1002W")
    bare, _ = read_back(export_syslog.message(exported({})))
    assert (bare["priority"], bare["time"], bare["host"], bare["id"]) == ("109", "-", "-", "-")
