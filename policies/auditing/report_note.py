"""What is signed of a report: one short text that names the log, the period and the report's exact bytes.

The signature stands in a note (policies/auditing/signed_note.py) in a file of its own, so that the report itself stays
what anybody's copy of the log gives. Rules:
 (1) Five lines: `<deployment>/report`, which is also the key's name; the period; the report's kind; its size in bytes;
     its SHA-256 in hex. So no signature of a checkpoint serves for a report, nor one of a report for another.
 (2) The key is the audit key, known by the verifier keys of the chains (audit.vkey): the same public key under the
     report's name.
"""

from collections.abc import Iterable
from hashlib import sha256

from msgspec import Struct

from policies.auditing.checkpoint import deployment_of
from policies.auditing.signed_note import Ed25519Verifier, NoteBroken, open_note


class Statement(Struct, frozen=True):
    """`log` is the deployment as origins name it (`corral/<deployment>`), `period` and `kind` are the report's own."""

    log: str
    period: str
    kind: str
    report: bytes

    @property
    def text(self) -> bytes:
        """What is signed, by rule (1)."""
        lines = (report_name(self.log), self.period, self.kind, str(len(self.report)), sha256(self.report).hexdigest())
        return "".join(f"{line}\n" for line in lines).encode()


def report_name(log: str) -> str:
    """The name of the key that signs a deployment's reports."""
    return f"{log}/report"


def report_verifiers(chains: Iterable[Ed25519Verifier]) -> list[Ed25519Verifier]:
    """The keys that may sign reports, by those of the chains: rule (2)."""
    found = {(report_name(deployment_of(each.name)), each.public_key) for each in chains}
    return [Ed25519Verifier(name, key) for name, key in sorted(found)]


def verify_report(note: bytes, statement: Statement, verifiers: list[Ed25519Verifier]) -> str:
    """The name that signed exactly this report. Raises NoteBroken, NoteUnsigned."""
    opened = open_note(note, verifiers)
    if opened.text != statement.text:
        raise NoteBroken("the signature is of another report")
    return opened.verified[0].name
