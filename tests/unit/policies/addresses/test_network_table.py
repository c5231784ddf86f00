"""Invariant: the table names the network that `ipaddress` says is the longest prefix around an address."""

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.proofs.networks import agree, random_networks
from policies.addresses.network_table import Address, Network, NetworkTable


def table(*texts: str) -> NetworkTable:
    return NetworkTable(map(ip_network, texts))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("9.255.255.255", None),
        ("10.0.0.0", "10.0.0.0/8"),
        ("10.1.0.0", "10.1.0.0/16"),
        ("10.1.1.1", "10.1.1.1/32"),
        ("10.1.1.2", "10.1.0.0/16"),
        ("10.1.255.255", "10.1.0.0/16"),
        ("10.2.0.0", "10.0.0.0/8"),
        ("10.255.255.255", "10.255.255.255/32"),
        ("11.0.0.0", None),
        ("255.255.255.255", "255.255.255.255/32"),
        ("::", "::/128"),
        ("::1", None),
        ("2001:db8::1", "2001:db8::/32"),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8:8000::/33"),
        ("2001:db9::", None),
    ],
)
def test_the_longest_prefix_is_found(address: str, found: str | None) -> None:
    networks = table(
        "10.0.0.0/8", "10.1.0.0/16", "10.1.1.1/32", "10.255.255.255/32", "255.255.255.255/32", "10.0.0.0/8",
        "2001:db8::/32", "2001:db8:8000::/33", "::/128",
    )  # fmt: skip
    assert networks.find(ip_address(address)) == (ip_network(found) if found else None)
    assert (ip_address(address) in networks) is (found is not None)


def test_everything_and_nothing() -> None:
    assert ip_address("192.0.2.1") not in NetworkTable()
    everything = table("0.0.0.0/0", "::/0", "0.0.0.0/1")
    assert str(everything.find(ip_address("127.0.0.1"))) == "0.0.0.0/1"
    assert str(everything.find(ip_address("128.0.0.1"))) == "0.0.0.0/0"
    assert str(everything.find(ip_address("255.255.255.255"))) == "0.0.0.0/0"
    assert str(everything.find(ip_address("ff::"))) == "::/0"


def narrow(start: int, prefix: int, bits: int) -> Network:
    """One of few networks, so that they nest, touch and repeat."""
    masked = (start << (bits - 4)) >> (bits - prefix) << (bits - prefix)
    return IPv4Network((masked, prefix)) if bits == 32 else IPv6Network((masked, prefix))


NETWORKS = st.builds(narrow, st.integers(0, 15), st.integers(0, 6), st.sampled_from([32, 128]))
EDGES = st.builds(
    lambda start, off, bits: (IPv4Address if bits == 32 else IPv6Address)(((start << (bits - 6)) + off) % (1 << bits)),
    st.integers(0, 63),
    st.integers(-1, 1),
    st.sampled_from([32, 128]),
)


@given(st.lists(NETWORKS, max_size=20), st.lists(EDGES, min_size=1, max_size=20))
def test_any_nest_of_networks_agrees_with_ipaddress(networks: list[Network], addresses: list[Address]) -> None:
    built = NetworkTable(networks)
    for address in addresses:
        holding = [each for each in networks if each.version == address.version and address in each]
        assert built.find(address) == max(holding, key=lambda each: each.prefixlen, default=None)


@pytest.mark.slow
def test_ten_thousand_prefixes_agree_with_ipaddress() -> None:
    randomness = random.Random(3)
    assert agree(random_networks(10_000, randomness), 20_000, randomness) == 20_000
