"""Invariant: a signature is worth one report of one log, and nothing else is worth a report's signature."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.auditing.report_note import Statement, report_name, report_verifiers, verify_report
from policies.auditing.signed_note import Ed25519Signer, Ed25519Verifier, NoteBroken, NoteUnsigned, sign_note

LOG = "corral/0123456789abcdef"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
STATEMENT = Statement(LOG, "2026-10", "audit", b"# Audit report\n")


def verifiers() -> list[Ed25519Verifier]:
    public = KEY.public_key().public_bytes_raw()
    return report_verifiers([Ed25519Verifier(f"{LOG}/box-{n}", public) for n in (0, 1)])


def signed(statement: Statement, name: str = report_name(LOG)) -> bytes:
    return sign_note(statement.text, [Ed25519Signer(name, KEY)])


def test_the_text_is_what_the_format_says() -> None:
    digest = sha256(STATEMENT.report).hexdigest()
    assert STATEMENT.text.decode() == f"{LOG}/report\n2026-10\naudit\n15\n{digest}\n"


def test_one_key_for_all_chains() -> None:
    assert [each.name for each in verifiers()] == [f"{LOG}/report"]
    assert verify_report(signed(STATEMENT), STATEMENT, verifiers()) == f"{LOG}/report"


@pytest.mark.parametrize(
    "other",
    [
        Statement(LOG, "2026-10", "audit", b"# Audit report!"),
        Statement(LOG, "2026-11", "audit", STATEMENT.report),
        Statement(LOG, "2026-10", "cost", STATEMENT.report),
        Statement("corral/fedcba9876543210", "2026-10", "audit", STATEMENT.report),
    ],
)
def test_a_signature_of_another_report(other: Statement) -> None:
    with pytest.raises(NoteBroken, match="of another report"):
        verify_report(signed(STATEMENT), other, verifiers())


def test_a_signature_by_a_chain_is_none_for_a_report() -> None:
    with pytest.raises(NoteUnsigned):
        verify_report(signed(STATEMENT, f"{LOG}/box-0"), STATEMENT, verifiers())
