"""Invariant: what a page says of the proof is what the checkpoint, the notes of the places and the command say."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.audit.anchor_words import ANCHORED_NAME
from gateway.console.auditing.proof_state import Verifier, chain_state, chain_states, read_verification
from gateway.homes.home import Home
from tests.stored_log import StoredChain

REPORT = {
    "chain": "box-0", "status": 0, "records": 9, "last_seq": 8, "proven": 9, "fault": None,
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An unsigned log of one chain."""
    StoredChain(tmp_path / "audit" / "box-0").add([{"ts": "2020-11-22T10:00:00.000000Z", "event": "x"}] * 3)
    return Home(tmp_path)


def test_a_chain_without_a_checkpoint_says_so(home: Home) -> None:
    (state,) = chain_states(home)
    assert (state.chain, state.covered, state.off_host) == ("box-0", 0, None)
    assert "no checkpoint" in state.fault
    assert "not anchored off this host" in str(state.words)


def test_the_place_beyond_this_host_with_the_most_counts(home: Home) -> None:
    notes = {
        "file": {"off_host": False, "size": 90, "at_s": 5},
        "witness": {"off_host": True, "size": 40, "at_s": 6},
        "syslog": {"off_host": True, "size": 30, "at_s": 7},
    }
    (home.audit / "box-0" / ANCHORED_NAME).write_text(json.dumps(notes))
    state = chain_state(home, "box-0")
    assert [each.name for each in state.anchored] == ["file", "syslog", "witness"]
    assert state.off_host is not None
    assert (state.off_host.name, state.off_host.size) == ("witness", 40)
    assert "anchored off this host by syslog, witness" in str(state.words)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', '{"a": {"off_host": true}}', '{"a": {"off_host": true, "size": "x"}}']
)
def test_notes_that_are_none_anchor_nothing(home: Home, text: str) -> None:
    (home.audit / "box-0" / ANCHORED_NAME).write_text(text)
    assert chain_state(home, "box-0").anchored == ()


def test_a_list_of_keys_that_cannot_be_read_covers_nothing(home: Home) -> None:
    (home.audit / "audit.vkey").write_text("nonsense\n")
    assert chain_state(home, "box-0").fault != ""


def test_the_command_s_answer_is_read() -> None:
    whole = read_verification(0, json.dumps({"complaints": [], "chains": [REPORT]}).encode(), 7)
    assert (whole.at_us, whole.status, whole.complaints) == (7, 0, ())
    assert (whole.chains["box-0"].last_seq, whole.chains["box-0"].proven_to) == (8, 8)
    broken = REPORT | {"status": 1, "fault": {"text": "a line was changed"}}
    found = read_verification(1, json.dumps({"complaints": ["gone"], "chains": [broken]}).encode(), 7)
    assert (found.chains["box-0"].fault, found.complaints) == ("a line was changed", ("gone",))


@pytest.mark.parametrize("answer", [b"", b"corral: no such home", b"\xff"])
def test_an_answer_that_is_none_is_a_fault_with_its_words(answer: bytes) -> None:
    with pytest.raises(ValueError, match=answer.decode("utf-8", "replace").strip() or "exit status 3"):
        read_verification(3, answer, 7)


def test_a_verification_runs_once_at_a_time_and_its_verdict_stays(home: Home) -> None:
    verifier = Verifier(home)

    async def twice() -> None:
        verifier.start(lambda: 11)
        first = verifier._task
        verifier.start(lambda: 12)
        assert verifier._task is first
        assert verifier.running
        await verifier.ended()

    asyncio.run(twice())
    assert verifier.last is not None
    assert (verifier.last.at_us, verifier.last.status) == (11, 0)
    assert verifier.last.chains["box-0"].records == 3


def test_a_log_that_was_changed_is_told(home: Home) -> None:
    segment = next(home.audit.glob("box-0/*.jsonl"))
    segment.write_bytes(segment.read_bytes().replace(b'"x"', b'"y"', 1))
    verifier = Verifier(home)

    async def once() -> None:
        verifier.start(lambda: 1)
        await verifier.ended()

    asyncio.run(once())
    assert verifier.last is not None
    assert verifier.last.status == 1
    assert verifier.last.chains["box-0"].fault != ""


def test_a_verification_that_does_not_end_is_ended_and_no_verdict(home: Home) -> None:
    verifier = Verifier(home, seconds=0.0)

    async def once() -> None:
        verifier.start(lambda: 1)
        await verifier.ended()

    asyncio.run(once())
    assert verifier.last is not None
    assert verifier.last.status == 3
    assert "did not end well" in verifier.last.complaints[0]


def test_nobody_waits_for_one_that_was_never_begun(home: Home) -> None:
    asyncio.run(Verifier(home).ended())
