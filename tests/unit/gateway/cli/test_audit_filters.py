"""Invariant: whatever is typed as a condition is a filter or one clear line, and finds what the log wrote of it."""

import argparse
import json
from pathlib import Path

import pytest

from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.opened_records import OpenedRecords
from gateway.cli.audit_filters import asked_of, filter_of, filter_options
from gateway.cli.output import CommandFault
from policies.audit_record import Action, Actor, Decision, RequestFacts, Stamp, request_record
from policies.auditing.conditions import told_to_log
from policies.auditing.search_filter import NAMES
from tests.exported_records import STRINGS
from tests.stored_log import StoredChain

TEXTS = [text for text in json.loads(STRINGS.read_text()) if text] if STRINGS.exists() else ["'; --", "\x1b[2J", "é"]


def asked(**given: str) -> dict[str, str]:
    return asked_of(argparse.Namespace(**(dict.fromkeys(NAMES, "") | given)))


def test_every_condition_is_an_option() -> None:
    parsed = filter_options().parse_args([word for name in NAMES for word in (f"--{name}", "x")])
    assert asked_of(parsed) == dict.fromkeys(NAMES, "x")


@pytest.mark.parametrize("name", NAMES)
def test_naughty_strings_are_a_filter_or_one_line(name: str) -> None:
    refusals: list[int] = []
    for text in TEXTS:
        try:
            conditions = asked(**{name: text})
            filter_of(conditions)
        except CommandFault as fault:
            refusals.append(fault.status)
            continue
        told = told_to_log(conditions, ("pone",))
        assert told["filter"].isprintable()
        assert told["filter"].isascii()
        assert len(told["filter"]) <= 512
    assert set(refusals) <= {2}


@pytest.mark.parametrize("name", ["team", "key", "model", "reason"])
def test_a_naughty_name_is_found_as_the_log_wrote_it(name: str, tmp_path: Path) -> None:
    chain = StoredChain(tmp_path / "box-0", per_segment=1000)
    chain.add([_record(name, text, at) for at, text in enumerate(TEXTS)])
    index = AuditIndex(tmp_path, OpenedRecords())
    index.refresh()
    for place in range(0, len(TEXTS), 17):
        try:
            wanted = filter_of(asked(**{name: TEXTS[place]}))
        except CommandFault:
            continue
        assert place in [line.seq for line in index.search(wanted, 1000).lines]


def _record(name: str, text: str, at: int) -> dict[str, object]:
    stamp = Stamp(at * 1_000_000, at, "boot")
    actor = Actor(kind="key", team=text if name == "team" else "", key_id=text if name == "key" else "")
    facts = RequestFacts(request_id=f"r{at}", actor=actor, action=Action(model=text if name == "model" else ""))
    return request_record(
        "request.denied", stamp, facts, Decision(effect="deny", reason=text if name == "reason" else "x")
    )


def test_the_hash_names_nobody_and_tells_searches_apart() -> None:
    one = told_to_log({"actor": "alice", "team": "chem"}, ("pone",))
    assert one["filter"] == "team=chem actor=alice"
    assert one["filter_hash"] == told_to_log({"actor": "Alice", "team": "chem"}, ("pone",))["filter_hash"]
    assert one["filter_hash"] != told_to_log({"actor": "alice", "team": "bio"}, ("pone",))["filter_hash"]
    single = [told_to_log({"address": each}, ())["filter_hash"] for each in ("192.0.2.7", "192.0.2.8", "192.0.2.0/24")]
    assert single[0] == single[1] != single[2]
