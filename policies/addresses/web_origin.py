"""Which web pages may call? Those of the origins that are listed, spelt exactly as browsers send them; by default none.

A browser names the page's origin with every request that is not a plain read of its own site. One that is
not listed is refused, on open routes as well: this keeps pages out that a rebound name lets reach us, and pages
that send what needs no preflight. There is no exception for an origin that equals Host (here no pages are served), none
for `null` (any sandboxed frame can have it), and no wildcard.
"""

import re
from collections.abc import Iterable

from policies.errors import OriginNotAllowed

# RFC 6454 section 7.1, one origin; any scheme, for desktop clients (app://, vscode-webview://).
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")


def read_origins(texts: Iterable[str]) -> frozenset[str]:
    """The origins. Raises ValueError with a sentence for an operator."""
    origins = frozenset(texts)
    for text in sorted(origins):
        if not _ORIGIN.fullmatch(text) or _DEFAULT_PORT.fullmatch(text):
            raise ValueError(
                f"{text!r} is no origin as a browser sends it: scheme://host[:port] in lower case, without a default "
                "port or a path; '*' and 'null' are not taken"
            )
    return origins


def require_origin(allowed: frozenset[str], headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The request's origin, "" without one. Raises OriginNotAllowed."""
    found = [value.decode("latin-1") for name, value in headers if name.lower() == b"origin"]
    if any(origin not in allowed for origin in found):
        raise OriginNotAllowed("origin_not_allowed")
    return found[0] if found else ""
