"""Invariant: a report is signed by a key that is there, and proven only by one that was named."""

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.audit import report_signing
from gateway.audit.audit_key import open_audit_key, read_deployment
from gateway.audit.report_signing import (
    ReportNotSigned,
    read_signers,
    sign_by_audit_key,
    sign_by_ssh,
    signature_path,
    verify_signature,
)
from gateway.audit.trusted_keys import TrustedKeys
from policies.auditing.report_note import Statement

REPORT = b"# Audit report 2026-10\n"


@pytest.fixture
def statement(tmp_path: Path) -> Statement:
    open_audit_key(tmp_path)
    return Statement(f"corral/{read_deployment(tmp_path / 'audit')}", "2026-10", "audit", REPORT)


def test_by_the_audit_key(tmp_path: Path, statement: Statement) -> None:
    note = sign_by_audit_key(tmp_path, statement)
    keys = TrustedKeys((open_audit_key(tmp_path).signer("box-0").verifier,))
    assert verify_signature(note, statement, keys, []) == f"{statement.log}/report"
    for worthless, why in ((None, "no verifier key"), (TrustedKeys(), "no verifier key")):
        with pytest.raises(ReportNotSigned, match=why):
            verify_signature(note, statement, worthless, [])
    with pytest.raises(ReportNotSigned, match="another deployment"):
        verify_signature(note, statement, TrustedKeys(keys.verifiers, "audit.vkey names another deployment"), [])
    with pytest.raises(ReportNotSigned, match="does not fit"):
        verify_signature(note[:-5] + b"AAA=\n", statement, keys, [])


def test_without_the_audit_key(tmp_path: Path, statement: Statement) -> None:
    (tmp_path / "audit-key.pem").write_text("x")
    with pytest.raises(ReportNotSigned, match="holds no Ed25519 key"):
        sign_by_audit_key(tmp_path, statement)
    shutil.rmtree(tmp_path / "audit")
    (tmp_path / "audit-key.pem").unlink()
    with pytest.raises(ReportNotSigned, match="sign where the home's audit key is"):
        sign_by_audit_key(tmp_path, statement)


def test_without_ssh_keygen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ReportNotSigned, match="install OpenSSH"):
        sign_by_ssh(tmp_path / "key", REPORT)


def test_an_ssh_keygen_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/ssh-keygen")
    answers = [
        SimpleNamespace(returncode=0, stdout=b"", stderr=b""),
        SimpleNamespace(returncode=3, stdout=b"", stderr=b"no\nx"),
    ]
    monkeypatch.setattr(report_signing.subprocess, "run", lambda *_, **__: answers.pop(0))
    for why in ("exit status 0", "ssh-keygen did not sign with .*: no$"):
        with pytest.raises(ReportNotSigned, match=why):
            sign_by_ssh(tmp_path / "key", REPORT)

    def hangs(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("ssh-keygen", 120)

    monkeypatch.setattr(report_signing.subprocess, "run", hangs)
    with pytest.raises(ReportNotSigned, match="timed out"):
        sign_by_ssh(tmp_path / "key", REPORT)


def test_a_file_of_signers(tmp_path: Path) -> None:
    signers = tmp_path / "signers"
    signers.write_text("# nobody\n\n")
    assert read_signers(signers) == []
    signers.write_text("\nssh-rsa x y z\n")
    with pytest.raises(ReportNotSigned, match="line 2: must be a public key and a name"):
        read_signers(signers)
    assert signature_path(Path("a/report.md")) == Path("a/report.md.sig")
