from typing import Any

import pytest

from gateway.configuration.settings import Config, GatewaySettings, ListenSettings, TlsSettings
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


@pytest.mark.parametrize("address", ["localhost", "", "127.0.0.1:8443"])
def test_an_address_must_be_one(address: str) -> None:
    assert faults(public(address=address)) == (
        f"public.address {address!r} is not an IP address: write one such as 127.0.0.1 or ::1"
    )


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_must_exist(port: int) -> None:
    assert f"public.port {port} does not exist" in faults(public(port=port))


def test_two_listeners_need_two_places() -> None:
    assert "public and admin both listen on 127.0.0.1, port 8444" in faults(public(port=8444))
    assert faults(public(address="127.0.0.2", port=8444)) == ""
    assert faults(Config(public=ListenSettings(port=0), admin=ListenSettings(port=0))) == ""


def test_one_gateway_process_only() -> None:
    assert "gateway.processes is 2" in faults(Config(gateway=GatewaySettings(processes=2)))


def test_all_faults_come_together() -> None:
    config = Config(
        public=ListenSettings(address="x", port=-5),
        admin=ListenSettings(address="0.0.0.0"),
        gateway=GatewaySettings(processes=0),
    )
    assert len(startup_faults(config, Policy(teams={}), has_key=False)) == 5
