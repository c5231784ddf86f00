"""Invariant: a Host is allowed only if it is listed, in whatever spelling, or is our own address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses.host_names import HostNames, read_host_names, require_host
from policies.errors import HostNotAllowed

NAMES = read_host_names(("gate.example", "*.wild.example", "192.0.2.7", "[2001:DB8::1]", "fe80::1", "LOCALHOST."))


def allows(host: str, local: str = "") -> bool:
    try:
        require_host(NAMES, ((b"X", b"evil"), (b"hOsT", host.encode("latin-1"))), local)
    except HostNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    ["gate.example", "GATE.EXAMPLE.", "gate.example:1", "a.wild.example", "A.Wild.example:65535", "192.0.2.7",
     "192.0.2.7:80",
     "[2001:db8::1]", "[2001:db8:0:0:0:0:0:1]:443", "[FE80::1]", "localhost"],
)  # fmt: skip
def test_ours_in_any_spelling(host: str) -> None:
    assert allows(host)


@pytest.mark.parametrize(
    "host",
    ["example", "wild.example", "a.b.wild.example", "gate.example.evil", "xgate.example", "192.0.2.8", "192.0.2.007",
     "[2001:db8::2]", "3221225991", "", "gate.example..", "\xe9.wild.example2", "[fe80::1%1]"],
)  # fmt: skip
def test_not_ours(host: str) -> None:
    assert not allows(host)


def test_what_the_refusal_says() -> None:
    with pytest.raises(HostNotAllowed) as refused:
        require_host(NAMES, ((b"Host", b"evil"),), "")
    assert (refused.value.status, refused.value.reason) == (421, "host_not_allowed")


def test_our_end_of_the_connection() -> None:
    assert allows("192.0.2.9:1", local="192.0.2.9")
    assert allows("[2001:db8:0::9]", local="2001:db8::9")
    assert not allows("192.0.2.9", local="192.0.2.8")
    assert not allows("", local="")


def test_a_request_without_host_passes() -> None:
    require_host(HostNames(frozenset()), ((b"X", b"y"),), "")


@pytest.mark.parametrize(
    "text", ["", "a b", "a:80", "https://a", "a/b", "*", "a.*", "*.*.a", "-a", "a-", "[::g]", "::1%lo", "a..b"]
)
def test_what_no_list_holds(text: str) -> None:
    with pytest.raises(ValueError, match="neither a host name"):
        read_host_names((text,))


def test_two_lists_joined() -> None:
    both = read_host_names(("a",)).joined(read_host_names(("*.b",)))
    assert both == HostNames(frozenset({"a"}), frozenset({"b"}))


@given(st.text("abc.:[]0123456789%*", max_size=30))
def test_any_text_is_answered(host: str) -> None:
    allows(host)
