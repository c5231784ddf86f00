"""The verifier keys a log is judged by: those a reader brought along, else those listed beside the chains.

What is listed is only as good as the disk it lies on: where the home's own key can be read, it must be the one that
is listed; an auditor brings his own copy (`--vkey`).
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
    read_vkeys,
)
from policies.auditing.checkpoint import instance_of, origin_of
from policies.auditing.signed_note import Ed25519Verifier


class TrustedKeys(Struct, frozen=True):
    """`fault` says what is wrong with the listed keys; then none of them proves anything.

    `signs`: there are signs of a home that signs its chains, so that one without a checkpoint was robbed of them.
    """

    verifiers: tuple[Ed25519Verifier, ...] = ()
    fault: str = ""
    signs: bool = False

    @property
    def origins(self) -> frozenset[str]:
        """The chains that have a key."""
        return frozenset(each.name for each in self.verifiers)

    def of(self, instance: str) -> list[Ed25519Verifier]:
        """The keys of the chain in a folder of this name."""
        return [each for each in self.verifiers if instance_of(each.name) == instance]


def read_trusted_keys(audit: Path, brought: Path | None = None) -> TrustedKeys:
    """The keys for the chains in the folder `audit`. Raises UnfitAuditKey, OSError for the file a reader brought."""
    if brought is not None:
        return TrustedKeys(tuple(read_vkeys(brought)), signs=True)
    path = audit / VKEY_NAME
    signs = any(each.exists() for each in (path, audit / DEPLOYMENT_NAME, audit.parent / KEY_NAME))
    try:
        listed = tuple(read_vkeys(path)) if path.exists() else ()
        return TrustedKeys(listed, _fault(audit, listed), signs)
    except UnfitAuditKey as fault:
        return TrustedKeys((), str(fault), signs)


def _fault(audit: Path, listed: tuple[Ed25519Verifier, ...]) -> str:
    """What is wrong with the list itself, beside the deployment's name and the home's own key where they are there."""
    text = "".join(f"{each.vkey}\n" for each in listed)
    if listed and (audit / VKEY_NAME).read_bytes() != text.encode():
        return f"{VKEY_NAME} is not as Corral wrote it"
    if (audit / DEPLOYMENT_NAME).exists():
        deployment = read_deployment(audit)
        strangers = [each.name for each in listed if each.name != origin_of(deployment, instance_of(each.name))]
        if strangers:
            return f"{VKEY_NAME} names a chain of another deployment: {strangers[0]}"
    return _differing(audit.parent / KEY_NAME, listed)


def _differing(key: Path, listed: tuple[Ed25519Verifier, ...]) -> str:
    """Keys that are not the home's own; nothing where that cannot be read, as by an auditor of its log."""
    try:
        own = load_private_key(key).public_key().public_bytes_raw()
    except OSError:
        return ""
    others = [each.name for each in listed if each.public_key != own]
    return f"{VKEY_NAME} names a key for {others[0]} that is not this home's" if others else ""
