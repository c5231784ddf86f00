"""Nobody is trusted by default, nothing as wide as the internet ever is, and one header family counts."""

from ipaddress import ip_address

import pytest

from policies.addresses.trusted_proxies import NOBODY, TrustedProxies

LOCAL = ip_address("10.0.0.1")


def test_nobody_is_trusted_by_default() -> None:
    assert not NOBODY.trusts(LOCAL)
    assert NOBODY.header == "x-forwarded-for"


def test_who_is_inside_is_trusted() -> None:
    proxies = TrustedProxies(("10.0.0.0/8", "fd00::/8"))
    assert proxies.trusts(LOCAL)
    assert proxies.trusts(ip_address("fd00::1"))
    assert not proxies.trusts(ip_address("11.0.0.1"))


@pytest.mark.parametrize(
    "network", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/7", "fc00::/6", "::ffff:0:0/96"]
)
def test_a_part_of_the_internet_is_trusted_only_unsafely(network: str) -> None:
    with pytest.raises(ValueError, match=r"whole internet .* unsafe_trust_all_proxies"):
        TrustedProxies((network,))
    assert TrustedProxies((network,), unsafe_trust_all=True) is not None


def test_what_one_organisation_can_own_is_not_too_wide() -> None:
    assert TrustedProxies(("10.0.0.0/8", "fc00::/7")).trusts(LOCAL)


def test_a_text_that_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a CIDR"):
        TrustedProxies(("ten",))


def test_a_proxy_header_counts_only_when_the_policy_names_it() -> None:
    assert TrustedProxies(("10.0.0.0/8",), "proxy-v2").may_announce(LOCAL)
    assert not TrustedProxies(("10.0.0.0/8",), "proxy-v2").may_announce(ip_address("192.0.2.1"))
    assert not TrustedProxies(("10.0.0.0/8",), "x-forwarded-for").may_announce(LOCAL)
