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


def test_a_host_of_a_provider_may_have_any_port() -> None:
    named = [(host, 8443 if host == "keys.example" else port) for _, host, port in PLACES if host != "127.0.0.1"]
    assert faults(entries(*named)) == []


@pytest.mark.parametrize(
    ("instead", "place"),
    [
        ('syslog: "siem.ex\u00e4mple.org:6514"', "9: audit.anchors.1.syslog"),
        ('syslog: "siem exam:6514"', "9: audit.anchors.1.syslog"),
        ('http: "https://siem.ex\u00e4mple.org/x"', "9: audit.anchors.1.http"),
    ],
)
def test_what_cannot_be_judged_is_a_fault_with_a_list_and_without(instead: str, place: str) -> None:
    text = CONFIG.replace('syslog: "logs.example:6514"', instead)
    assert [fault.partition(": must")[0] for fault in faults(text)] == [place]
    listed = entries(*[(host, port) for _, host, port in PLACES if host != "127.0.0.1"])
    assert any("no address that can be called" in fault for fault in faults(listed.replace(CONFIG, text)))


@pytest.mark.parametrize("hosts", ["", "null", "anything", "\n#   - {host: a.example}"])
def test_a_list_that_is_none_does_not_open_everything(hosts: str) -> None:
    assert faults(f"egress:\n  hosts: {hosts}\n") == ["2: egress.hosts: must be a list"]
    assert faults("egress: {}\n") == ["1: egress.hosts: is required"]
    assert faults("egress:\n") != []


def test_a_bundle_of_the_list_is_not_the_stores_in_silence() -> None:
    listed = entries(*[(host, port) for _, host, port in PLACES if host != "127.0.0.1"])
    bundled = listed.replace("{host: redis.example, port: 6379}", "{host: redis.example, port: 6379, ca_file: ca.pem}")
    assert faults(bundled) == [
        "11: store.ca_file: is required here: the ca_file under egress.hosts is not for the store"
    ]
    assert faults(bundled.replace("password_file: secret", "password_file: secret, ca_file: ca.pem")) == []


def test_port_0_is_no_port() -> None:
    for url, place in (("https://models.example:11434", "upstreams.0.url"), ("rediss://redis.example/0", "store.url")):
        wrong = url.replace(":11434", ":0").replace("example/0", "example:0/0")
        [fault] = faults(CONFIG.replace(url, wrong))
        assert f"{place}: names a port that does not exist" in fault
        assert called_place(wrong) is not None
        assert called_place(wrong)[2] == 0  # type: ignore[index]


def test_a_console_that_is_closed_calls_nobody() -> None:
    closed = entries(*[(host, port) for _, host, port in PLACES[:6] if host != "127.0.0.1"]).replace(
        "enabled: true", "enabled: false"
    )
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
