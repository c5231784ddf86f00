"""The verifier keys a log is judged by: those a reader brought along, else those listed beside the chains.

What is listed is only as good as the disk it lies on: where the home's own key can be read, it must be the one that
is listed, or one that the listed ones lead to; an auditor brings his own copy (`--vkey`). Keys that were rotated are
followed by the changes that the old key has signed (`audit/key-changes`, policies/auditing/key_change.py).
"""

from pathlib import Path

from msgspec import Struct

from gateway.audit.audit_key import (
    DEPLOYMENT_NAME,
    KEY_NAME,
    VKEY_NAME,
    UnfitAuditKey,
    load_private_key,
    read_deployment,
    read_key_changes,
    read_vkeys,
)
from policies.auditing.checkpoint import instance_of, origin_of
from policies.auditing.key_change import KeyChange, followed, leads, unfounded
from policies.auditing.signed_note import Ed25519Verifier


class TrustedKeys(Struct, frozen=True):
    """`fault` says what is wrong with the listed keys; then none of them proves anything.

    `signs`: there are signs of a home that signs its chains, so that one without a checkpoint was robbed of them.
    `changes` are the rotations that led to some of the keys.
    """

    verifiers: tuple[Ed25519Verifier, ...] = ()
    fault: str = ""
    signs: bool = False
    changes: tuple[KeyChange, ...] = ()

    @property
    def origins(self) -> frozenset[str]:
        """The chains that have a key."""
        return frozenset(each.name for each in self.verifiers)

    def of(self, instance: str) -> list[Ed25519Verifier]:
        """The keys of the chain in a folder of this name."""
        return [each for each in self.verifiers if instance_of(each.name) == instance]


def read_trusted_keys(audit: Path, brought: Path | None = None) -> TrustedKeys:
    """The keys for the chains in the folder `audit`. Raises UnfitAuditKey, OSError for the file a reader brought."""
    path = audit / VKEY_NAME
    signs = any(each.exists() for each in (path, audit / DEPLOYMENT_NAME, audit.parent / KEY_NAME))
    roots = tuple(read_vkeys(brought)) if brought is not None else None
    try:
        changes = read_key_changes(audit)
        if roots is not None:
            return TrustedKeys(followed(roots, changes), "", signs=True, changes=changes)
        listed = tuple(read_vkeys(path)) if path.exists() else ()
        return TrustedKeys(followed(listed, changes), _fault(audit, listed, changes), signs, changes)
    except UnfitAuditKey as fault:
        return TrustedKeys(roots or (), str(fault), signs or roots is not None)


def _fault(audit: Path, listed: tuple[Ed25519Verifier, ...], changes: tuple[KeyChange, ...]) -> str:
    """What is wrong with the list itself, beside the deployment's name and the home's own key where they are there."""
    text = "".join(f"{each.vkey}\n" for each in listed)
    if listed and (audit / VKEY_NAME).read_bytes() != text.encode():
        return f"{VKEY_NAME} is not as Corral wrote it"
    if (audit / DEPLOYMENT_NAME).exists():
        deployment = read_deployment(audit)
        strangers = [each.name for each in listed if each.name != origin_of(deployment, instance_of(each.name))]
        if strangers:
            return f"{VKEY_NAME} names a chain of another deployment: {strangers[0]}"
    if stranger := unfounded(listed, changes):
        return f"{VKEY_NAME} names two keys for {stranger}, and no change that both signed leads from one to the other"
    return _differing(audit.parent / KEY_NAME, listed, changes)


def _differing(key: Path, listed: tuple[Ed25519Verifier, ...], changes: tuple[KeyChange, ...]) -> str:
    """Keys that are not the home's own; nothing where that cannot be read, as by an auditor of its log."""
    try:
        own = load_private_key(key).public_key().public_bytes_raw()
    except OSError:
        return ""
    others = [each.name for each in listed if not leads(each.public_key, own, changes)]
    return f"{VKEY_NAME} names a key for {others[0]} that is not this home's" if others else ""
