"""Invariant: with a list, what does not stand in it is not called, in whatever spelling; loopback needs no entry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses.egress import ANYWHERE, Egress, EgressHost, NotNamed

PROXY = "http://proxy.example:3128"
NAMED = Egress(
    hosts=(
        EgressHost(host="Id.Example.", ca_file="corp.pem"),
        EgressHost(host="id.example", port=8443, proxy=PROXY),
        EgressHost(host="[2001:DB8::1]"),
        EgressHost(host="192.0.2.7", port=6514),
    )
)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "ca_file", "proxy"),
    [
        ("https", "id.example", 443, "corp.pem", None),
        ("https", "ID.EXAMPLE.", 443, "corp.pem", None),
        ("https", "id.example", 8443, None, PROXY),
        ("https", "2001:db8:0:0:0:0:0:1", 443, None, None),
        ("https", "[2001:db8::1]", 443, None, None),
        ("syslog+tls", "192.0.2.7", 6514, None, None),
        ("http", "192.0.2.7", 6514, None, None),
    ],
)
def test_the_way_to_what_is_named(scheme: str, host: str, port: int, ca_file: str | None, proxy: str | None) -> None:
    way = NAMED.way(scheme, host, port)
    assert way is not None
    assert (way.ca_file, way.proxy) == (ca_file, proxy)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("id.example", 444),
        ("evil.id.example", 443),
        ("id.example.evil", 443),
        ("xid.example", 443),
        ("192.0.2.7", 443),
        ("169.254.169.254", 80),
        ("", 443),
        ("*", 443),
        ("id.example", 0),
        ("localhost.", 443),
        ("127.1", 443),
        ("0x7f.1", 443),
        ("2130706433", 443),
        ("0.0.0.0", 443),
    ],
)
def test_what_is_not_named_is_not_called(host: str, port: int) -> None:
    with pytest.raises(NotNamed, match=r"not under egress\.hosts of config\.yaml: add it there"):
        NAMED.way("https", host, port)


@pytest.mark.parametrize("scheme", ["http", "syslog+tls", "rediss", "redis"])
def test_a_proxy_is_for_https_alone(scheme: str) -> None:
    with pytest.raises(NotNamed, match=f"by {scheme.replace('+', '.')}, but its proxy"):
        NAMED.way(scheme, "id.example", 8443)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_loopback_is_no_way_out(host: str) -> None:
    assert Egress(hosts=()).way("http", host, 11434) is None


def test_a_host_whose_port_is_not_known_yet() -> None:
    assert [NAMED.may_call(host) for host in ("ID.example.", "192.0.2.7", "::1", "evil.example")] == [
        True,
        True,
        True,
        False,
    ]
    assert ANYWHERE.may_call("evil.example")


def test_an_address_is_shown_as_in_a_url() -> None:
    with pytest.raises(NotNamed, match=r"calls \[fd00::9\]:443, which"):
        NAMED.way("https", "fd00::9", 443)


def test_without_a_list_nothing_is_judged_and_an_empty_one_names_nobody() -> None:
    assert ANYWHERE.way("https", "anything.example", 1) is None
    with pytest.raises(NotNamed):
        Egress(hosts=()).way("https", "anything.example", 443)


@given(host=st.text(max_size=40), port=st.integers(0, 65535))
def test_nothing_else_passes(host: str, port: int) -> None:
    try:
        way = NAMED.way("https", host, port)
    except NotNamed:
        return
    if way is not None:
        assert way in NAMED.hosts
        assert way.port == port


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"host": "*.example"}, "host must be one name or address"),
        ({"host": "id.example:443"}, "host must be one name or address"),
        ({"host": ""}, "host must be one name or address"),
        ({"host": "https://id.example"}, "host must be one name or address"),
        ({"host": "127.0.0.1"}, "beyond this machine"),
        ({"host": "Localhost."}, "beyond this machine"),
        ({"host": "a", "port": 0}, "port must be"),
        ({"host": "a", "port": 65536}, "port must be"),
        ({"host": "a", "proxy": "https://p:1"}, "proxy must be"),
        ({"host": "a", "proxy": "http://p"}, "proxy must be"),
        ({"host": "a", "proxy": "http://p:0"}, "proxy must be"),
        ({"host": "a", "proxy": "http://p:65536"}, "proxy must be"),
        ({"host": "a", "proxy": "http://u:p@p:1"}, "proxy must be"),
        ({"host": "a", "proxy": "http://p:1/x"}, "proxy must be"),
        ({"host": "a", "proxy": "http://p:1\n"}, "proxy must be"),
        ({"host": "a", "proxy": "http://-..-:1"}, "proxy must be"),
        ({"host": "a", "proxy": "http://[::::]:1"}, "proxy must be"),
        ({"host": "a", "proxy_login_file": "f"}, "is for a proxy"),
    ],
)
def test_what_is_no_entry(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EgressHost(**values)  # type: ignore[arg-type]


def test_one_place_has_one_way() -> None:
    with pytest.raises(ValueError, match="twice"):
        Egress(hosts=(EgressHost(host="a"), EgressHost(host="A.")))
    assert Egress(hosts=(EgressHost(host="a"), EgressHost(host="a", port=1, proxy="http://[::1]:3128"))).hosts
