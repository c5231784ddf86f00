"""A public key's line is read as ssh-keygen writes it, and nothing else is one."""

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials.public_key import (
    BLOB_HEAD,
    SIGN_BIT,
    SMALL_ORDER,
    PublicKeyRecord,
    fingerprint,
    key_bytes,
    public_key_id,
    read_public_key,
)

NOW_S = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
RAW = KEY.public_bytes(Encoding.Raw, PublicFormat.Raw)
LINE = KEY.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
BLOB = BLOB_HEAD + RAW


def record(**changes: object) -> PublicKeyRecord:
    values = {"id": public_key_id(BLOB), "blob": BLOB, "team": "blue", "scopes": frozenset({"models"})}
    return PublicKeyRecord(**values | {"created_s": NOW_S, "expires_s": NOW_S + 10} | changes)


@pytest.mark.parametrize("text", [LINE, f"{LINE} anna@laptop\n", f"  {LINE}  two words  "])
def test_a_line_is_read_with_and_without_its_comment(text):
    assert read_public_key(text) == BLOB
    assert key_bytes(read_public_key(text)) == RAW


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not one line"),
        ("ssh-ed25519", "not one line"),
        (f"{LINE}\n{LINE}", "not one line"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ== anna", "not one line"),
        (f"restrict {LINE}", "not one line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "this is a private key"),
        ("ssh-ed25519 not*base64", "not base64"),
        ("ssh-ed25519 é", "not base64"),
        (f"ssh-ed25519 {base64.b64encode(BLOB + b'x').decode()}", "not an ssh-ed25519 public key"),
        (f"ssh-ed25519 {base64.b64encode(b'x' * 51).decode()}", "not an ssh-ed25519 public key"),
    ],
)
def test_what_is_no_public_key_is_told_apart(text, said):
    with pytest.raises(ValueError, match=said):
        read_public_key(text)


@given(st.text(max_size=200))
def test_any_text_is_a_key_or_a_sentence(text):
    with contextlib.suppress(ValueError):
        assert len(read_public_key(text)) == 51


def test_the_fingerprint_is_that_of_ssh_keygen():
    # `ssh-keygen -lf` over LINE.
    assert fingerprint(BLOB) == "SHA256:lbmsoA0yIEcEiVDRnMWuzm+nV+3ZEEpVIURqFoeSspg"
    assert public_key_id(BLOB) == "ssh-95b9aca00d322047"


def test_a_key_is_active_until_it_ends_or_is_revoked():
    assert [record().state(NOW_S), record().state(NOW_S + 10)] == ["active", "expired"]
    assert record().ends_s == NOW_S + 10
    assert record(expires_s=None).state(NOW_S * 2) == "active"
    assert record(revoked_s=NOW_S).state(NOW_S + 20) == "revoked"


def test_its_networks_are_its_own():
    assert record().own_networks.allow is None
    assert record(networks=("10.0.0.0/8",)).own_networks.allow == ("10.0.0.0/8",)


@pytest.mark.parametrize("changes", [{"blob": b""}, {"scopes": frozenset()}, {"networks": ("nowhere",)}])
def test_an_impossible_record_is_none(changes):
    with pytest.raises(ValueError, match=r"."):
        record(**changes)


@pytest.mark.parametrize("sign", [0, SIGN_BIT])
@pytest.mark.parametrize("point", sorted(SMALL_ORDER), ids=bytes.hex)
def test_a_key_that_anybody_can_sign_for_is_refused(point, sign):
    """For the neutral point the signature (that point, 0) holds over any message at all."""
    key = point[:-1] + bytes([point[-1] | sign])
    with pytest.raises(ValueError, match="anybody can sign"):
        read_public_key(f"ssh-ed25519 {base64.b64encode(BLOB_HEAD + key).decode()} mallory")
    neutral = b"\x01" + bytes(31)
    if key == neutral:
        Ed25519PublicKey.from_public_bytes(key).verify(neutral + bytes(32), b"GET,/api/tags?ts=1")
