"""Network lists: 10,000 prefixes, a million random look-ups that agree with `ipaddress`, about 2 us each.

The reference is independent of the table: a dict of the networks themselves, asked for every prefix length
from the longest, each candidate made by `ipaddress` from the address.
"""

import random
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice

from policies.addresses.network_table import Address, Network, NetworkTable

PREFIXES = 10_000
LOOK_UPS = 1_000_000
MOST_US = 2.0


def random_networks(count: int, randomness: random.Random) -> list[Network]:
    """`count` different networks of all lengths, half of each version."""
    found: set[Network] = set()
    while len(found) < count:
        bits = 32 if len(found) < count // 2 else 128
        prefix = randomness.randint(bits // 8, bits)
        start = randomness.getrandbits(prefix) << (bits - prefix)
        found.add(IPv4Network((start, prefix)) if bits == 32 else IPv6Network((start, prefix)))
    return sorted(found, key=str)


def random_addresses(networks: list[Network], randomness: random.Random) -> Iterator[Address]:
    """Addresses without end: half anywhere, half in or one beside a network."""
    while True:
        network = randomness.choice(networks)
        bits = network.max_prefixlen
        inside = int(network.network_address) + randomness.getrandbits(bits - network.prefixlen)
        near = (inside + randomness.choice((0, 0, 1, -1))) % (1 << bits)
        value = near if randomness.random() < 0.5 else randomness.getrandbits(bits)
        yield IPv4Address(value) if bits == 32 else IPv6Address(value)


def agree(networks: list[Network], look_ups: int, randomness: random.Random) -> int:
    """How many look-ups were compared. Raises AssertionError at the first that differs."""
    table = NetworkTable(networks)
    known = set(networks)
    compared = 0
    for address in islice(random_addresses(networks, randomness), look_ups):
        kind = IPv4Network if address.version == 4 else IPv6Network
        around = (kind((int(address), length), strict=False) for length in range(address.max_prefixlen, -1, -1))
        expected = next((each for each in around if each in known), None)
        assert table.find(address) == expected, f"{address}: {table.find(address)} instead of {expected}"
        compared += 1
    return compared


def microseconds(networks: list[Network], look_ups: int, randomness: random.Random) -> float:
    """Of one look-up, the mean."""
    table = NetworkTable(networks)
    addresses = list(islice(random_addresses(networks, randomness), look_ups))
    started = time.perf_counter()
    for address in addresses:
        table.find(address)
    return (time.perf_counter() - started) / look_ups * 1e6


def prove() -> dict[str, object]:
    """The figures. Raises AssertionError when one is out of bounds."""
    randomness = random.Random(5)
    networks = random_networks(PREFIXES, randomness)
    each_us = microseconds(networks, 100_000, randomness)
    print(f"{each_us:.2f} us a look-up in {PREFIXES} prefixes", flush=True)
    assert each_us <= MOST_US, f"{each_us:.2f} us a look-up, at most {MOST_US} us"
    compared = agree(networks, LOOK_UPS, randomness)
    print(f"{compared} look-ups agree with ipaddress", flush=True)
    return {"prefixes": PREFIXES, "look_ups": compared, "microseconds_per_look_up": round(each_us, 3)}
