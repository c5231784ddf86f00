"""Step 0: the strict edge. Is this message one that everybody on the way reads the same?

Decides on the parsed message alone, before anyone is asked who they are; refuses what RFC 9110 and
9112 allow but attacks need. It does not see what the parser has already refused or normalised (CR and
LF in values, spaces in the request line, chunk syntax), nor the body. The checks, in order:

 (a) version        only HTTP/1.0 and 1.1: the parser also passes 0.9 and 2.0
 (b) method         TRACE reflects credentials, CONNECT makes a tunnel
 (c) header names   an underscore is a hyphen to many servers (oauth2-proxy CVE-2025-64484), so
                    X_Forwarded_For or Transfer_Encoding would be two headers in one
 (d) header values  no control characters (log and response injection)
 (e) repetition     a header that says who, where or how long stands once: two readers pick two
 (f) Host           exactly `host[:port]` (Ollama CVE-2024-28224, LiteLLM CVE-2026-49468)
 (g) length         Transfer-Encoding is exactly `chunked`, never in HTTP/1.0, never beside
                    Content-Length, which is canonical decimal (CL.TE, TE.CL, TE.TE, CL.0, 0.CL)
 (h) body           none on GET, HEAD, OPTIONS (CL.0)
 (i) Expect         only `100-continue`, else 417 (Expect desync, 2025); without a body it asks for nothing
 (j) Upgrade        `websocket` is answered 426, anything else ignored; the listener closes the
                    connection after any upgrade request (aiohttp GHSA-mfx4-hv73-q22v)
 (k) target         origin-form, or absolute-form whose authority is the Host to the letter (RFC 9112 section
                    3.2.2 has servers take it); raw path without anything two routers read differently
"""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address

from msgspec import Struct

from gateway.incoming import Header
from policies.errors import EdgeRejected, EncodingNotSupported

# RFC 9110 section 5.6.2, without the underscore of rule (c).
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# Headers that decide something here or behind. X-Forwarded-For may repeat: RFC 9110 5.3 joins its lines.
_SINGLE = frozenset(
    {
        b"authorization", b"content-encoding", b"content-length", b"content-type", b"cookie", b"expect", b"host",
        b"origin", b"proxy-authorization", b"transfer-encoding", b"x-api-key",
    }
)  # fmt: skip
_REG_NAME = re.compile(rb"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,253}[0-9A-Za-z.])?")
_HOST = re.compile(rb"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")
# 19 digits stay below 2**63 - 1 in every language on the way.
_CONTENT_LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS"})

# RFC 3986 pchar and "/", without ";" (path parameters: /admin;x is /admin to Java).
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
# Visible ASCII without "#": a fragment never belongs on the wire (oauth2-proxy CVE-2026-41059).
_QUERY = re.compile(r'[!"$-~]*')
# Control characters, "." "/" "\" "%" and everything beyond ASCII, percent-encoded.
_ENCODED_TRICK = re.compile(r"%(?:[01][0-9a-f]|2[5ef]|5c|7f|[89a-f][0-9a-f])", re.IGNORECASE)
_ABSOLUTE = re.compile(r"https?://([^/?#]+)((?:[/?].*)?)", re.IGNORECASE)
_ENCODED_SLASH = re.compile(r"%2f", re.IGNORECASE)
_TRICK_SEGMENT = re.compile(r"//|/\.{1,2}(?:/|\Z)")
# The one route whose last part may hold a model name such as `ns/model`, slash encoded.
_MODEL_PATH = "/v1/models/"


class CleanTarget(Struct, frozen=True):
    """A request target that passed: `path` raw (never decoded), `query` raw without its `?`."""

    path: str
    query: str


def check_edge(method: str, target: str, headers: Sequence[Header], http_version: tuple[int, int]) -> CleanTarget:
    """The target, when the message is fit. Raises EdgeRejected: close the connection."""
    if http_version not in {(1, 0), (1, 1)}:
        raise EdgeRejected("http_version")
    if method in {"TRACE", "CONNECT"}:
        raise EdgeRejected("method_forbidden")
    fields = _read_fields(headers)
    _check_host(fields.get(b"host"), http_version)
    if _check_length(fields, http_version) and method in _BODYLESS:
        raise EdgeRejected("body_unexpected")
    _check_expect(fields.get(b"expect"))
    _check_upgrade(headers)
    return _read_target(_origin_form(target, fields.get(b"host")))


def demand_identity(headers: Sequence[Header]) -> None:
    """Step 7, before a body is read: raises EncodingNotSupported for one that is encoded (decompression bombs).

    Asked only of known callers, so that it tells a stranger nothing about the route.
    """
    for name, value in headers:
        if name.lower() == b"content-encoding" and value.lower() != b"identity":
            raise EncodingNotSupported("content_encoding")


def _read_fields(headers: Sequence[Header]) -> dict[bytes, bytes]:
    """The headers by lower-case name; of those that may repeat, the last."""
    fields: dict[bytes, bytes] = {}
    for raw_name, value in headers:
        if not _HEADER_NAME.fullmatch(raw_name):
            raise EdgeRejected("header_name")
        if _CONTROL.search(value):
            raise EdgeRejected("header_control_character")
        name = raw_name.lower()
        if name in fields and name in _SINGLE:
            raise EdgeRejected("header_repeated")
        fields[name] = value
    return fields


def _check_host(host: bytes | None, http_version: tuple[int, int]) -> None:
    if host is None:
        if http_version == (1, 0):
            return
        raise EdgeRejected("host_missing")
    match = _HOST.fullmatch(host)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise EdgeRejected("host_malformed")
    if not (_REG_NAME.fullmatch(match["name"]) if match["name"] else _is_v6(match["v6"])):
        raise EdgeRejected("host_malformed")


def _is_v6(literal: bytes) -> bool:
    try:
        IPv6Address(literal.decode("ascii"))
    except ValueError:
        return False
    return True


def _check_length(fields: dict[bytes, bytes], http_version: tuple[int, int]) -> bool:
    """Whether a body follows, when its length can be read in one way only."""
    length = fields.get(b"content-length")
    if length is not None and not _CONTENT_LENGTH.fullmatch(length):
        raise EdgeRejected("content_length_malformed")
    coding = fields.get(b"transfer-encoding")
    if coding is None:
        return length not in {None, b"0"}
    if length is not None:
        raise EdgeRejected("transfer_encoding_with_content_length")
    if http_version == (1, 0):
        raise EdgeRejected("transfer_encoding_in_http10")
    if coding.lower() != b"chunked":
        raise EdgeRejected("transfer_encoding_malformed")
    return True


def _check_expect(expect: bytes | None) -> None:
    if expect is not None and expect.lower() != b"100-continue":
        raise EdgeRejected("expectation", status=417)


def _check_upgrade(headers: Sequence[Header]) -> None:
    for name, value in headers:
        if name.lower() == b"upgrade" and b"websocket" in value.lower():
            raise EdgeRejected("upgrade_websocket", status=426)


def _origin_form(target: str, host: bytes | None) -> str:
    """The target without scheme and authority; the scheme says nothing, the connection has its own."""
    if target.startswith("/"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or host is None or absolute[1].lower().encode("latin-1", "replace") != host.lower():
        raise EdgeRejected("target_form")
    return absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"


def _read_target(target: str) -> CleanTarget:
    path, _, query = target.partition("?")
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise EdgeRejected("target_characters")
    decoded = _ENCODED_SLASH.sub("/", path) if path.startswith(_MODEL_PATH) else path
    if _ENCODED_TRICK.search(decoded):
        raise EdgeRejected("path_encoding")
    if _TRICK_SEGMENT.search(decoded):
        raise EdgeRejected("path_segment")
    return CleanTarget(path, query)
