"""Invariant: every range and every pair of values that must fit together is held, with the path of the culprit."""

from dataclasses import replace

import pytest

from gateway.configuration.config_checks import config_misfits
from gateway.configuration.settings import (
    AuditSettings,
    Config,
    GatewaySettings,
    ListenSettings,
    UpstreamSettings,
)

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
    ],
)
def test_listeners(change: dict[str, object], path: str) -> None:
    assert paths(Config(public=ListenSettings(**change))) == [f"public.{path}"]  # type: ignore[arg-type]


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
        gateway=GatewaySettings(processes=2, drain_s=-1.0, drain_notice_s=1e9),
        audit=AuditSettings(segment_bytes=1),
    )
    assert paths(config) == [
        "gateway.processes",
        "gateway.drain_notice_s",
        "gateway.drain_s",
        "audit.segment_bytes",
    ]
