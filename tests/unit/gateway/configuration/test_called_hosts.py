"""Invariant: every address of the two files that Corral calls is found, with its place, and judged by `egress`."""

from pathlib import Path

import pytest

from gateway.configuration.called_hosts import called_by_config, called_by_policy, called_place
from gateway.configuration.config import ConfigFaults, parse_config, parse_policy
from policies.addresses.egress import Egress, EgressHost
from policies.auditing.cosignature import CosignatureVerifier

VKEY = CosignatureVerifier("w1", bytes(32)).vkey
CONFIG = f"""\
upstreams:
  - {{name: gpu, kind: ollama, url: "https://models.example:11434"}}
  - {{name: own, kind: ollama, url: "http://127.0.0.1:11434"}}
audit:
  witnesses:
    - {{url: "https://witness.example", vkey: "{VKEY}"}}
  anchors:
    - {{file: /mnt/kept}}
    - {{syslog: "logs.example:6514"}}
    - {{http: "https://collector.example/notes"}}
store: {{url: "rediss://redis.example/0", password_file: secret}}
console:
  enabled: true
  oidc: {{issuer: "https://id.example", client_id: c, client_secret_file: s, hosts: [keys.example]}}
"""
POLICY = """\
teams: {one: {}}
issuers:
  corp: {issuer: "https://id.example", audiences: [a], team: one, discovery: true, jwks_hosts: ["keys.example"]}
  lab: {issuer: "https://lab.example", audiences: [a], team: one, jwks_url: "https://lab.example:8443/keys"}
  file: {issuer: "https://file.example", audiences: [a], team: one, jwks_file: keys.json}
"""
HERE = Path("config.yaml")
PLACES = [
    ("https", "models.example", 11434),
    ("http", "127.0.0.1", 11434),
    ("https", "witness.example", 443),
    ("syslog+tls", "logs.example", 6514),
    ("https", "collector.example", 443),
    ("rediss", "redis.example", 6379),
    ("https", "id.example", 443),
    ("https", "keys.example", 443),
]


def entries(*places: tuple[str, int]) -> str:
    hosts = "".join(f"\n    - {{host: {host}, port: {port}}}" for host, port in places) or " []"
    return f"{CONFIG}egress:\n  hosts:{hosts}\n"


def faults(text: str) -> list[str]:
    try:
        parse_config(text.encode(), HERE)
    except ConfigFaults as found:
        return [fault.removeprefix("config.yaml:") for fault in found.faults]
    return []


def test_all_that_are_named_are_found() -> None:
    config = parse_config(CONFIG.encode(), HERE)
    assert [called_place(each.url) for each in called_by_config(config)] == PLACES
    policy = parse_policy(POLICY.encode(), HERE)
    assert [(each.what, called_place(each.url)) for each in called_by_policy(policy)] == [
        ("issuer corp", ("https", "id.example", 443)),
        ("issuer corp", ("https", "keys.example", 443)),
        ("issuer lab", ("https", "lab.example", 8443)),
    ]


def test_with_a_list_each_must_stand_in_it() -> None:
    named = [(host, port) for _, host, port in PLACES if host != "127.0.0.1"]
    assert faults(entries(*named)) == []
    assert [fault.partition(": calls")[0] for fault in faults(entries())] == [
        "2: upstreams.0.url",
        "6: audit.witnesses.0.url",
        "9: audit.anchors.1.syslog",
        "10: audit.anchors.2.http",
        "11: store.url",
        "14: console.oidc.issuer",
        "14: console.oidc.hosts.0",
    ]
    [fault] = faults(entries(*named[1:]))
    assert "calls models.example:11434, which is not under egress.hosts of config.yaml: add it there" in fault


def test_a_console_that_is_closed_calls_nobody() -> None:
    closed = entries(*[(host, port) for _, host, port in PLACES[:6]]).replace("enabled: true", "enabled: false")
    assert faults(closed) == []


def test_a_policy_is_judged_by_the_list() -> None:
    egress = Egress(hosts=(EgressHost(host="id.example"),))
    with pytest.raises(ConfigFaults) as found:
        parse_policy(POLICY.encode(), Path("policy.yaml"), egress)
    assert [fault.partition(", which")[0] for fault in found.value.faults] == [
        "policy.yaml:3: issuers.corp.jwks_hosts.0: calls keys.example:443",
        "policy.yaml:4: issuers.lab.jwks_url: calls lab.example:8443",
    ]


@pytest.mark.parametrize(
    "text", ["", "id.example", "https://", "https://a b", "https://[::1", "redis+unix:///run/x", "\0"]
)
def test_what_leads_to_no_host(text: str) -> None:
    assert called_place(text) is None
