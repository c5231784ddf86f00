"""Network lists: deny wins, empty allows nobody, None does not ask, spelling does not matter."""

import pytest

from policies.addresses.networks import ListenerNetworks, Networks, Ruling, is_loopback_host, read_address, read_network
from policies.errors import AddressNotAllowed


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


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::fffe:0:0/95", None),
        ("::/96", None),
        ("2001:db8::/120", None),
        ("2001:db8::/32", None),
    ],
)
def test_a_network_of_mapped_addresses_is_its_v4_network(text: str, network: str | None) -> None:
    assert str(read_network(text)) == (network or text)


def test_a_deny_list_holds_however_it_is_spelt() -> None:
    assert not Networks(deny=("::ffff:192.0.2.0/120",)).allows(read_address("192.0.2.1"))


@pytest.mark.parametrize("text", ["10.0.0.1/8", "ten", "10.0.0.0/33", ""])
def test_a_network_with_a_fault_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a CIDR such as"):
        read_network(text)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "010.0.0.1", "localhost", ""])
def test_an_address_with_a_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|IPv4"):
        read_address(text)


@pytest.mark.parametrize(
    ("address", "allowed", "rule"),
    [
        ("10.1.1.1", False, "deny 10.1.1.0/24"),
        ("10.1.2.1", False, "deny 10.1.0.0/16"),
        ("10.2.0.1", True, "allow 10.2.0.0/16"),
        ("10.3.0.1", True, "allow 10.0.0.0/8"),
        ("10.1.1.128", False, "deny 10.1.1.0/24"),
        ("192.0.2.1", False, "not in allow"),
    ],
)
def test_the_rule_that_decided_is_named(address: str, allowed: bool, rule: str) -> None:
    allow = ("10.0.0.0/8", "10.2.0.0/16", "10.1.1.128/25")
    networks = Networks(allow=allow, deny=("10.1.0.0/16", "10.1.1.0/24"))
    assert networks.judge(read_address(address)) == Ruling(allowed, rule)
    assert networks.allows(read_address(address)) is allowed
    if not allowed:
        with pytest.raises(AddressNotAllowed) as refused:
            networks.require(read_address(address), "here")
        assert (refused.value.reason, refused.value.rule) == ("here", rule)


def test_a_list_that_does_not_ask_names_no_rule() -> None:
    assert Networks().judge(read_address("192.0.2.1")) == Ruling(True, "")


def test_each_listener_has_its_own_list() -> None:
    listeners = ListenerNetworks(admin=Networks(allow=("127.0.0.0/8",)))
    assert listeners.of("public").allows(read_address("192.0.2.1"))
    assert not listeners.of("admin").allows(read_address("192.0.2.1"))


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("LocalHost", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
     ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("10.0.0.1", False),
     ("0.0.0.0", False), ("192.0.2.1", False), ("", False)],
)  # fmt: skip
def test_loopback_by_name_or_address(host, here):
    assert is_loopback_host(host) is here
