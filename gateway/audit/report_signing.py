"""Signs a report, and proves a signature: by the home's audit key, or by a person's SSH key.

The audit key signs a short text in a note (policies/auditing/report_note.py). An SSH key signs the report's own bytes,
as `ssh-keygen -Y sign` does, so that `ssh-keygen -Y verify` alone can prove it. Either stands in FILE.sig.
"""

import shutil
import subprocess
from pathlib import Path

from gateway.audit.audit_key import KEY_NAME, UnfitAuditKey, load_private_key, read_deployment
from gateway.audit.trusted_keys import TrustedKeys
from policies.auditing.report_note import Statement, report_name, report_verifiers, verify_report
from policies.auditing.signed_note import Ed25519Signer, NoteBroken, sign_note
from policies.policy_file.ssh_signature import Signer, find_signers, read_signer

NAMESPACE = "corral-report"
"""What `ssh-keygen -Y sign -n` must name, so that no signature made for something else counts."""
SSH_MARK = b"-----BEGIN SSH SIGNATURE-----"
MAX_SIGNATURE_BYTES = 64 * 1024
SIGN_S = 120.0
"""For a person who is asked for a passphrase, or to touch a device."""


class ReportNotSigned(Exception):
    """It could not be signed, or the signature proves nothing; the message is one line with the remedy."""


def signature_path(report: Path) -> Path:
    """The file beside a report that holds its signature."""
    return report.with_name(report.name + ".sig")


def sign_by_audit_key(home: Path, statement: Statement) -> bytes:
    """The note, signed with the audit key of the home in this folder. Raises ReportNotSigned."""
    try:
        key = load_private_key(home / KEY_NAME)
        log = f"corral/{read_deployment(home / 'audit')}"
        return sign_note(statement.text, [Ed25519Signer(report_name(log), key)])
    except (UnfitAuditKey, NoteBroken) as fault:
        raise ReportNotSigned(str(fault)) from None
    except OSError as fault:
        raise ReportNotSigned(
            f"cannot read {fault.filename} ({fault.strerror}): sign where the home's audit key is, or with --ssh-key"
        ) from None


def sign_by_ssh(key: Path, report: bytes) -> bytes:
    """What `ssh-keygen -Y sign` makes of the report with this key (or its .pub, where an agent holds it).

    Raises ReportNotSigned.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise ReportNotSigned("ssh-keygen is not here: install OpenSSH's client, or sign with the audit key (--sign)")
    command = [program, "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key)]
    try:
        done = subprocess.run(  # noqa: S603  # the program's whole path and the operator's own file, no shell
            command, input=report, capture_output=True, timeout=SIGN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise ReportNotSigned(f"ssh-keygen did not sign: {fault}") from None
    if done.returncode != 0 or SSH_MARK not in done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
        raise ReportNotSigned(f"ssh-keygen did not sign with {key}: {said.splitlines()[0]}")
    return done.stdout


def read_signers(path: Path) -> list[Signer]:
    """The people in a file of SSH public keys, one line each. Raises ReportNotSigned, OSError."""
    found = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            found.append(read_signer(line))
        except ValueError as fault:
            raise ReportNotSigned(f"{path} line {number}: {fault}") from None
    return found


def verify_signature(signature: bytes, statement: Statement, keys: TrustedKeys | None, signers: list[Signer]) -> str:
    """Who signed exactly this report, in words. `keys` None: there is no log at hand. Raises ReportNotSigned."""
    if SSH_MARK in signature:
        found = find_signers(statement.report, [signature], signers, NAMESPACE)
        if not found.names:
            why = found.unfit[0] if found.unfit else "it is by none of --signers"
            raise ReportNotSigned(f"the SSH signature does not count: {why}")
        return f"{found.names[0]} (SSH key)"
    if keys is None or not keys.verifiers:
        raise ReportNotSigned("there is no verifier key for it: name the log, or a file of them with --vkey")
    if keys.fault:
        raise ReportNotSigned(keys.fault)
    try:
        return verify_report(signature, statement, report_verifiers(keys.verifiers))
    except NoteBroken as fault:
        raise ReportNotSigned(f"the signature does not fit: {fault}") from None
