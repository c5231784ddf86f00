"""Reads the `Forwarded` header of RFC 7239, strictly: who each proxy says it was asked by.

Decides what the text says; whom to believe is `policies.addresses.client_address`. Rules:

 1. The grammar is that of RFC 7239 section 4: elements joined by ",", blanks around it allowed; an element is
    pairs `token=value` joined by ";", without blanks; a value is a token or a quoted string. An empty element
    is refused, though lists may have them (RFC 9110 section 5.6.1): no proxy writes one.
 2. A parameter twice in one element, or an element without `for`, is refused: it would hide a hop.
 3. A `for` that is asked about is an IPv4 address, or an IPv6 address in brackets, with a port or none.
    `unknown` and obfuscated names (`_proxy`) are no address that a list could be asked about: refused.
 4. The other parameters (by, host, proto, unknown ones) are read past, and never used.
 5. One fault anywhere refuses the whole: an open quote on the left would swallow what a proxy appended. For the same
    reason each line of the header is read by itself: no quoted string goes on in the next.
"""

import re

from policies.addresses.networks import Address, read_address

_PAIR = re.compile(
    r"(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)="
    r"(?:(?P<token>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    r'|"(?P<quoted>(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*)")'
)
_ESCAPED = re.compile(r"\\(.)")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_NODE = re.compile(r"([0-9.]{7,15}|\[[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,44}\])(?::([0-9]{1,5}))?")


def read_forwarded(text: str) -> list[str]:
    """The `for` node of each element of `text`, in order, unquoted and not judged. Raises ValueError."""
    text = text.strip(" \t")
    nodes: list[str] = []
    place = 0
    while True:
        pairs, place = _read_element(text, place)
        if "for" not in pairs:
            raise ValueError("an element names no client")
        nodes.append(pairs["for"])
        if place == len(text):
            return nodes
        comma = _COMMA.match(text, place)
        if comma is None:
            raise ValueError("an element goes on after its end")
        place = comma.end()


def read_node(node: str) -> Address:
    """The address in a `for` node; a port is checked and dropped. Raises ValueError."""
    match = _NODE.fullmatch(node)
    if match is None or (match[2] is not None and not 0 < int(match[2]) < 65536):
        raise ValueError("a node is not an address")
    return read_address(match[1].strip("[]"))


def _read_element(text: str, place: int) -> tuple[dict[str, str], int]:
    """The pairs of the element at `place`, names in lower case, and where it ends."""
    pairs: dict[str, str] = {}
    while True:
        pair = _PAIR.match(text, place)
        if pair is None or pair["name"].lower() in pairs:
            raise ValueError("a parameter is not name=value, or stands twice")
        quoted = pair["quoted"]
        pairs[pair["name"].lower()] = pair["token"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        place = pair.end()
        if not text.startswith(";", place):
            return pairs, place
        place += 1
