"""Invariant: a proof proves its line at its place under its checkpoint; no other line, place or spelling."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.auditing.checkpoint import Checkpoint, checkpoint_text
from policies.auditing.merkle import EMPTY, ProofWrong, inclusion_proof, leaf_hash
from policies.auditing.signed_note import Ed25519Signer, NoteBroken, sign_note
from policies.auditing.tlog_proof import MAGIC, TlogProof, proof_text, read_proof, verify_proof

LINES = [b"line %d" % number for number in range(11)]
SIGNER = Ed25519Signer("corral/ab/c", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
TREE = EMPTY.extended(map(leaf_hash, LINES))
NOTE = sign_note(checkpoint_text(Checkpoint("corral/ab/c", TREE.size, TREE.root())), [SIGNER])


def made(index: int, extra: bytes = b"") -> TlogProof:
    return TlogProof(index, tuple(inclusion_proof(map(leaf_hash, LINES), index, TREE.size)), NOTE, extra)


def test_every_line_is_proven_and_read_back() -> None:
    for index, line in enumerate(LINES):
        proof = read_proof(proof_text(made(index)))
        assert proof == made(index)
        assert verify_proof(proof, line, [SIGNER.verifier]).checkpoint.size == len(LINES)


def test_the_text_is_that_of_the_specification() -> None:
    text = proof_text(made(3, b"opaque")).decode()
    head, _, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    assert lines[:3] == [MAGIC, "extra b3BhcXVl", "index 3"]
    assert len(lines) == 3 + 4
    assert checkpoint.encode() == NOTE
    assert read_proof(text.encode()).extra == b"opaque"


def test_another_line_place_or_key_is_not_proven() -> None:
    with pytest.raises(ProofWrong):
        verify_proof(made(3), LINES[4], [SIGNER.verifier])
    with pytest.raises(ProofWrong):
        verify_proof(TlogProof(4, made(3).hashes, NOTE), LINES[3], [SIGNER.verifier])
    with pytest.raises(NoteBroken):
        verify_proof(made(3), LINES[3], [])


@pytest.mark.parametrize(
    "changed",
    [
        b"",
        b"\n\n",
        proof_text(made(3)).replace(b"@v1", b"@v2"),
        proof_text(made(3)).replace(b"index 3", b"index 03"),
        proof_text(made(3)).replace(b"index 3", b"index +3"),
        proof_text(made(3)).replace(b"index 3\n", b""),
        proof_text(made(3)).replace(b"index 3\n", b"index 3\nAAAA\n"),
        proof_text(made(3)).replace(b"index 3\n", b"index 3\nno base64\n"),
        proof_text(made(3)).replace(b"index 3\n", b"extra \nindex 3\n"),
        proof_text(made(3)).replace(b"index 3\n", b"index 3\n" + b"A" * 43 + b"=\n" * 64),
        MAGIC.encode() + b"\n\n" + NOTE,
    ],
)
def test_what_is_no_proof_is_refused(changed: bytes) -> None:
    with pytest.raises(NoteBroken):
        read_proof(changed)
