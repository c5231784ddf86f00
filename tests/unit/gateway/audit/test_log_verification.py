"""Invariant: whole is said of what was written, and of nothing else; the graver finding is the verdict."""

import shutil
from pathlib import Path

import pytest
import zstandard

from bench.proofs import audit_mutations
from gateway.audit import log_verification
from gateway.audit.audit_files import HEAD_NAME, segments
from gateway.audit.audit_key import DEPLOYMENT_NAME, KEY_NAME, VKEY_NAME, UnfitAuditKey
from gateway.audit.checkpoint_file import CHECKPOINTS_NAME, END_NAME, last_note, read_anchors
from gateway.audit.log_verification import GAP, TAMPERED, UNREADABLE, WHOLE, Ask, ChainReport, time_of
from gateway.audit.trusted_keys import read_trusted_keys
from policies.audit_chain import GENESIS, Head, encode_entry, head_bytes, line_hash, link, segment_name
from policies.audit_record import Stamp, system_record
from policies.auditing.chain_seen import SEEN, seen_details
from policies.auditing.checkpoint import Checkpoint
from policies.auditing.merkle import EMPTY, leaf_hash
from policies.auditing.segment_records import PRUNED, Pruned, as_entry, pruned_details
from tests.signed_chains import SignedChain, body, judge, write_signed


def only(home: Path, ask: Ask | None = None, brought: Path | None = None) -> ChainReport:
    """The report on the home's one chain, nothing being wrong beside it."""
    report = judge(home / "audit", ask, brought)
    assert report.complaints == ()
    assert report.status == report.chains[0].status
    return report.chains[0]


def fault_of(report: ChainReport) -> str:
    assert report.fault is not None
    return report.fault.text


def test_a_stopped_log_is_proven_to_its_last_line(tmp_path: Path) -> None:
    write_signed(tmp_path, 60)
    report = only(tmp_path)
    assert report.status == WHOLE
    assert report.checkpoints == 7
    assert report.proven == report.records == report.last_seq + 1
    assert report.stages["completed"] == 60


def test_after_a_kill_the_seq_is_named_from_which_nothing_is_proven(tmp_path: Path) -> None:
    chain = SignedChain(tmp_path)
    chain.add(body(1), sign=True)
    chain.add(body(2))
    chain.close(sign=False)
    report = only(tmp_path)
    assert (report.status, report.proven, report.last_seq) == (WHOLE, 2, 2)


def test_lines_changed_behind_the_last_checkpoint_and_chained_anew_are_not_proven_and_not_found(tmp_path: Path) -> None:
    """The honest limit: what was not signed yet is only chained."""
    chain = SignedChain(tmp_path)
    chain.add(body(1), sign=True)
    chain.close(sign=False)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "audit", copy / "audit")
    shutil.copy(tmp_path / KEY_NAME, copy)
    for home, second in ((tmp_path, 2), (copy, 3)):
        again = SignedChain(home)
        again.writer.commit([body(second)])
        again.writer.close()
        assert (only(home).status, only(home).proven) == (WHOLE, 2)


@pytest.mark.slow
def test_the_small_size_of_the_mutations_is_all_found() -> None:
    figures = audit_mutations.prove(80)
    assert figures["mutations"] == figures["found"] == 80
    assert len(figures["kinds"]) == 16


# ---- keys


def test_the_keys_are_those_brought_else_those_listed(tmp_path: Path) -> None:
    write_signed(tmp_path / "one", 12)
    brought = tmp_path / "brought.vkey"
    shutil.copy(tmp_path / "one" / "audit" / VKEY_NAME, brought)
    assert only(tmp_path / "one", brought=brought).status == WHOLE
    write_signed(tmp_path / "two", 12)
    other = judge(tmp_path / "two" / "audit", brought=brought)
    assert other.status == TAMPERED, "its checkpoints are not signed by the key that was brought"
    brought.write_bytes(b"".join((tmp_path / home / "audit" / VKEY_NAME).read_bytes() for home in ("one", "two")))
    assert only(tmp_path / "one", brought=brought).status == WHOLE, "the other one's key is another home's"


def test_a_log_signed_by_another_key_is_found_where_the_homes_own_is_there(tmp_path: Path) -> None:
    write_signed(tmp_path / "forged", 12)
    write_signed(tmp_path / "real", 12)
    shutil.rmtree(tmp_path / "real" / "audit")
    shutil.copytree(tmp_path / "forged" / "audit", tmp_path / "real" / "audit")
    report = judge(tmp_path / "real" / "audit")
    assert report.status == TAMPERED
    assert "that is not this home's" in report.complaints[0]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        (f"audit/{VKEY_NAME}", b"no key\n", "audit.vkey line 1"),
        (f"audit/{VKEY_NAME}", None, "is not as Corral wrote it"),
        (f"audit/{DEPLOYMENT_NAME}", b"0123456789abcdef\n", "another deployment"),
        (f"audit/{DEPLOYMENT_NAME}", b"x\n", "not what Corral wrote"),
        (KEY_NAME, b"no key\n", "holds no Ed25519 key"),
    ],
)
def test_a_list_of_keys_that_was_changed_is_tampering(
    tmp_path: Path, name: str, content: bytes | None, text: str
) -> None:
    write_signed(tmp_path, 12)
    path = tmp_path / name
    path.write_bytes(path.read_bytes().rstrip(b"\n") if content is None else content)
    report = judge(tmp_path / "audit")
    assert report.status == TAMPERED
    assert text in report.complaints[0]


def test_without_a_verifier_key_nothing_can_be_said(tmp_path: Path) -> None:
    write_signed(tmp_path, 12)
    (tmp_path / "audit" / VKEY_NAME).unlink()
    report = only(tmp_path)
    assert report.status == UNREADABLE
    assert "--vkey" in fault_of(report)
    brought = tmp_path / "brought"
    brought.write_text("no key\n")
    with pytest.raises(UnfitAuditKey):
        read_trusted_keys(tmp_path / "audit", brought)


def test_a_chain_that_lost_its_checkpoints_is_tampered_with(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 12)
    (folder / CHECKPOINTS_NAME).unlink()
    assert "the signed end tells of 3 checkpoints" in fault_of(only(tmp_path))
    (folder / END_NAME).unlink()
    assert "the chain's verifier key tells of them" in fault_of(only(tmp_path))
    (tmp_path / "audit" / VKEY_NAME).unlink()
    assert "always signed" in fault_of(only(tmp_path))
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare / "audit" / "box-0")
    report = only(bare)
    assert (report.status, report.proven, report.checkpoints) == (WHOLE, 0, 0), "nothing there tells of signing"


def test_an_end_that_is_gone_is_found_with_a_single_checkpoint_too(tmp_path: Path) -> None:
    chain = SignedChain(tmp_path)
    (chain.folder / END_NAME).unlink()
    assert only(tmp_path).status == WHOLE, "a stop before the end was written"
    chain.add(body(1))
    chain.close(sign=False)
    assert "signed end" in fault_of(only(tmp_path))


# ---- a log of the form before


def test_a_log_of_the_form_before_is_whole_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "audit" / "box-0"
    folder.mkdir(parents=True)
    old_form(folder, 30)
    report = only(tmp_path)
    assert (report.status, report.records, report.checkpoints) == (WHOLE, 30, 0)
    chain = SignedChain(tmp_path)
    chain.add(body(99))
    chain.close()
    report = only(tmp_path)
    assert report.status == WHOLE
    assert report.proven == report.records > 30
    assert only(tmp_path, Ask(begin=report.last_seq)).proven == report.records
    path = segments(folder)[0].path
    path.write_bytes(path.read_bytes().replace(b'"status":200', b'"status":201', 1))
    assert only(tmp_path).status == TAMPERED


def old_form(folder: Path, records: int) -> None:
    """Segments without a first line of their own, and a head without a tree."""
    prev, name = GENESIS, ""
    for seq in range(records):
        if seq % 10 == 0:
            name = segment_name(seq)
        line = link(body(seq), seq, prev)
        with (folder / name).open("ab") as file:
            file.write(line + b"\n")
        prev = line_hash(line)
    (folder / HEAD_NAME).write_bytes(head_bytes(Head(records - 1, prev, name)))


# ---- parts, gaps, anchors


def test_a_part_is_read_from_its_segment_to_the_next_checkpoint(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 200)
    there = segments(folder)
    middle = there[len(there) // 2].first_seq
    report = only(tmp_path, Ask(begin=middle + 1, end=middle + 2))
    assert (report.status, report.first_seq) == (WHOLE, middle)
    assert middle + 2 < report.proven < report.proven + 1 <= report.last_seq + 2
    assert report.records < 40
    assert only(tmp_path, Ask(end=3)).records < 40
    path = there[-1].path
    path.write_bytes(path.read_bytes()[:-200])
    assert only(tmp_path, Ask(end=middle)).status == WHOLE, "what was not asked for is not judged"
    assert only(tmp_path, Ask(begin=middle)).status == TAMPERED


def test_a_part_can_be_named_by_time(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 200)
    first = {segment.name: time_of(segment.path.read_bytes().split(b"\n")[1]) for segment in segments(folder)}
    assert first["000000000000.jsonl"].startswith("1970-01-01T00:00:00")
    assert time_of(b"no record") == ""
    report = only(tmp_path, Ask(begin="1970-01-01T00:01:00.000000Z", end="1970-01-01T00:02:00.000000Z"))
    assert report.status == WHOLE
    assert only(tmp_path, Ask(begin="2100")).status == WHOLE
    assert only(tmp_path, Ask(end="1900")).records == only(tmp_path, Ask(end="2100")).records


def pruned(home: Path, *, sign: bool) -> Path:
    """A chain whose first segment was pruned and that tells so."""
    chain = SignedChain(home)
    for first in range(0, 60, 5):
        chain.add(*(body(second) for second in range(first, first + 5)), sign=True)
    gone = segments(chain.folder)[0]
    lines = gone.path.read_bytes().splitlines()
    told = Pruned(0, len(lines) - 1, line_hash(lines[-1]), EMPTY.extended(map(leaf_hash, lines)))
    record = as_entry(system_record(PRUNED, Stamp(1, 1, "boot"), {}), pruned_details(told))
    chain.add(encode_entry(record), sign=sign)
    chain.close(sign=False)
    gone.path.unlink()
    return chain.folder


def test_pruned_lines_are_a_gap_by_policy(tmp_path: Path) -> None:
    folder = pruned(tmp_path, sign=True)
    report = only(tmp_path)
    assert report.status == GAP
    assert report.first_seq == segments(folder)[0].first_seq
    assert report.proven == report.last_seq + 1


def test_pruned_lines_that_no_signed_record_tells_of_are_tampering(tmp_path: Path) -> None:
    folder = pruned(tmp_path, sign=False)
    assert "no proven audit.pruned" in fault_of(only(tmp_path))
    path = segments(folder)[0].path
    path.write_bytes(path.read_bytes().replace(b"segment.opened", b"segment.opaned", 1))
    assert "it does not tell of them" in fault_of(only(tmp_path))


def test_an_anchor_holds_the_log_to_what_it_was(tmp_path: Path) -> None:
    chain = SignedChain(tmp_path / "home")
    chain.add(*(body(second) for second in range(5)), sign=True)
    kept = tmp_path / "anchor"
    kept.write_bytes(last_note(chain.folder) or b"")
    before = tmp_path / "before"
    shutil.copytree(tmp_path / "home", before)
    chain.add(body(9))
    chain.close()
    (anchor,) = anchors = read_anchors(kept, read_trusted_keys(tmp_path / "home" / "audit").verifiers)
    report = only(tmp_path / "home", Ask(anchors=tuple(anchors)))
    assert (report.status, report.anchors, report.anchored_to) == (WHOLE, 1, 5)

    forged = SignedChain(tmp_path / "forged")  # the same key, another log: what only an anchor can tell
    shutil.rmtree(tmp_path / "forged" / "audit")
    shutil.copy(tmp_path / "home" / KEY_NAME, tmp_path / "forged")
    (tmp_path / "forged" / "audit").mkdir()
    shutil.copy(tmp_path / "home" / "audit" / DEPLOYMENT_NAME, tmp_path / "forged" / "audit")
    forged = SignedChain(tmp_path / "forged")
    forged.add(*(body(second) for second in range(5, 15)))
    forged.close()
    assert only(tmp_path / "forged").status == WHOLE
    assert "the anchor of size 6" in fault_of(only(tmp_path / "forged", Ask(anchors=(anchor,))))
    shorter = Ask(anchors=(Checkpoint(anchor.origin, 400, bytes(32)),))
    assert "the tail was cut" in fault_of(only(tmp_path / "home", shorter))
    other = Checkpoint("corral/x/box-9", 1, bytes(32))
    assert judge(tmp_path / "home" / "audit", Ask(anchors=(other,))).status == WHOLE, "another home's log"
    gone = Checkpoint(anchor.origin.replace("box-0", "box-9"), 1, bytes(32))
    (complaint,) = judge(tmp_path / "home" / "audit", Ask(anchors=(gone,))).complaints
    assert complaint == f"the chain {gone.origin} is gone: its verifier key or an anchor tells of it"


# ---- all chains as one log


def test_a_chain_that_is_gone_is_missed(tmp_path: Path) -> None:
    write_signed(tmp_path, 12)
    shutil.rmtree(write_signed(tmp_path, 12, "box-1"))
    report = judge(tmp_path / "audit")
    assert report.status == TAMPERED
    assert len(report.complaints) == 1
    assert "/box-1 is gone" in report.complaints[0]
    assert judge(tmp_path / "audit", Ask(whole=False)).status == WHOLE


def test_a_chain_that_another_saw_otherwise_is_found(tmp_path: Path) -> None:
    other = write_signed(tmp_path, 12, "box-1")
    chain = SignedChain(tmp_path)
    note = last_note(other)
    assert note is not None
    (seen,) = read_anchors_of(note, tmp_path)
    for checkpoint in (seen, Checkpoint(seen.origin, seen.size, bytes(32))):
        chain.add(encode_entry(system_record(SEEN, Stamp(1, 1, "boot"), seen_details(checkpoint, "c2ln"))), sign=True)
    chain.close()
    (complaint,) = judge(tmp_path / "audit").complaints
    assert complaint.startswith("box-0 saw a checkpoint of ")
    assert complaint.endswith(f"/box-1 of size {seen.size} (seq 2) that is not among those there now")


def read_anchors_of(note: bytes, home: Path) -> list[Checkpoint]:
    path = home / "note"
    path.write_bytes(note)
    return read_anchors(path, read_trusted_keys(home / "audit").verifiers)


# ---- files


def test_a_compressed_segment_is_read_as_the_plain_one(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 60)
    whole = only(tmp_path)
    audit_mutations.compress(segments(folder)[1].path)
    assert only(tmp_path) == whole
    path = segments(folder)[1].path
    path.write_bytes(zstandard.ZstdCompressor().compress(b"other\n"))
    assert only(tmp_path).status == TAMPERED


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 12)
    head = (folder / HEAD_NAME).read_bytes()
    (folder / HEAD_NAME).write_bytes(head[:-2])
    assert only(tmp_path).status == TAMPERED
    (folder / HEAD_NAME).unlink()
    assert fault_of(only(tmp_path)) == "the head is missing"
    (folder / HEAD_NAME).mkdir()
    assert only(tmp_path).status == UNREADABLE
    assert fault_of(only(tmp_path)).startswith("cannot be read")


def test_a_segment_that_goes_while_it_is_read_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_signed(tmp_path, 60)
    real, calls = log_verification.segments, []

    def vanishing(folder: Path) -> list[object]:
        calls.append(folder)
        found = list(real(folder))
        if len(calls) <= losses:
            found[0] = type(found[0])(folder / "000000000000.jsonl.gone.jsonl", 0)
        return found

    monkeypatch.setattr(log_verification, "segments", vanishing)
    losses = 1
    assert only(tmp_path).status == WHOLE
    calls, losses = [], 99
    assert only(tmp_path).status == UNREADABLE
