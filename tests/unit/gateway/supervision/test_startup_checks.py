from typing import Any

import pytest

from gateway.configuration.oidc_settings import OidcSettings
from gateway.configuration.settings import Config, ConsoleSettings, ListenSettings, TlsSettings
from gateway.supervision.startup_checks import startup_faults
from policies.addresses.networks import ListenerNetworks, Networks
from policies.policy import Policy, Team

POLICY = Policy(teams={"default": Team()})


def faults(config: Config, policy: Policy = POLICY, has_key: bool = True) -> str:
    return "\n".join(startup_faults(config, policy, has_key))


def public(**fields: Any) -> Config:
    return Config(public=ListenSettings(**fields))


def test_the_defaults_start_even_without_a_key() -> None:
    assert startup_faults(Config(), Policy(teams={}), has_key=False) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "2001:db8::1"])
def test_beyond_loopback_a_key_and_a_team_are_demanded(address: str) -> None:
    config = public(address=address)
    assert startup_faults(config, POLICY, has_key=True) == []
    assert f"the public listener is open beyond this machine ({address}) but there is no active key" in faults(
        config, has_key=False
    )
    assert "policy.yaml names no team" in faults(config, Policy(teams={}))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1"])
def test_loopback_needs_neither(address: str) -> None:
    assert startup_faults(public(address=address), Policy(teams={}), has_key=False) == []


def test_the_admin_listener_is_held_to_the_same() -> None:
    config = Config(admin=ListenSettings(address="0.0.0.0", port=8444))
    assert "the admin listener is open beyond" in faults(config, has_key=False)


def console(**fields: Any) -> Config:
    return Config(console=ConsoleSettings(enabled=True, **fields))


NAMED = Policy(teams={"default": Team()}, listeners=ListenerNetworks(console=Networks(allow=("192.0.2.0/24",))))


def test_the_console_opens_on_loopback_without_further_ado() -> None:
    assert startup_faults(console(), Policy(teams={}), has_key=False) == []


def test_beyond_loopback_the_console_needs_a_list_and_people_who_are_proven() -> None:
    said = faults(console(address="0.0.0.0"))
    assert "name networks under listeners.console.allow" in said
    assert "configure console.oidc, or say console.client_certificates: required" in said
    assert "configure console.oidc" in faults(console(address="0.0.0.0", client_certificates="optional"), NAMED)
    assert "listeners.console.allow" in faults(console(address="::", client_certificates="required"))
    assert startup_faults(console(address="0.0.0.0", client_certificates="required"), NAMED, has_key=True) == []
    oidc = OidcSettings(issuer="https://id.example", client_id="corral", client_secret_file="secret")
    assert startup_faults(console(address="0.0.0.0", oidc=oidc), NAMED, has_key=True) == []


def test_a_console_that_is_not_enabled_is_not_asked_about() -> None:
    closed = Config(console=ConsoleSettings(address="0.0.0.0"))
    assert startup_faults(closed, Policy(teams={}), has_key=False) == []


def test_the_console_is_never_without_tls() -> None:
    config = Config(
        tls=TlsSettings(certificate=""),
        public=ListenSettings(unsafe_no_tls=True),
        admin=ListenSettings(port=8444, unsafe_no_tls=True),
        console=ConsoleSettings(enabled=True),
    )
    assert startup_faults(config, POLICY, has_key=True) == [
        "the console listener has no TLS: name tls.certificate and tls.key"
    ]


@pytest.mark.parametrize("tls", [TlsSettings(certificate=""), TlsSettings(key="")])
def test_no_tls_must_be_said_aloud_for_each_listener(tls: TlsSettings) -> None:
    said = faults(Config(tls=tls))
    assert "say public.unsafe_no_tls: true" in said
    assert "say admin.unsafe_no_tls: true" in said
    aloud = Config(
        tls=tls,
        public=ListenSettings(unsafe_no_tls=True),
        admin=ListenSettings(port=8444, unsafe_no_tls=True),
    )
    assert startup_faults(aloud, POLICY, has_key=True) == []


def test_without_tls_beyond_loopback_a_key_is_still_demanded() -> None:
    config = public(address="0.0.0.0", unsafe_no_tls=True)
    assert startup_faults(config, POLICY, has_key=True) == []
    assert "no active key" in faults(config, has_key=False)


def test_all_faults_come_together() -> None:
    config = Config(public=ListenSettings(address="0.0.0.0"), tls=TlsSettings(certificate=""))
    assert len(startup_faults(config, Policy(teams={}), has_key=False)) == 4


@pytest.mark.parametrize(
    ("policy", "starts"),
    [
        (Policy(teams={}), False),
        (Policy(teams={}, trusted_proxies=("10.0.0.0/8",)), False),
        (Policy(teams={}, forwarded_header="proxy-v2"), False),
        (Policy(teams={}, trusted_proxies=("10.0.0.0/8",), forwarded_header="proxy-v2"), True),
    ],
)
def test_a_listener_that_demands_proxy_headers_needs_a_policy_that_takes_them(policy: Policy, starts: bool) -> None:
    said = faults(public(proxy_protocol=True), policy)
    assert ("trusts nobody's PROXY header" in said) is not starts
    assert not faults(public(), policy)
