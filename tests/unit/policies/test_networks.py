"""Network lists: deny wins, empty allows nobody, None does not ask, spelling does not matter."""

import pytest

from policies.errors import AddressNotAllowed
from policies.networks import Networks, read_address, read_network


@pytest.mark.parametrize(
    ("allow", "deny", "address", "expected"),
    [
        (None, (), "192.0.2.1", True),
        ((), (), "192.0.2.1", False),
        (("192.0.2.0/24",), (), "192.0.2.1", True),
        (("192.0.2.0/24",), (), "198.51.100.1", False),
        (("192.0.2.0/24",), ("192.0.2.1/32",), "192.0.2.1", False),
        (None, ("192.0.2.1/32",), "192.0.2.1", False),
        (("192.0.2.0/24",), (), "::ffff:192.0.2.1", True),
        (("2001:db8::/32",), (), "2001:db8::1", True),
        (("0.0.0.0/0",), (), "2001:db8::1", False),
    ],
)
def test_lists(allow: tuple[str, ...] | None, deny: tuple[str, ...], address: str, expected: bool) -> None:
    networks = Networks(allow=allow, deny=deny)
    assert networks.allows(read_address(address)) is expected
    if expected:
        networks.require(read_address(address), "here")
    else:
        with pytest.raises(AddressNotAllowed, match="here"):
            networks.require(read_address(address), "here")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "ten", "10.0.0.0/33", ""])
def test_a_network_with_a_fault_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a CIDR such as"):
        read_network(text)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "010.0.0.1", "localhost", ""])
def test_an_address_with_a_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|IPv4"):
        read_address(text)
