"""Invariant: a record is proven only by the lines that were signed, and its proof needs nothing but itself."""

from pathlib import Path

import pytest

from gateway.audit.audit_files import read_lines, segments
from gateway.audit.checkpoint_file import read_checkpoints
from gateway.audit.log_proofs import NotProvable, prove_consistency, prove_line
from gateway.audit.trusted_keys import read_trusted_keys
from policies.auditing.checkpoint import open_checkpoint
from policies.auditing.merkle import ProofWrong, verify_consistency
from policies.auditing.signed_note import Ed25519Verifier, NoteBroken
from policies.auditing.tlog_proof import proof_text, read_proof, verify_proof
from tests.signed_chains import SignedChain, body, write_signed
from tests.unit.gateway.audit.test_log_verification import old_form, pruned


def keys(home: Path) -> list[Ed25519Verifier]:
    return list(read_trusted_keys(home / "audit").of("box-0"))


def test_every_record_is_proven_by_its_own_proof_alone(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 40)
    lines = [line.data[:-1] for segment in segments(folder) for line in read_lines(segment)]
    assert len(lines) > 40
    for seq, line in enumerate(lines):
        proven = prove_line(folder, seq, keys(tmp_path))
        assert proven.line == line
        assert verify_proof(read_proof(proof_text(proven.proof)), line, keys(tmp_path)) == proven.signed


def test_every_checkpoint_is_consistent_with_every_later_one(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 40)
    kept = [open_checkpoint(note, keys(tmp_path)).checkpoint for note in read_checkpoints(folder).notes][1:]
    assert len(kept) == 4
    for place, old in enumerate(kept):
        for new in kept[place:]:
            proof = prove_consistency(folder, old.size, new.size)
            verify_consistency(old.size, new.size, old.root, new.root, proof)
    with pytest.raises(NotProvable):
        prove_consistency(folder, 0, 5)


def test_a_pruned_chain_proves_what_is_left(tmp_path: Path) -> None:
    folder = pruned(tmp_path, sign=True)
    first = segments(folder)[0].first_seq
    assert prove_line(folder, first, keys(tmp_path)).proof.index == first
    with pytest.raises(NotProvable, match=f"the first record that is there is {first}"):
        prove_line(folder, first - 1, keys(tmp_path))
    with pytest.raises(NotProvable, match="ends before"):
        prove_consistency(folder, 1, first + 1)
    path = segments(folder)[0].path
    path.write_bytes(path.read_bytes().replace(b"segment.opened", b"segment.opaned", 1))
    with pytest.raises(NotProvable, match="does not tell"):
        prove_line(folder, first, keys(tmp_path))


def test_what_is_not_signed_yet_is_not_proven(tmp_path: Path) -> None:
    chain = SignedChain(tmp_path)
    chain.add(body(1), sign=True)
    chain.add(body(2))
    chain.close(sign=False)
    with pytest.raises(NotProvable, match="covers seq 0 to 1"):
        prove_line(chain.folder, 2, keys(tmp_path))
    with pytest.raises(NoteBroken, match="--vkey"):
        prove_line(chain.folder, 1, [])


def test_a_chain_without_checkpoints_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "audit" / "box-0"
    folder.mkdir(parents=True)
    old_form(folder, 3)
    with pytest.raises(NotProvable, match="no checkpoint"):
        prove_line(folder, 1, [])


def test_lines_that_were_changed_are_not_proven(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 40)
    path = segments(folder)[-1].path
    path.write_bytes(path.read_bytes().replace(b'"status":200', b'"status":201', 1))
    with pytest.raises(ProofWrong):
        prove_line(folder, 3, keys(tmp_path))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    last = int(path.stem) + len(lines) - 1
    for seq in (3, last):
        with pytest.raises(NotProvable, match="run 'corral audit verify'"):
            prove_line(folder, seq, keys(tmp_path))
