"""Invariant: any bytes are a NoteBroken of one printable line, or a note, checkpoint or proof with no second spelling;
and a text is called signed only if it is one that was signed."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.auditing.checkpoint import Checkpoint, checkpoint_text, open_checkpoint, read_checkpoint
from policies.auditing.checkpoint_trail import Trail, end_name, end_text, kept_notes, open_end
from policies.auditing.cosignature import CosignatureSigner, CosignatureVerifier
from policies.auditing.merkle import EMPTY, inclusion_proof, leaf_hash
from policies.auditing.signed_note import Ed25519Signer, NoteBroken, open_note, read_vkey, sign_note, split_note
from policies.auditing.tlog_proof import TlogProof, proof_text, read_proof

ORIGIN = "corral/70f441418a908a92/box-0"
KEY, WITNESS_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([first]) * 32) for first in (1, 2))
LOG, END = Ed25519Signer(ORIGIN, KEY), Ed25519Signer(end_name(ORIGIN), KEY)
WITNESS = CosignatureVerifier("witness.example/w1", WITNESS_KEY.public_key().public_bytes_raw())
LEAVES = [leaf_hash(b"line %d" % number) for number in range(5)]
TREE = EMPTY.extended(LEAVES)
TEXT = checkpoint_text(Checkpoint(ORIGIN, TREE.size, TREE.root()))
ENDING = end_text(ORIGIN, Trail().added(b"note"))
NOTE = sign_note(TEXT, [LOG, CosignatureSigner(WITNESS.name, WITNESS_KEY, 1_790_000_000)])
PROOF = proof_text(TlogProof(3, tuple(inclusion_proof(LEAVES, 3, TREE.size)), NOTE, b"extra"))
SEEDS = (NOTE, PROOF, TEXT, sign_note(ENDING, [END]), LOG.verifier.vkey.encode(), NOTE + b"\n" + NOTE + b"\n")


def one(data: bytes) -> None:
    """Check one input against every reader."""
    for read in (_note, _checkpoint, _proof, _end, _vkey):
        try:
            read(data)
        except NoteBroken as refused:
            _check_words(str(refused))
    notes, rest = kept_notes(data)
    assert b"".join(note + b"\n" for note in notes) + rest == data


def _note(data: bytes) -> None:
    text, signatures = split_note(data)
    assert text + b"\n" + b"".join(each.line() for each in signatures) == data
    assert open_note(data, [LOG.verifier, END.verifier, WITNESS]).text in (TEXT, ENDING)
    assert open_checkpoint(data, [LOG.verifier, WITNESS]).checkpoint.size == TREE.size


def _checkpoint(data: bytes) -> None:
    assert checkpoint_text(read_checkpoint(data)) == data


def _proof(data: bytes) -> None:
    assert proof_text(read_proof(data)) == data


def _end(data: bytes) -> None:
    assert end_text(ORIGIN, open_end(data, ORIGIN, [END.verifier])) == ENDING


def _vkey(data: bytes) -> None:
    line = data.decode("utf-8", "replace")
    assert read_vkey(line).vkey == line.strip()


def _check_words(words: str) -> None:
    assert words.isprintable()
    assert len(words) < 300
