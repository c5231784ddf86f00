"""Invariant: what this reader takes is RFC 7239 to the letter, and any other text is a ValueError, never a guess."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses.forwarded_header import read_forwarded, read_node


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        # The examples of RFC 7239 section 4 and 7.
        ('for="_gazonk"', ["_gazonk"]),
        ('For="[2001:db8:cafe::17]:4711"', ["[2001:db8:cafe::17]:4711"]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", ["192.0.2.60"]),
        ("for=192.0.2.43, for=198.51.100.17", ["192.0.2.43", "198.51.100.17"]),
        ('for=192.0.2.43, for="[2001:db8:cafe::17]"', ["192.0.2.43", "[2001:db8:cafe::17]"]),
        ("for=192.0.2.43,for=_hidden", ["192.0.2.43", "_hidden"]),
        (" \tfor=a\t ,\t for=b ", ["a", "b"]),
        ("proto=http;FOR=a", ["a"]),
        (r'for="a\"b,c;d\\"', ['a"b,c;d\\']),
        ('for=""', [""]),
    ],
)
def test_what_the_grammar_has_is_read(text: str, nodes: list[str]) -> None:
    assert read_forwarded(text) == nodes


@pytest.mark.parametrize(
    "text",
    [
        "", ",", "for=a,", ",for=a", "for=a,,for=b", "for", "for=", "=a", "for =a", "for= a", "for=a;",
        "for=a; proto=http", "for=a;for=b", "for=a;FOR=b", "proto=http", "for=a, proto=http", "for=a b",
        'for="a', 'for="a"b', 'for="a" for=b',
        'for="a\\', "for=2001:db8::1", "for=[::1]", "for=a/b", 'for="\x00"', 'for="\x7f"', 'for="\xe9"', "for=\xe9",
        'for="a"", for="b"', "192.0.2.1",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"element|parameter"):
        read_forwarded(text)


@pytest.mark.parametrize(
    ("node", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:1", "192.0.2.1"),
        ("192.0.2.1:65535", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[::ffff:192.0.2.1]", "192.0.2.1"),
    ],
)
def test_a_node_is_an_address(node: str, address: str) -> None:
    assert str(read_node(node)) == address


@pytest.mark.parametrize(
    "node",
    ["", "unknown", "_hidden", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:_port", "2001:db8::1", "[::1",
     "[::1%1]", "[192.0.2.1]x", "[192.0.2.1]", "192.0.2.01", "1.2.3", "localhost", "192.0.2.1 "],
)  # fmt: skip
def test_a_node_that_is_no_address_is_refused(node: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_node(node)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@given(st.lists(VISIBLE, min_size=1, max_size=5), st.sampled_from([",", ", ", " ,\t"]))
def test_what_is_written_by_the_grammar_is_read_back(nodes: list[str], comma: str) -> None:
    text = comma.join(f"by=x;for={quoted(node)};host={quoted(node)}" for node in nodes)
    assert read_forwarded(text) == nodes


@given(st.ip_addresses(), st.integers(1, 65535))
def test_any_address_is_read_back(address: IPv4Address | IPv6Address, port: int) -> None:
    node = f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert read_node(node) == (mapped or address)


@given(st.text(st.sampled_from('for=by"\\,; \t[]:_.1aZ\x00\xff'), max_size=60))
def test_any_text_is_nodes_or_a_value_error(text: str) -> None:
    try:
        nodes = read_forwarded(text)
    except ValueError:
        return
    assert len(nodes) == 1 + text.count(",") or '"' in text
