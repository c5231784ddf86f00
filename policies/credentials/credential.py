"""Step 4: which credential does a request present? Parse only; step 5 proves it.

Rules:
- Places: `Authorization: Bearer TEXT` and `x-api-key: TEXT` (names and the scheme in any case);
  `Authorization: BASE64:BASE64`, the signature that an unmodified `ollama` command sends (OLLAMA_AUTH=1);
  and, where none of these is there, the client certificate that the handshake verified.
- A request that a page of the console hands on has the page's session and nothing else.
- A text of three base64url parts with a dot between is a JWT, in either header; anything else an API key.
- None: NotAuthenticated with `presented` False.
- One header twice, or both with different content: ConflictingCredentials, because two readers of the
  same request must never disagree on who is asking (RFC 6750 section 2). Both with the same key is fine.
  A certificate beside a header is no second credential: it is the connection's, and a JWT may be bound to it.
- A credential in the query: CredentialInUrl, whatever else is there (OWASP ASVS 14.2.1).
- Beyond 8 KiB, outside printable ASCII, empty, or another scheme: NotAuthenticated, `presented` True.

Nothing here compares with a secret, so nothing here needs constant time.
"""

import binascii
import re
from dataclasses import dataclass, field

from policies.credentials.client_certificate import ClientCertificate
from policies.errors import ConflictingCredentials, CredentialInUrl, NotAuthenticated

MAX_CREDENTIAL_BYTES = 8 * 1024
"""Far above any key or signed token, far below what is worth hashing for a stranger."""

_BEARER = re.compile(rb"bearer +([\x21-\x7e]+)", re.IGNORECASE)
_BARE = re.compile(rb"([\x21-\x7e]+)")
_PLACES = {b"authorization": _BEARER, b"x-api-key": _BARE}
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SIGNATURE = re.compile(rb"([A-Za-z0-9+/]{1,2048}={0,2}):([A-Za-z0-9+/]{1,2048}={0,2})")
_TIME = re.compile(r"ts=([0-9]{1,12})")

QUERY_NAMES = frozenset(
    {
        "access_token", "api-key", "api_key", "apikey", "auth", "authorization", "bearer", "id_token", "jwt", "key",
        "token", "x-api-key",
    }
)  # fmt: skip
"""What people and programs call a credential that they put into a URL."""


@dataclass(frozen=True, slots=True)
class ApiKeyCredential:
    """What a caller presents as an API key: printable ASCII, unverified, its form not yet looked at."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JwtCredential:
    """What has the shape of a compact JWS: three base64url parts. Unverified."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedCredential:
    """Ollama's client signature: the public key and the signature as bytes, what they claim to sign, and its time.

    `signed` is `METHOD,/path?query` as it stood in the request line; `ts_s` the Unix second in the query.
    """

    public_key: bytes
    signature: bytes = field(repr=False)
    signed: bytes
    ts_s: int


@dataclass(frozen=True, slots=True)
class CertificateCredential:
    """The client certificate of the connection. The handshake proved the key; whom it names is still to be read."""

    certificate: ClientCertificate


@dataclass(frozen=True, slots=True)
class SessionCredential:
    """The cookie of a session of the console, and as which team it asks: handed on by our pages, never read here."""

    cookie: str = field(repr=False)
    team: str


Credential = ApiKeyCredential | JwtCredential | SignedCredential | CertificateCredential | SessionCredential


@dataclass(frozen=True, slots=True)
class Presented:
    """Where a credential can stand: request line, headers (raw pairs), the connection's certificate, the console."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    certificate: ClientCertificate | None = None
    session: SessionCredential | None = None


def read_credential(presented: Presented) -> Credential:
    """The one credential of a request. Raises NotAuthenticated, ConflictingCredentials or CredentialInUrl."""
    _refuse_in_query(presented.query)
    found = _find(presented.headers)
    if presented.session is not None:
        if found:
            raise ConflictingCredentials("two_credentials")
        return presented.session
    if not found:
        if presented.certificate is None:
            raise NotAuthenticated("no_credential", presented=False)
        return CertificateCredential(presented.certificate)
    if set(found) == {b"authorization"} and (match := _SIGNATURE.fullmatch(found[b"authorization"])):
        return _read_signed(presented, *match.groups())
    texts = {_read_text(place, value) for place, value in found.items()}
    if len(texts) > 1:
        raise ConflictingCredentials("two_credentials")
    text = texts.pop()
    if text is None:
        raise NotAuthenticated("malformed", presented=True)
    return JwtCredential(text) if _JWT.fullmatch(text) else ApiKeyCredential(text)


def _refuse_in_query(query: str) -> None:
    for pair in query.split("&"):
        if pair.partition("=")[0].lower() in QUERY_NAMES:
            raise CredentialInUrl("credential_in_query")


def _find(headers: tuple[tuple[bytes, bytes], ...]) -> dict[bytes, bytes]:
    """The credential headers by lower-case name."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        place = name.lower()
        if place not in _PLACES:
            continue
        if place in found:
            raise ConflictingCredentials("credential_header_repeated")
        found[place] = value.strip(b" \t")
    return found


def _read_text(place: bytes, value: bytes) -> str | None:
    """The credential in one header, None when there is none that can be used."""
    if len(value) > MAX_CREDENTIAL_BYTES:
        return None
    match = _PLACES[place].fullmatch(value)
    return match.group(1).decode("ascii") if match else None


def _read_signed(presented: Presented, public_key: bytes, signature: bytes) -> SignedCredential:
    times = [match for pair in presented.query.split("&") if (match := _TIME.fullmatch(pair))]
    try:
        key, proof = (binascii.a2b_base64(part, strict_mode=True) for part in (public_key, signature))
    except binascii.Error:
        raise NotAuthenticated("malformed", presented=True) from None
    if len(times) != 1:
        raise NotAuthenticated("malformed", presented=True)
    signed = f"{presented.method},{presented.path}?{presented.query}"
    return SignedCredential(key, proof, signed.encode("ascii"), int(times[0][1]))
