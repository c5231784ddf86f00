"""Invariant: every range and every pair of values that must fit together is held, with the path of the culprit."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.config import ConfigFaults, parse_policy
from gateway.configuration.config_checks import config_misfits, policy_misfits
from gateway.configuration.settings import (
    AuditSettings,
    Config,
    ConsoleSettings,
    GatewaySettings,
    ListenSettings,
    StoreSettings,
    UpstreamSettings,
)
from policies.policy import Band, Policy, Team
from policies.tokens.issuer import Entitlement, Issuer
from tests.tokens import issuer

GOOD = UpstreamSettings(name="a", kind="ollama", url="https://models.example:11434")


def paths(config: Config) -> list[str]:
    return [".".join(map(str, misfit.path)) for misfit in config_misfits(config)]


def test_the_defaults_fit() -> None:
    assert paths(Config()) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"address": "localhost"}, "address"),
        ({"address": "fe80::1%eth0"}, "address"),
        ({"port": -1}, "port"),
        ({"port": 65536}, "port"),
        ({"handshake_timeout_s": 0.0}, "handshake_timeout_s"),
        ({"header_timeout_s": -1.0}, "header_timeout_s"),
        ({"idle_timeout_s": 1e9}, "idle_timeout_s"),
        ({"max_connections": 0}, "max_connections"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
        ({"max_bodies_bytes": 1}, "max_bodies_bytes"),
        ({"hosts": ("gate.example", "gate.example:80")}, "hosts.1"),
        ({"cors_origins": ("https://chat.example", "null")}, "cors_origins.1"),
    ],
)
def test_listeners(change: dict[str, object], path: str) -> None:
    assert paths(Config(public=ListenSettings(**change))) == [f"public.{path}"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"port": 8443}, "port"),
        ({"port": 8444}, "port"),
        ({"unsafe_no_tls": True}, "unsafe_no_tls"),
        ({"cors_origins": ("https://chat.example",)}, "cors_origins"),
        ({"port": -1}, "port"),
    ],
)
def test_the_console_has_a_port_of_its_own_tls_and_no_other_sites_pages(change: dict[str, object], path: str) -> None:
    assert paths(Config(console=ConsoleSettings(enabled=True, **change))) == [f"console.{path}"]  # type: ignore[arg-type]


def test_a_console_that_is_closed_takes_no_port() -> None:
    assert paths(Config(console=ConsoleSettings(port=8443))) == []


@pytest.mark.parametrize(("one", "other"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("10.0.0.1", "::")])
def test_two_listeners_cannot_share_a_port(one: str, other: str) -> None:
    config = Config(public=ListenSettings(address=one, port=9), admin=ListenSettings(address=other, port=9))
    assert paths(config) == ["admin.port"]
    assert paths(replace(config, admin=ListenSettings(address=other, port=8))) == []


def test_two_listeners_may_share_a_port_on_two_addresses_and_port_zero_anywhere() -> None:
    listeners = [ListenSettings(address=address, port=9) for address in ("127.0.0.1", "127.0.0.2")]
    assert paths(Config(public=listeners[0], admin=listeners[1])) == []
    assert paths(Config(public=ListenSettings(port=0), admin=ListenSettings(port=0))) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"url": "ftp://h"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://h:port"}, "url"),
        ({"url": "https://h\n"}, "url"),
        ({"url": "https://exa mple"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "https://user:word@h"}, "url"),
        ({"url": "https://h/?key=1"}, "url"),
        ({"url": "https://h/#x"}, "url"),
        ({"url": "http://models.example"}, "url"),
        ({"url": "http://10.0.0.1:1"}, "url"),
        ({"url": "http://[::1]:1", "ca_file": "ca.pem"}, "ca_file"),
        ({"name": "A b"}, "name"),
        ({"slots": 0}, "slots"),
        ({"connect_timeout_s": 0.0}, "connect_timeout_s"),
        ({"idle_timeout_s": 0.0}, "idle_timeout_s"),
        ({"refresh_s": 0.0}, "refresh_s"),
    ],
)
def test_upstreams(change: dict[str, object], path: str) -> None:
    config = Config(upstreams=(replace(GOOD, **change),))  # type: ignore[arg-type]
    assert paths(config) == [f"upstreams.0.{path}"]


@pytest.mark.parametrize(
    "upstream",
    [
        GOOD,
        replace(GOOD, url="https://10.0.0.1/prefix", ca_file="ca.pem"),
        replace(GOOD, url="http://127.0.0.1:11434"),
        replace(GOOD, url="http://localhost:11434"),
        replace(GOOD, url="http://[::1]:11434"),
        replace(GOOD, url="http://models.example", unsafe_plain_http=True),
    ],
)
def test_upstreams_that_fit(upstream: UpstreamSettings) -> None:
    assert paths(Config(upstreams=(upstream,))) == []


def test_upstreams_need_names_of_their_own() -> None:
    assert paths(Config(upstreams=(GOOD, replace(GOOD, name="b"), GOOD))) == ["upstreams.0.name", "upstreams.2.name"]


def test_the_rest() -> None:
    config = Config(
        gateway=GatewaySettings(processes=2, drain_s=-1.0, drain_notice_s=1e9, stale_keys_s=4.9),
        audit=AuditSettings(segment_bytes=1),
    )
    assert paths(config) == [
        "gateway.processes",
        "gateway.drain_notice_s",
        "gateway.drain_s",
        "gateway.stale_keys_s",
        "audit.segment_bytes",
    ]


def issuer_faults(**issuers: Issuer) -> list[tuple[str, str]]:
    policy = Policy(teams={"one": Team()}, issuers=issuers)
    return [(".".join(map(str, misfit.path)), misfit.text) for misfit in policy_misfits(policy)]


def test_issuers_fit_the_teams_and_each_other() -> None:
    assert issuer_faults(corp=issuer(), other=issuer(issuer="https://other.example")) == []
    twice = "stands at another entry too: a token must have one judge"
    assert issuer_faults(a=issuer(), b=issuer()) == [("issuers.a.issuer", twice), ("issuers.b.issuer", twice)]
    unknown = issuer(team="two", groups={"g": Entitlement(team="three")})
    assert issuer_faults(corp=unknown) == [
        ("issuers.corp", "names team 'three', which is not under teams"),
        ("issuers.corp", "names team 'two', which is not under teams"),
    ]
    assert [path for path, _ in issuer_faults(**{"Corp!": issuer()})] == ["issuers.Corp!"]


def test_bands_fit_each_other_and_the_teams() -> None:
    tenths = {str(number): Band(share=0.1) for number in range(10)}
    teams = {"one": Team(band="0"), "two": Team(band="gone")}
    [fault] = list(policy_misfits(Policy(teams=teams, bands=tenths)))
    assert (fault.path, fault.text.startswith("is none of the policy's bands")) == (("teams", "two", "band"), True)
    [fault] = list(policy_misfits(Policy(teams={}, bands={**tenths, "more": Band(share=0.1)})))
    assert fault.path == ("bands",)


ISSUERS = b"""teams:
  one: {models: ["*"]}
issuers:
  corp:
    issuer: https://login.example/tenant/v2.0
    audiences: [api://corral]
    preset: entra
    discovery: true
    roles:
      Corral.User: {team: one}
      Corral.Admin: {scopes: [admin]}
"""


def test_an_issuer_as_an_operator_writes_it() -> None:
    corp = parse_policy(ISSUERS, Path("p")).issuers["corp"]
    assert (corp.preset, corp.teams, corp.roles["Corral.Admin"].scopes) == ("entra", {"one"}, ("admin",))


@pytest.mark.parametrize(
    ("written", "instead", "fault"),
    [
        (b"preset: entra", b"preset: auth0", "p:7: issuers.corp.preset: must be 'none', 'entra'"),
        (b"preset: entra", b"algorithms: [HS256]", "p:7: issuers.corp.algorithms.0: must be 'RS256'"),
        (b"    discovery: true\n", b"", "p:4: issuers.corp: needs one source of keys"),
        (b"{team: one}", b"{team: two}", "p:4: issuers.corp: names team 'two'"),
        (b"[admin]", b"[root]", "p:11: issuers.corp.roles.'Corral.Admin': no scope is called root"),
    ],
)
def test_an_issuer_with_a_fault_names_its_line(written: bytes, instead: bytes, fault: str) -> None:
    with pytest.raises(ConfigFaults) as faults:
        parse_policy(ISSUERS.replace(written, instead), Path("p"))
    assert str(faults.value).startswith(fault)


SOCKET = StoreSettings(url="redis+unix:///run/redis.sock")
HOST = StoreSettings(url="rediss://redis.example", password_file="redis.password", ca_file="redis.pem")


@pytest.mark.parametrize(
    ("store", "found"),
    [
        (SOCKET, []),
        (HOST, []),
        (replace(HOST, url="redis://127.0.0.1", ca_file=None), ["store.url"]),
        (replace(HOST, url="redis://127.0.0.1", ca_file=None, unsafe_plain_redis=True), []),
        (replace(HOST, password_file=None), ["store.password_file"]),
        (replace(SOCKET, ca_file="redis.pem"), ["store.ca_file"]),
        (replace(SOCKET, url="memory"), ["store.url"]),
        (replace(SOCKET, timeout_ms=0), ["store.timeout_ms"]),
        (replace(SOCKET, timeout_ms=5000), ["store.timeout_ms"]),
    ],
)
def test_the_shared_store_is_a_socket_or_encrypted_and_with_a_password(store: StoreSettings, found: list[str]) -> None:
    assert paths(Config(store=store)) == found


def test_more_gateways_need_a_shared_store() -> None:
    two = GatewaySettings(processes=2)
    assert paths(Config(gateway=two)) == ["gateway.processes"]
    assert paths(Config(gateway=two, store=SOCKET)) == []
    assert paths(Config(gateway=GatewaySettings(processes=65), store=SOCKET)) == ["gateway.processes"]
