"""Invariant: a cosignature verifies for its checkpoint, witness and time alone."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.auditing.checkpoint import Checkpoint, checkpoint_text, open_checkpoint
from policies.auditing.cosignature import (
    COSIGNATURE,
    CosignatureSigner,
    CosignatureVerifier,
    cosigned_at_s,
    read_cosignature_vkey,
    signed_message,
)
from policies.auditing.signed_note import Ed25519Signer, NoteBroken, Signature, key_id, open_note, sign_note

LOG = Ed25519Signer("log.example/one", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
PUBLIC = KEY.public_key().public_bytes_raw()
WITNESS = CosignatureVerifier("witness.example/w1", PUBLIC)
TEXT = checkpoint_text(Checkpoint("log.example/one", 1, b"r" * 32))
AT_S = 1_679_315_147


def cosigned(at_s: int = AT_S) -> bytes:
    return sign_note(TEXT, [LOG, CosignatureSigner("witness.example/w1", KEY, at_s)])


def test_the_signed_lines_are_those_of_the_specification() -> None:
    assert signed_message(b"origin\n1\nroot\n", AT_S) == b"cosignature/v1\ntime 1679315147\norigin\n1\nroot\n"


def test_a_witness_says_when() -> None:
    note = open_note(cosigned(), [LOG.verifier, WITNESS])
    assert [signature.name for signature in note.verified] == ["log.example/one", "witness.example/w1"]
    assert cosigned_at_s(note.verified[1]) == AT_S
    assert open_checkpoint(cosigned(), [LOG.verifier, WITNESS]).checkpoint.size == 1


def test_its_vkey_has_type_4_and_is_read() -> None:
    line = WITNESS.vkey
    assert base64.b64decode(line.split("+", 2)[2])[0] == COSIGNATURE
    assert read_cosignature_vkey(line).key_id == WITNESS.key_id == key_id("witness.example/w1", 4, PUBLIC)
    with pytest.raises(NoteBroken, match="0x01"):
        read_cosignature_vkey(LOG.verifier.vkey)


def test_another_time_another_text_or_another_length_does_not_verify() -> None:
    signature = CosignatureSigner("witness.example/w1", KEY, AT_S).sign(TEXT)
    WITNESS.verify(TEXT, signature)
    for text, changed in (
        (TEXT, (AT_S + 1).to_bytes(8, "big") + signature[8:]),
        (TEXT + b"more\n", signature),
        (TEXT, signature[:-1]),
        (TEXT, signature + b"\0"),
        (TEXT, b"\xff" + signature[1:]),
        (TEXT, KEY.sign(TEXT)),
    ):
        with pytest.raises(NoteBroken):
            WITNESS.verify(text, changed)


def test_times_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        CosignatureSigner("witness.example/w1", KEY, 2**63)
    with pytest.raises(NoteBroken, match="past"):
        cosigned_at_s(Signature("w", b"1234", b"\xff" * 72))
