"""Step 4: which credential does a request present? Parse only; step 5 (`principal`) proves it.

Rules:
- `Authorization: Bearer KEY` and `x-api-key: KEY` are the two places; names and the scheme in any case.
- Neither: NotAuthenticated with `presented` False.
- One of them twice, or both with different content: ConflictingCredentials, because two readers of the
  same request must never disagree on who is asking (RFC 6750 section 2). Both with the same key is fine.
- Beyond 8 KiB, outside printable ASCII, empty, or another scheme: NotAuthenticated, `presented` True.

Nothing here compares with a secret, so nothing here needs constant time.
"""

import re
from dataclasses import dataclass, field

from policies.errors import ConflictingCredentials, NotAuthenticated

MAX_CREDENTIAL_BYTES = 8 * 1024
"""Far above any key or signed token, far below what is worth hashing for a stranger."""

_BEARER = re.compile(rb"bearer +([\x21-\x7e]+)", re.IGNORECASE)
_BARE = re.compile(rb"([\x21-\x7e]+)")
_PLACES = {b"authorization": _BEARER, b"x-api-key": _BARE}


@dataclass(frozen=True, slots=True)
class ApiKeyCredential:
    """What a caller presents as an API key: printable ASCII, unverified, its form not yet looked at."""

    text: str = field(repr=False)


Credential = ApiKeyCredential


def read_credential(headers: tuple[tuple[bytes, bytes], ...]) -> Credential:
    """The one credential in `headers` (raw pairs). Raises NotAuthenticated or ConflictingCredentials."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        place = name.lower()
        if place not in _PLACES:
            continue
        if place in found:
            raise ConflictingCredentials("credential_header_repeated")
        found[place] = value.strip(b" \t")
    if not found:
        raise NotAuthenticated("no_credential", presented=False)
    texts = {_read_text(place, value) for place, value in found.items()}
    if len(texts) > 1:
        raise ConflictingCredentials("two_credentials")
    text = texts.pop()
    if text is None:
        raise NotAuthenticated("malformed", presented=True)
    return ApiKeyCredential(text)


def _read_text(place: bytes, value: bytes) -> str | None:
    """The credential in one header, None when there is none that can be used."""
    if len(value) > MAX_CREDENTIAL_BYTES:
        return None
    match = _PLACES[place].fullmatch(value)
    return match.group(1).decode("ascii") if match else None
