"""A verification bundle: records with everything that a stranger needs to check that they stand in the signed log.

    README.md                    what to check, and how
    audit.vkey                   the verifier keys of the chains
    key-changes                  how they followed each other, signed by the old one and the new one each time
    CHAIN/records.jsonl          the records' exact lines
    CHAIN/checkpoint             the signed checkpoint that they are proven under
    CHAIN/proofs/SEQ.tlog-proof  for each record its proof (c2sp.org/tlog-proof@v1)

Every proof is checked before it is written.
"""

from collections.abc import Iterable
from pathlib import Path

from gateway.audit.anchor_words import home_words
from gateway.audit.audit_key import CHANGES_NAME
from gateway.audit.index.found_lines import FoundLine
from gateway.audit.log_proofs import NotProvable, latest_checkpoint, stored_from_first
from gateway.audit.trusted_keys import TrustedKeys
from gateway.homes.private_file import sync_directory, write_private
from policies.auditing.many_proofs import inclusion_proofs
from policies.auditing.merkle import leaf_hash
from policies.auditing.tlog_proof import TlogProof, proof_text, verify_proof

MOST = 10_000
README = """# Records of a Corral audit log, with their proofs

{count} records of {chains} chains. Each folder is one chain; a record's number in it is its `seq`.

To check one, with any tool for c2sp.org/tlog-proof, or by hand:

1. Take the record's line from `CHAIN/records.jsonl`, exactly, without the newline at its end.
2. Its leaf is SHA-256 of one zero byte and the line (RFC 6962, section 2.1).
3. `CHAIN/proofs/SEQ.tlog-proof` holds the leaf's number (`index`, the same as `seq`), the hashes of its inclusion proof
   in base64, an empty line, and a signed checkpoint: the log's name, its size, its root in base64, and signatures.
4. The hashes lead from the leaf to that root (RFC 9162, section 2.1.3.2).
5. The signature is Ed25519 over the checkpoint's text (c2sp.org/signed-note) by the key of that name in `audit.vkey`.
   Where a chain has several, `key-changes` shows that each older one has signed the next.

What this shows: these very lines stood at these places when the checkpoint was signed. What it does not show: that the
host that signs was honest before. For that compare the checkpoint with one that was kept elsewhere, and the key with
one that you have from the operator by another way than this bundle. As the host says itself, the log is
{anchored}.
"""


class BundleFault(Exception):
    """No bundle was made; the message is one line with the remedy."""


def require_new(folder: Path) -> None:
    """Raises BundleFault when something is there already."""
    if folder.exists():
        raise BundleFault(f"{folder} is there already: name a new folder for the bundle")


def write_bundle(folder: Path, audit: Path, lines: Iterable[FoundLine], keys: TrustedKeys) -> int:
    """Make the folder with the bundle of `lines`; how many there are.

    Raises BundleFault, NotProvable, NoteBroken, ProofWrong, OSError; then the folder is not to be used.
    """
    chains: dict[str, list[FoundLine]] = {}
    count = 0
    for line in lines:
        count += 1
        if count > MOST:
            raise BundleFault(f"a bundle holds at most {MOST} records: narrow the conditions")
        chains.setdefault(line.chain, []).append(line)
    folder.mkdir(mode=0o700)
    for chain, found in chains.items():
        _write_chain(folder / chain, audit / chain, found, keys)
    vkeys = "".join(f"{each.vkey}\n" for each in keys.verifiers)
    _write(folder / "audit.vkey", vkeys.encode())
    if keys.changes:
        _write(folder / CHANGES_NAME, (audit / CHANGES_NAME).read_bytes())
    _write(folder / "README.md", README.format(count=count, chains=len(chains), anchored=home_words(audit)).encode())
    sync_directory(folder)
    return count


def _write_chain(folder: Path, chain: Path, found: list[FoundLine], keys: TrustedKeys) -> None:
    verifiers = keys.of(chain.name)
    signed = latest_checkpoint(chain, verifiers)
    size = signed.checkpoint.size
    unproven = [line.seq for line in found if line.seq >= size]
    if unproven:
        raise NotProvable(
            f"{chain.name}: its last checkpoint covers seq 0 to {size - 1}, not {unproven[0]}: one is made every 10 "
            "seconds; try again, or ask for records --until a moment ago"
        )
    begin, stored = stored_from_first(chain)
    leaves = (leaf_hash(line.data.removesuffix(b"\n")) for line in stored)
    try:
        proofs = inclusion_proofs(leaves, [line.seq for line in found], size, begin.tree)
    except ValueError as fault:
        raise NotProvable(f"{chain.name}: {fault}: run 'corral audit verify'") from None
    (folder / "proofs").mkdir(mode=0o700, parents=True)
    for line in found:
        proof = TlogProof(line.seq, tuple(proofs[line.seq]), signed.note)
        verify_proof(proof, line.line, verifiers)
        _write(folder / "proofs" / f"{line.seq}.tlog-proof", proof_text(proof))
    _write(folder / "records.jsonl", b"".join(line.line + b"\n" for line in found))
    _write(folder / "checkpoint", signed.note)
    sync_directory(folder)


def _write(path: Path, content: bytes) -> None:
    write_private(path, content, mode=0o600)
