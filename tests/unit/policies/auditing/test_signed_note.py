"""Invariant: a note is opened only if a known key signed exactly its text; nothing has a second spelling."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.signed_note import (
    MAX_NOTE_BYTES,
    Ed25519Signer,
    Ed25519Verifier,
    NoteBroken,
    NoteUnsigned,
    key_id,
    open_note,
    read_vkey,
    sign_note,
    signature_by,
    split_note,
)

SIGNER = Ed25519Signer("log.example/one", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Ed25519Signer("log.example/two", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
TEXT = b"first\n\nthird \xc3\xa4\n"
NOTE = sign_note(TEXT, [SIGNER, OTHER])
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def test_the_example_of_gos_documentation_opens() -> None:
    """golang.org/x/mod/sumdb/note, doc.go."""
    verifier = read_vkey(PETER_KEY)
    assert verifier.vkey == PETER_KEY
    assert open_note(PETER_NOTE, [verifier]).text.startswith(b"If you think cryptography")


def test_a_note_tells_who_signed_and_who_is_unknown() -> None:
    note = open_note(NOTE, [SIGNER.verifier])
    assert note.text == TEXT
    assert [signature.name for signature in note.verified] == ["log.example/one"]
    assert [signature.name for signature in note.unknown] == ["log.example/two"]
    assert len(open_note(NOTE, [SIGNER.verifier, OTHER.verifier]).verified) == 2
    assert split_note(NOTE) == (TEXT, (note.verified[0], note.unknown[0]))


def test_only_the_first_signature_of_a_key_counts() -> None:
    line = signature_by(SIGNER, TEXT).line()
    wrong = signature_by(SIGNER, b"another\n").line()
    assert len(open_note(TEXT + b"\n" + line + line, [SIGNER.verifier]).verified) == 1
    assert len(open_note(TEXT + b"\n" + line + wrong, [SIGNER.verifier]).verified) == 1
    with pytest.raises(NoteBroken, match="does not fit"):
        open_note(TEXT + b"\n" + wrong + line, [SIGNER.verifier])


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    wrong = signature_by(OTHER, b"another\n").line()
    note = sign_note(TEXT, [SIGNER]) + wrong
    assert open_note(note, [SIGNER.verifier]).text == TEXT
    with pytest.raises(NoteBroken, match=r"log\.example/two does not fit"):
        open_note(note, [SIGNER.verifier, OTHER.verifier])


def test_nobody_known_is_unsigned() -> None:
    with pytest.raises(NoteUnsigned):
        open_note(NOTE, [])
    with pytest.raises(NoteUnsigned):  # the same name, another key
        open_note(NOTE, [Ed25519Verifier("log.example/one", OTHER.verifier.public_key)])


@given(st.integers(0, len(NOTE) - 1), st.integers(0, 7))
def test_a_changed_byte_makes_a_signer_unknown_at_most(place: int, bit: int) -> None:
    changed = bytearray(NOTE)
    changed[place] ^= 1 << bit
    try:
        note = open_note(bytes(changed), [SIGNER.verifier, OTHER.verifier])
    except NoteBroken:
        return
    assert note.text == TEXT
    assert len(note.verified) == len(note.unknown) == 1


@pytest.mark.parametrize(
    ("note", "fault"),
    [
        (b"", "not a note"),
        (b"text\n", "not a note"),
        (b"text\n\n", "1 to 100"),
        (NOTE.rstrip(b"\n"), "not a note"),
        (b"te\x00xt\n" + NOTE[len(TEXT) :], "control characters"),
        (b"te\xffxt\n" + NOTE[len(TEXT) :], "UTF-8"),
        (b"\n\n" + NOTE[len(TEXT) + 1 :], "does not fit"),
        (NOTE[: len(TEXT) + 1] + b"- dash AAAAAAAA\n", "em dash"),
        (NOTE[: len(TEXT) + 1] + "\u2014 a+b AAAAAAAA\n".encode(), "key name"),
        (NOTE[: len(TEXT) + 1] + "\u2014 ab AAAA\n".encode(), "em dash"),
        (NOTE[: len(TEXT) + 1] + "\u2014 ab AAAAAAB=\n".encode(), "em dash"),
        (NOTE[: len(TEXT) + 1] + "\u2014 ab not base64!\n".encode(), "em dash"),
        (NOTE + signature_by(OTHER, TEXT).line() * 99, "1 to 100"),
        (b"x" * (MAX_NOTE_BYTES + 1), "longer"),
    ],
)
def test_what_is_no_note_is_refused(note: bytes, fault: str) -> None:
    with pytest.raises(NoteBroken, match=fault):
        open_note(note, [SIGNER.verifier])


@pytest.mark.parametrize("text", [b"no newline", b"bell\a\n", b"\xff\n", b""])
def test_what_is_no_text_is_not_signed(text: bytes) -> None:
    with pytest.raises(NoteBroken):
        sign_note(text, [SIGNER])


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\x01b"])
def test_what_is_no_name_names_no_key(name: str) -> None:
    with pytest.raises(NoteBroken, match="key name"):
        Ed25519Verifier(name, bytes(32))


def test_a_vkey_is_read_as_written_and_no_sign_of_it_may_change() -> None:
    vkey = SIGNER.verifier.vkey
    assert read_vkey(vkey + "\n").public_key == SIGNER.verifier.public_key
    for place in range(len(vkey)):
        with pytest.raises(NoteBroken):
            read_vkey(vkey[:place] + ("A" if vkey[place] != "A" else "B") + vkey[place + 1 :])
    for line in ("", "name", "name+00000000+", "name+00000000+AAAA"):
        with pytest.raises(NoteBroken):
            read_vkey(line)


def test_a_key_of_another_type_is_no_logs_key() -> None:
    public_key = SIGNER.verifier.public_key
    other = f"a+{key_id('a', 4, public_key).hex()}+{base64.b64encode(bytes([4]) + public_key).decode()}"
    with pytest.raises(NoteBroken, match="0x04"):
        read_vkey(other)
    short = f"a+{key_id('a', 1, b'x').hex()}+AXg="
    with pytest.raises(NoteBroken, match="32 bytes"):
        read_vkey(short)
