"""Invariant: never more than the limit for one address, and what was given back is free again, once."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.address_counts import AddressCounts

ONE, OTHER = ip_address("192.0.2.1"), ip_address("192.0.2.2")


def test_an_address_holds_up_to_its_limit() -> None:
    counts = AddressCounts(2)
    leave = counts.enter(ONE)
    assert leave is not None
    assert counts.enter(ONE) is not None
    assert counts.enter(ONE) is None
    assert counts.enter(OTHER) is not None
    leave()
    leave()
    assert counts.enter(ONE) is not None
    assert counts.enter(ONE) is None


def test_a_v6_network_counts_as_one_address() -> None:
    counts = AddressCounts(1)
    assert counts.enter(ip_address("2001:db8::1")) is not None
    assert counts.enter(ip_address("2001:db8::ffff:0:0:1")) is None
    assert counts.enter(ip_address("2001:db8:0:1::1")) is not None


def test_versions_do_not_mix() -> None:
    counts = AddressCounts(1)
    assert counts.enter(ip_address("0.0.0.1")) is not None
    assert counts.enter(ip_address("0:0:0:1::")) is not None


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60))
def test_any_coming_and_going_is_counted_right(steps: list[tuple[int, bool]]) -> None:
    counts = AddressCounts(3)
    inside: dict[int, list] = {each: [] for each in range(4)}
    for number, comes in steps:
        held = inside[number]
        if comes:
            leave = counts.enter(ip_address(number))
            assert (leave is None) == (len(held) == 3)
            held += [leave] if leave else []
        elif held:
            held.pop()()
    assert counts.addresses() == sum(bool(held) for held in inside.values())
