"""A client certificate as far as identity goes: what the handshake verified, and the names in it."""

from msgspec import Struct


class ClientCertificate(Struct, frozen=True):
    """A verified client certificate.

    `sha256` is the hex digest of its DER, `x5t_s256` the same in base64url (RFC 8705), `names` its subject
    alternative names as `dns:`, `uri:` and `email:` texts, `not_after_s` its end in Unix seconds.
    """

    sha256: str
    x5t_s256: str
    names: tuple[str, ...]
    not_after_s: float
