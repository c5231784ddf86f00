"""Invariant: a home has one audit key, made once and never in silence anew; what cannot be used is named."""

import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.audit.audit_key import (
    DEPLOYMENT_NAME,
    KEY_NAME,
    VKEY_NAME,
    AuditKey,
    UnfitAuditKey,
    list_vkey,
    open_audit_key,
    read_vkeys,
)
from policies.auditing.signed_note import Ed25519Verifier


def test_a_new_home_gets_a_key_and_a_name_for_its_owner_alone(tmp_path: Path) -> None:
    key = open_audit_key(tmp_path)
    for path in (tmp_path / KEY_NAME, tmp_path / "audit" / DEPLOYMENT_NAME):
        assert path.stat().st_mode & 0o777 == 0o600
    assert key.signer("box-0").name == f"corral/{key.deployment}/box-0"
    assert key.end_signer("box-0").name == f"corral/{key.deployment}/box-0/checkpoints"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit", KEY_NAME]


def test_the_same_key_and_name_are_found_again(tmp_path: Path) -> None:
    first, again = open_audit_key(tmp_path), open_audit_key(tmp_path)
    assert first.signer("a").verifier.vkey == again.signer("a").verifier.vkey
    list_vkey(first.listing, first.signer("a").verifier)
    assert open_audit_key(tmp_path).deployment == first.deployment


def test_gateways_that_start_together_have_one_key_and_every_line(tmp_path: Path) -> None:
    found: list[AuditKey] = []

    def start(number: int) -> None:
        key = open_audit_key(tmp_path)
        found.append(key)
        list_vkey(key.listing, key.signer(f"box-{number}").verifier)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.signer("a").verifier.vkey for key in found}) == 1
    listed = read_vkeys(tmp_path / "audit" / VKEY_NAME)
    assert sorted(each.name.rpartition("/")[2] for each in listed) == [f"box-{number}" for number in range(8)]


def test_a_line_is_listed_once(tmp_path: Path) -> None:
    key = open_audit_key(tmp_path)
    for _ in range(2):
        list_vkey(key.listing, key.signer("box-0").verifier)
    assert (tmp_path / "audit" / VKEY_NAME).read_text() == key.signer("box-0").verifier.vkey + "\n"


@pytest.mark.parametrize("gone", [KEY_NAME, f"audit/{DEPLOYMENT_NAME}"])
def test_what_is_gone_is_not_made_anew_once_it_is_told_of(tmp_path: Path, gone: str) -> None:
    key = open_audit_key(tmp_path)
    list_vkey(key.listing, key.signer("box-0").verifier)
    (tmp_path / gone).unlink()
    with pytest.raises(UnfitAuditKey, match="put it back from your backup"):
        open_audit_key(tmp_path)
    assert not (tmp_path / gone).exists()


def pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("content", [b"", b"no pem", pem(X25519PrivateKey.generate())])
def test_a_file_that_is_no_ed25519_key_is_named(tmp_path: Path, content: bytes) -> None:
    open_audit_key(tmp_path)
    (tmp_path / KEY_NAME).write_bytes(content)
    with pytest.raises(UnfitAuditKey, match="holds no Ed25519 key"):
        open_audit_key(tmp_path)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    open_audit_key(tmp_path)
    (tmp_path / KEY_NAME).chmod(0o640)
    with pytest.raises(UnfitAuditKey, match="chmod 600"):
        open_audit_key(tmp_path)


def test_a_name_or_a_list_that_was_changed_is_named(tmp_path: Path) -> None:
    key = open_audit_key(tmp_path)
    (tmp_path / "audit" / DEPLOYMENT_NAME).write_text("another\n")
    with pytest.raises(UnfitAuditKey, match="not what Corral wrote"):
        open_audit_key(tmp_path)
    (tmp_path / "audit" / DEPLOYMENT_NAME).write_text(f"{key.deployment}\n")
    (tmp_path / "audit" / VKEY_NAME).write_text("no key\n")
    with pytest.raises(UnfitAuditKey, match=r"audit\.vkey line 1: "):
        open_audit_key(tmp_path)


def test_what_the_disk_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file in the folder's place")
    with pytest.raises(UnfitAuditKey, match="cannot be used"):
        open_audit_key(tmp_path)


def test_keys_of_an_earlier_time_stay_listed(tmp_path: Path) -> None:
    """What a rotation will leave: two lines for one chain."""
    key = open_audit_key(tmp_path)
    older = Ed25519Verifier(key.signer("box-0").name, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    list_vkey(key.listing, older)
    list_vkey(key.listing, key.signer("box-0").verifier)
    assert [each.key_id for each in read_vkeys(tmp_path / "audit" / VKEY_NAME)] == [
        older.key_id,
        key.signer("box-0").key_id,
    ]
