"""Invariant: a file is taken whole or refused with all its faults, each with its line; no value is ever repeated."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.configuration.config import (
    ConfigFaults,
    load_config,
    load_policy,
    parse_config,
    parse_policy,
    policy_hash,
    read_file,
)
from gateway.configuration.config_faults import keys_at
from gateway.configuration.settings import Config
from policies.policy import BOUNDS, Policy

HERE = Path("c.yaml")

KNOWN = "admin, audit, back_door, console, egress, engine, gateway, policy, public, store, tls, upstreams"


def config_faults(text: str) -> list[str]:
    with pytest.raises(ConfigFaults) as caught:
        parse_config(text.encode(), HERE)
    return list(caught.value.faults)


def policy_faults(text: str) -> list[str]:
    with pytest.raises(ConfigFaults) as caught:
        parse_policy(text.encode(), HERE)
    return list(caught.value.faults)


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n", "---\n{}\n", "\ufeff{}"])
def test_an_empty_config_is_the_defaults(text: str) -> None:
    assert parse_config(text.encode(), HERE) == Config()


def test_files_are_read_from_disk(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("public: {port: 9443}\nengine: {models: [a, b], slots: 4}\n")
    config = load_config(tmp_path / "config.yaml")
    assert (config.public.port, config.engine.models, config.engine.slots) == (9443, ("a", "b"), 4)
    (tmp_path / "policy.yaml").write_text("teams:\n  on: {models: ['*'], weight: 2}\n  007: {}\n")
    policy = load_policy(tmp_path / "policy.yaml")
    assert list(policy.teams) == ["on", "007"]
    assert policy.teams["on"].weight == 2.0


UNREADABLE = ("int ''", "int _", "float ''", "bool x", "timestamp x", "binary é", "int x")
"""Tags whose text does not fit; what PyYAML raises for it is of many kinds."""


def test_aliases_are_followed() -> None:
    policy = parse_policy(b"teams:\n  a: &a {models: [m]}\n  b: *a\n", HERE)
    assert policy.teams["a"] == policy.teams["b"]


def test_all_faults_are_listed_with_their_lines() -> None:
    faults = config_faults(
        "public:\n"
        "  port: '8443'\n"
        "  prot: 1\n"
        "  address: example.com\n"
        "engine:\n"
        "  slots: 0\n"
        "adminn: {}\n"
        "upstreams:\n"
        "  - name: a\n"
        "    kind: vllm\n"
        "    url: http://127.0.0.1:1\n"
        "  - kind: ollama\n"
        "gateway: {processes: 2}\n"
    )
    assert faults == [
        "c.yaml:2: public.port: must be a whole number",
        "c.yaml:3: public.prot: unknown key; did you mean port?",
        "c.yaml:4: public.address: must be an IP address, such as 127.0.0.1 or ::",
        "c.yaml:5: engine: slots must be 1 to 64",
        "c.yaml:7: adminn: unknown key; did you mean admin?",
        "c.yaml:10: upstreams.0.kind: must be 'ollama'",
        "c.yaml:12: upstreams.1.name: is required",
        "c.yaml:12: upstreams.1.url: is required",
        "c.yaml:13: gateway.processes: must be 1: more gateways need a shared store",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("public: 1", "1: public: must be a mapping of keys to values"),
        ("- 1", "1: must be a mapping of keys to values"),
        ("public: {unsafe_no_tls: 1}", "1: public.unsafe_no_tls: must be true or false"),
        ("public: {idle_timeout_s: soon}", "1: public.idle_timeout_s: must be a number"),
        ("public: {idle_timeout_s: .inf}", "1: public.idle_timeout_s: must be a finite number"),
        ("public: {port: 1.5}", "1: public.port: must be a whole number"),
        ("upstreams: {}", "1: upstreams: must be a list"),
        ("tls: {key: no}", "1: tls.key: must be a text (in quotes, if it looks like something else)"),
        (
            "zzz: 1",
            f"1: zzz: unknown key; known are {KNOWN}",
        ),
        (
            "'a\\e[b': 1",
            f"1: 'a\\\\e[b': unknown key; known are {KNOWN}",
        ),
        ("public:\n  port: 1\n  port: 2", "3: public.port: stands here a second time, first in line 2"),
        ("? [a]\n: 1", "1: a key must be a plain text"),
        ("a: b: c", "1: not valid YAML: mapping values are not allowed here"),
        ("a: [", "1: not valid YAML: expected the node content, but found '<stream end>'"),
        ("a: *b", "1: not valid YAML: found undefined alias 'b'"),
        ("tls: {key: !!python/object:os.system x}", "1: tls.key: cannot be read as a value"),
        *((f"tls: {{key: !!{tag}}}", "1: tls.key: cannot be read as a value") for tag in UNREADABLE),
        ("engine: {threads: 0x" + "f" * 5000 + "}", "1: engine.threads: must be a number of at most 64 bits"),
        ("a: 1\n---\nb: 2", "2: not valid YAML: but found another document"),
        ("a: \x00", "1: not valid YAML: a character that may not stand in it"),
        ("[" * 500, "1: nested deeper than 32 levels"),
        ("a: &a [*a]", "1: more than 20000 values once its aliases are followed"),
        ("engine: {threads: x}", "1: engine.threads: must be a whole number"),
        (
            "tls: {certificate: {a: {b: 1}}}",
            "1: tls.certificate: must be a text (in quotes, if it looks like something else)",
        ),
        ("a: \t@", "1: not valid YAML: found character '\\t' that cannot start any token"),
        ("public: {port: 99999}", "1: public.port: must be 0 to 65535"),
    ],
)
def test_one_fault(text: str, fault: str) -> None:
    assert config_faults(text)[0] == f"c.yaml:{fault}"


def test_an_unknown_key_deep_inside_is_told_the_keys_of_its_own_place() -> None:
    text = "upstreams: [{name: a, kind: ollama, url: 'https://h', modles: [x]}]"
    assert config_faults(text) == ["c.yaml:1: upstreams.0.modles: unknown key; did you mean models?"]
    assert keys_at(Config, ("upstreams", 0, "slots")) == []
    for limits in (("teams", "a", "limits"), ("teams", "a", "key_limits"), ("address_limits",), ("model_limits", "m")):
        assert keys_at(Policy, limits) == [*BOUNDS, "mode"]
    assert keys_at(int | str, ()) == []


def test_a_flood_of_values_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.configuration.yaml_tree.MAX_NODES", 100)
    assert config_faults("- a\n" * 1000) == ["c.yaml:101: more than 20000 values once its aliases are followed"]


def test_aliases_to_aliases_are_bounded() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 20000 values" in config_faults("\n".join(lines))[0]


def test_no_fault_repeats_a_value() -> None:
    secret = "sk-SECRET"
    text = f"tls: {{key: [{secret}]}}\npublic: {{port: {secret}}}\n"
    text += f"upstreams: [{{name: {secret}, kind: {secret}, url: {secret}}}]"
    assert secret not in "".join(config_faults(text))
    assert secret not in "".join(config_faults(f"upstreams: [{{name: a, kind: ollama, url: 'https://u:{secret}@h'}}]"))


def test_policy_faults() -> None:
    faults = policy_faults(
        "teams:\n"
        "  Bad Name: {}\n"
        "  a:\n"
        "    weight: 0\n"
        "  b:\n"
        "    limits: {requests_per_minute: 0}\n"
        "    networks: {allow: [10.0.0.1/8]}\n"
        "    modls: []\n"
        "trusted_proxies:\n"
        "  - 0.0.0.0/0\n"
        "  - ten\n"
    )
    text = "\n".join(faults)
    assert "c.yaml:3: teams.a: weight must be above 0" in text
    assert "c.yaml:6: teams.b.limits: requests_per_minute must be at least 1, or null for no limit" in text
    assert "c.yaml:7: teams.b.networks: network '10.0.0.1/8' is not a CIDR" in text
    assert "c.yaml:8: teams.b.modls: unknown key; did you mean models?" in text
    assert "team name 'Bad Name' must be" in text


def test_trusted_proxies_are_networks_and_never_everyone() -> None:
    faults = policy_faults("teams: {}\ntrusted_proxies: [10.0.0.0/8, 0.0.0.0/0, '::/0', ten]\n")
    assert [fault.split(": ")[1] for fault in faults] == [f"trusted_proxies.{index}" for index in (1, 2, 3)]
    assert "whole internet" in faults[0]
    assert "not a CIDR" in faults[2]
    assert isinstance(parse_policy(b"teams: {}\ntrusted_proxies: [10.0.0.0/8]\n", HERE), Policy)
    everyone = b"teams: {}\nunsafe_trust_all_proxies: true\ntrusted_proxies: [0.0.0.0/0]\nforwarded_header: forwarded\n"
    assert parse_policy(everyone, HERE).proxies.header == "forwarded"
    [fault] = policy_faults("teams: {}\nforwarded_header: x-real-ip\n")
    assert fault.startswith("c.yaml:2: forwarded_header: ")


def test_the_look_for_back_doors_is_not_too_often() -> None:
    [fault] = config_faults("back_door: {interval_s: 1}\n")
    assert "back_door.interval_s: must be 60.0 to 86400.0" in fault


def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigFaults, match=r"is not there: restore it"):
        load_config(tmp_path / "none.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigFaults, match="is not a file"):
        load_config(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigFaults, match="cannot be read: Is a directory"):
        load_policy(tmp_path)
    (tmp_path / "large.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigFaults, match="larger than"):
        read_file(tmp_path / "large.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe4\n")
    with pytest.raises(ConfigFaults, match=r"latin\.yaml:2: not UTF-8"):
        load_config(tmp_path / "latin.yaml")


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="ab:-{}[]&*!?|>'\"#%@\n ,01", max_size=80).map(str.encode))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    faults: tuple[str, ...] = ()
    try:
        parse_config(data, HERE)
    except ConfigFaults as refused:
        faults = refused.faults
    assert all(fault.startswith("c.yaml:") for fault in faults)


def test_the_policys_hash_is_of_its_bytes() -> None:
    assert policy_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
