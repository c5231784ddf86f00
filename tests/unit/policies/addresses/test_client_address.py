"""Invariant: an untrusted peer changes nothing by what it says; a trusted one is believed one hop at a time."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses.client_address import MAX_HOPS, client_address
from policies.addresses.trusted_proxies import NOBODY, TrustedProxies
from policies.errors import AddressNotAllowed

NETWORKS = ("10.0.0.0/8", "fd00::/8")
PROXIES = TrustedProxies(NETWORKS)


def forwarded(*lines: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"X-Forwarded-For", line) for line in lines]


def client(*lines: bytes, peer: str = "10.0.0.1") -> str:
    return str(client_address(peer, forwarded(*lines), PROXIES))


def reason(*lines: bytes, peer: str = "10.0.0.1") -> str:
    with pytest.raises(AddressNotAllowed) as refused:
        client(*lines, peer=peer)
    return refused.value.reason


@given(st.lists(st.tuples(st.sampled_from([b"X-Forwarded-For", b"Forwarded", b"X-Real-IP"]), st.binary()), max_size=5))
def test_an_untrusted_peer_is_the_client_whatever_it_says(headers):
    assert client_address("192.0.2.9", headers, PROXIES) == ip_address("192.0.2.9")
    assert client_address("10.0.0.1", headers, NOBODY) == ip_address("10.0.0.1")


def test_a_mapped_address_is_its_v4_address():
    assert client(peer="::ffff:192.0.2.9") == "192.0.2.9"
    assert client(b"::ffff:192.0.2.9", peer="::ffff:10.0.0.1") == "192.0.2.9"


@pytest.mark.parametrize("peer", ["", "fe80::1%eth0", "localhost", "010.0.0.1", "1.2.3"])
def test_a_peer_that_cannot_be_read_is_refused(peer):
    assert reason(peer=peer) == "peer_unreadable"


def test_a_trusted_peer_without_the_header_is_the_client():
    assert client() == "10.0.0.1"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"192.0.2.1"], "192.0.2.1"),
        ([b"192.0.2.1:443"], "192.0.2.1"),
        ([b"2001:db8::1"], "2001:db8::1"),
        ([b"[2001:db8::1]:443"], "2001:db8::1"),
        ([b"6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        ([b"6.6.6.6, 192.0.2.1 ,\t10.9.9.9"], "192.0.2.1"),
        ([b"192.0.2.1", b"10.9.9.9", b"fd00::1"], "192.0.2.1"),
        ([b"garbage <script>, 192.0.2.1"], "192.0.2.1"),
        ([b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ],
)
def test_the_walk_from_right_to_left(lines, expected):
    assert client(*lines) == expected


@pytest.mark.parametrize(
    "hop",
    [
        b"", b" ", b"unknown", b"_hidden", b"192.0.2.1:", b"192.0.2.1:0", b"192.0.2.1:65536", b"192.0.2.1:a", b"[::1]",
        b"[::1]:", b"::1%eth0", b"[::1%1]:80", b"192.0.2.01", b"3221225985", b"192.0.2.1/32", b"\xff", b"for=192.0.2.1",
        b"192.0.2.1, ", b"[192.0.2.1:80", b"127.1", b'"192.0.2.1"', b"999.1.1.1:80",
        b"[192.0.2.1]:80",
    ],
)  # fmt: skip
def test_a_hop_that_is_not_strictly_an_address_is_refused(hop):
    assert reason(hop) == "forwarded_unreadable"


def test_other_headers_of_a_trusted_peer_are_not_read():
    headers = [(b"Forwarded", b"for=192.0.2.1"), (b"X-Real-IP", b"192.0.2.1"), (b"X_Forwarded_For", b"192.0.2.1")]
    assert client_address("10.0.0.1", headers, PROXIES) == ip_address("10.0.0.1")


def test_the_list_is_bounded():
    assert client(b",".join([b"192.0.2.1"] * MAX_HOPS)) == "192.0.2.1"
    assert reason(b",".join([b"192.0.2.1"] * (MAX_HOPS + 1))) == "forwarded_too_long"


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_any_list_gives_an_address_or_a_refusal(lines):
    try:
        address = client_address("10.0.0.1", forwarded(*lines), PROXIES)
    except AddressNotAllowed:
        return
    assert address.version in {4, 6}


def standard(*lines: bytes) -> str:
    """The client by RFC 7239, with X-Forwarded-For beside it, which then says nothing."""
    headers = [(b"x-forwarded-for", b"6.6.6.6"), *((b"forwarded", line) for line in lines)]
    return str(client_address("10.0.0.1", headers, TrustedProxies(NETWORKS, "forwarded")))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "10.0.0.1"),
        ([b"for=192.0.2.1"], "192.0.2.1"),
        ([b'For="192.0.2.1:4711";proto=https;by=10.0.0.1'], "192.0.2.1"),
        ([b'for="[2001:db8::1]:443"'], "2001:db8::1"),
        ([b'for=6.6.6.6, for=192.0.2.1 , for="[fd00::1]"'], "192.0.2.1"),
        ([b"for=unknown, for=_gone", b"for=192.0.2.1", b"for=10.9.9.9"], "192.0.2.1"),
        ([b"for=10.0.0.3, for=10.0.0.2"], "10.0.0.3"),
    ],
)
def test_the_forwarded_header_when_the_policy_names_it(lines: list[bytes], expected: str) -> None:
    assert standard(*lines) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"for=unknown",
        b"for=_proxy",
        b"",
        b"for=192.0.2.1,",
        b'for="',
        b"for=192.0.2.1, for=_hidden, for=10.0.0.2",
        b"\xff",
    ],
)
def test_a_forwarded_header_without_an_address_is_refused(line: bytes) -> None:
    with pytest.raises(AddressNotAllowed, match="forwarded_unreadable"):
        standard(line)


def test_a_quote_does_not_swallow_the_line_a_proxy_added() -> None:
    with pytest.raises(AddressNotAllowed, match="forwarded_unreadable"):
        standard(b'for=6.6.6.6;x="', b'for=192.0.2.1"')


def test_the_forwarded_list_is_bounded() -> None:
    with pytest.raises(AddressNotAllowed, match="forwarded_too_long"):
        standard(b",".join([b"for=192.0.2.1"] * (MAX_HOPS + 1)))


def test_with_the_proxy_protocol_no_header_is_read() -> None:
    headers = [(b"X-Forwarded-For", b"6.6.6.6"), (b"Forwarded", b"for=6.6.6.6")]
    assert str(client_address("10.0.0.1", headers, TrustedProxies(NETWORKS, "proxy-v2"))) == "10.0.0.1"
