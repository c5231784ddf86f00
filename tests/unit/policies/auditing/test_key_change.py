"""A change of the audit key: signed by both keys, followed from the old one, and nothing else."""

import base64
import json
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.auditing.key_change import (
    ROTATED,
    KeyChange,
    change_details,
    followed,
    is_changes,
    leads,
    open_change,
    read_changes,
    read_rotated,
    sign_change,
    unfounded,
)
from policies.auditing.signed_note import Ed25519Signer, Ed25519Verifier, NoteBroken, sign_note

HOME = "corral/70f4"
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 5)]
RAW = [key.public_key().public_bytes_raw() for key in KEYS]
NOTES = [sign_change(HOME, old, new) for old, new in pairwise(KEYS)]
CHANGES = tuple(map(open_change, NOTES))
NAME = f"{HOME}/box-0"


def keys_of(*numbers: int, name: str = NAME) -> list[Ed25519Verifier]:
    return [Ed25519Verifier(name, RAW[number]) for number in numbers]


def text_of(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_a_change_is_opened():
    assert open_change(NOTES[0]) == KeyChange(HOME, RAW[0], RAW[1])


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def second_spelling(text: str) -> str:
    """The same 32 bytes: the last two bits that base64 writes of them mean nothing."""
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-2] + signs[signs.index(text[-2]) + 1] + "="
    assert base64.b64decode(other, validate=True) == base64.b64decode(text)
    return other


@pytest.mark.parametrize("signers", [[0], [1], [2, 3], []])
def test_without_both_signatures_it_is_none(signers):
    text = NOTES[0].partition(b"\n\n")[0] + b"\n"
    signed = [Ed25519Signer(f"{HOME}/audit-key", KEYS[number]) for number in signers]
    with pytest.raises(NoteBroken):
        open_change(sign_note(text, signed))


@pytest.mark.parametrize(
    "lines",
    [
        ("another text", HOME, b64(RAW[0]), b64(RAW[1])),
        ("corral audit key change 1", HOME, b64(RAW[0])),
        ("corral audit key change 1", HOME, "?", b64(RAW[1])),
        ("corral audit key change 1", HOME, b64(RAW[0][:31]), b64(RAW[1])),
        ("corral audit key change 1", HOME, b64(RAW[0]), b64(RAW[0])),
        ("corral audit key change 1", HOME, second_spelling(b64(RAW[0])), b64(RAW[1])),
        ("corral audit key change 1", "a b", b64(RAW[0]), b64(RAW[1])),
    ],
)
def test_what_is_no_change_though_both_signed_it(lines):
    signers = [Ed25519Signer(f"{HOME}/audit-key", key) for key in KEYS[:2]]
    with pytest.raises(NoteBroken):
        open_change(sign_note(text_of(*lines), signers))


def test_a_key_cannot_be_changed_to_itself():
    with pytest.raises(NoteBroken, match="not signed by the old key and the new one"):
        open_change(sign_change(HOME, KEYS[0], KEYS[0]))


def test_a_file_of_changes():
    assert read_changes(b"") == ()
    data = b"".join(note + b"\n" for note in NOTES)
    assert read_changes(data) == CHANGES
    assert is_changes(data)
    assert not is_changes(b"corral/70f4/box-0+aa+bb\n")
    for broken in (data[:-1], data[:-40], data + b"x\n\n", NOTES[0] + b"\n" + NOTES[2] + b"\n"):
        with pytest.raises(NoteBroken):
            read_changes(broken)
    other = sign_change("corral/other", KEYS[1], KEYS[2])
    with pytest.raises(NoteBroken, match="does not begin at the key"):
        read_changes(NOTES[0] + b"\n" + other + b"\n")


def test_trust_follows_the_changes_for_each_chain():
    found = followed([*keys_of(0), *keys_of(2, name=f"{HOME}/box-1")], CHANGES)
    assert [(each.name[-5:], RAW.index(each.public_key)) for each in found] == [
        ("box-0", 0),
        ("box-1", 2),
        ("box-0", 1),
        ("box-0", 2),
        ("box-1", 3),
        ("box-0", 3),
    ]


def test_nothing_follows_for_another_deployment_or_a_strange_key():
    elsewhere = keys_of(0, name="corral/other/box-0")
    assert followed(elsewhere, CHANGES) == tuple(elsewhere)
    last = keys_of(3)
    assert followed(last, CHANGES) == tuple(last)


def test_what_is_known_is_not_added_twice():
    known = keys_of(0, 1, 2, 3)
    assert followed(known, CHANGES) == tuple(known)


def test_which_key_leads_to_which():
    assert leads(RAW[0], RAW[3], CHANGES)
    assert leads(RAW[1], RAW[1], ())
    assert not leads(RAW[1], RAW[0], CHANGES)
    assert not leads(RAW[0], RAW[1], ())


def test_two_keys_of_a_chain_must_be_linked():
    assert unfounded(keys_of(0, 1, 3), CHANGES) == ""
    assert unfounded([*keys_of(0), *keys_of(3, name=f"{HOME}/box-1")], ()) == ""
    assert unfounded(keys_of(1, 0), CHANGES) == NAME
    assert unfounded(keys_of(0, 1), ()) == NAME


def line_of(**changed: str) -> bytes:
    return json.dumps({"event": ROTATED, "details": change_details(NOTES[0]) | changed}).encode()


def test_a_record_shows_the_change_by_itself():
    assert read_rotated(line_of()) == CHANGES[0]


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"\xff",
        json.dumps({"event": ROTATED}).encode(),
        json.dumps({"event": "audit.other", "details": change_details(NOTES[0])}).encode(),
        line_of(deployment="corral/other"),
        line_of(deployment="a b"),
        line_of(old_key=b64(RAW[2])),
        line_of(new_signature=""),
        line_of(old_signature=b64(b"x" * 64)),
        line_of(old_signature="?"),
    ],
)
def test_any_other_line_shows_none(line):
    assert read_rotated(line) is None
