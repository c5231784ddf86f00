"""A record of keys.db on its way through Redis: JSON, with a seal that only gateways which hold the pepper can make.

Redis is reached over TLS with a password, and still whoever can write there must not be able to register a key of
their own or to call a lockdown off: `VERSION:HMAC-SHA-256:JSON`, the seal over the field's name and the JSON.
An old record that somebody puts back changes nothing, by the rules of `policies.copy_merge`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

Row = dict[str, Any]
PURPOSE = b"corral key mirror 1\0"
"""The pepper is the key of other hashes too; no text of those begins so."""


class BrokenSeal(Exception):
    """A record that none of our gateways wrote, or one with another pepper."""


def plain_text(row: Row) -> bytes:
    """The row as JSON that is the same for the same content: names sorted, times as floats, bytes in base64."""
    times = {name: float(value) for name, value in row.items() if name.endswith("_s") and value is not None}
    return msgspec.json.encode(row | times, order="deterministic")


def seal(peppers: Mapping[int, bytes], field: str, text: bytes) -> bytes:
    """`text` with its seal under the newest pepper."""
    newest = max(peppers)
    return b"%d:%s:%s" % (newest, _mac(peppers[newest], field, text), text)


def unseal(peppers: Mapping[int, bytes], field: str, sealed: bytes) -> bytes:
    """The text in `sealed`. Raises BrokenSeal."""
    version, _, rest = sealed.partition(b":")
    mac, _, text = rest.partition(b":")
    pepper = peppers.get(int(version)) if version.isdigit() and len(version) < 10 else None
    if pepper is None or not hmac.compare_digest(_mac(pepper, field, text), mac):
        raise BrokenSeal(field)
    return text


def sealed_version(sealed: bytes) -> int:
    """The version of the pepper that `sealed`, which was unsealed before, is sealed with."""
    return int(sealed.partition(b":")[0])


def _mac(pepper: bytes, field: str, text: bytes) -> bytes:
    message = PURPOSE + len(field.encode()).to_bytes(4, "big") + field.encode() + text
    return hmac.new(pepper, message, hashlib.sha256).hexdigest().encode()
