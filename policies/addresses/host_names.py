"""Which Host may a request hold? A page that rebinds its own name to our address must not be answered.

(DNS rebinding: Ollama CVE-2024-28224.) Decides on the Host header alone, which the strict edge has found to
be one well-formed `host[:port]`. The rules:

 1. Letters' case, one final dot and the port do not matter.
 2. A name is allowed when it is listed, or when `*.parent` is and it has exactly one more label.
 3. An address is allowed when it is listed, or is the one that the connection came in on: no page can
    be served from an address that is ours, so none can rebind to it (health checks ask so).
 4. A request without Host (HTTP/1.0 alone; the edge refuses it in 1.1) passes: browsers always send one, some
    health checkers never do, and nothing here is built from it.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address

from msgspec import Struct

from policies.errors import HostNotAllowed

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?P<wildcard>\*\.)?(?P<name>{_LABEL}(?:\.{_LABEL})*)")


class HostNames(Struct, frozen=True):
    """Names and addresses in one spelling each, and the parents of wildcards."""

    exact: frozenset[str]
    parents: frozenset[str] = frozenset()

    def holds(self, host: str) -> bool:
        """Whether `host`, a name or an address without port, is among them."""
        name = one_spelling(host)
        return name in self.exact or name.partition(".")[2] in self.parents

    def joined(self, other: "HostNames") -> "HostNames":
        """These and those."""
        return HostNames(self.exact | other.exact, self.parents | other.parents)


def read_host_names(texts: Iterable[str]) -> HostNames:
    """Names, addresses (IPv6 with or without brackets) and `*.parent`.

    Raises ValueError with a sentence for an operator.
    """
    exact, parents = set(), set()
    for text in texts:
        spelling = one_spelling(text)
        match = _NAME.fullmatch(spelling)
        if match is not None and match["wildcard"]:
            parents.add(match["name"])
        elif match is not None or _is_address(spelling):
            exact.add(spelling)
        else:
            raise ValueError(f"{text!r} is neither a host name, an address nor '*.' and a name; it takes no port")
    return HostNames(frozenset(exact), frozenset(parents))


def is_host(text: str) -> bool:
    """Whether `text` is one name or one address, without a port."""
    try:
        return bool(read_host_names((text,)).exact)
    except ValueError:
        return False


def require_host(allowed: HostNames, headers: Iterable[tuple[bytes, bytes]], local: str) -> None:
    """Raises HostNotAllowed. `local` is the address at our end of the connection, "" when it has none."""
    for name, value in headers:
        if name.lower() == b"host":
            host = _without_port(value.decode("latin-1"))
            if not (allowed.holds(host) or (local and one_spelling(local) == one_spelling(host))):
                raise HostNotAllowed("host_not_allowed")


def _without_port(host: str) -> str:
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def one_spelling(text: str) -> str:
    """A name or address, in the one way that names are compared: lower case, no final dot, no brackets."""
    name = text.lower().removesuffix(".")
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    return ip_address(bare).compressed if _is_address(bare) else name


def _is_address(text: str) -> bool:
    if "%" in text:  # a zone: nobody else's names for our links
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
