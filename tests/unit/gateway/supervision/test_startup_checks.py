from typing import Any

import pytest

from gateway.configuration.settings import Config, ListenSettings, TlsSettings
from gateway.supervision.startup_checks import startup_faults
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
