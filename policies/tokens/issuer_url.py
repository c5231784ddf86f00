"""The addresses that keys come from: https, or http on this machine itself.

A URL is taken apart here by one strict pattern, not by a general parser: what an identity provider's
document names is where Corral will connect to, and two readers of one URL must not see two hosts
(CVE-2023-24329 class). No user, password, query, fragment, backslash, dot segment or control character, and no
label of a name that is empty or beyond 63 characters, which no resolver can be asked for (RFC 1035, 2.3.4).
"""

import re

from msgspec import Struct

from policies.addresses.networks import is_loopback_host

MAX_URL_CHARS = 1024

_URL = re.compile(
    r"(https?)://([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._~%:@!$&+,=-]*)*)"
)
_DOTS = re.compile(r"/\.{1,2}(?=/|\Z)")
_PORTS = {"https": 443, "http": 80}


class IssuerUrl(Struct, frozen=True):
    """A URL taken apart: `host` in lower case, brackets of a v6 address included; `path` as written."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, without the path."""
        return f"{self.scheme}://{self.host}:{self.port}"


def read_issuer_url(text: str) -> IssuerUrl:
    """The URL in `text`. Raises ValueError with a sentence for an operator."""
    match = _URL.fullmatch(text) if len(text) <= MAX_URL_CHARS else None
    if match is None or _DOTS.search(text):
        raise ValueError("must be an https address without user, query or fragment, such as https://id.example/keys")
    scheme, host, port_text, path = match.groups()
    port = int(port_text) if port_text else _PORTS[scheme]
    if not 0 < port < 65536:
        raise ValueError("names a port that does not exist")
    if scheme == "http" and not is_loopback_host(host.strip("[]")):
        raise ValueError("would fetch signing keys in clear, where anyone on the way can put in their own: use https")
    return IssuerUrl(scheme=scheme, host=host.lower(), port=port, path=path)
