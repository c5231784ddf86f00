"""Invariant: no secret and no name is in what is told of what is in force."""

import json

from gateway.audit.standing_facts import ENDED_S, hosts_told, keys_told, models_told, settings_told
from gateway.configuration.oidc_settings import OidcSettings
from gateway.configuration.settings import (
    AnchorSettings,
    AuditSettings,
    Config,
    ConsoleSettings,
    ListenSettings,
    StoreSettings,
    UpstreamSettings,
    WitnessSettings,
)
from policies.addresses.egress import Egress, EgressHost
from policies.call import ModelCard
from policies.credentials.key_record import KeyRecord
from policies.policy import Limits, Policy, Team
from policies.tokens.issuer import Issuer

NOW_S = 1_790_000_000.0


def key(**facts: object) -> KeyRecord:
    base = {"team": "chem", "scopes": frozenset({"models", "inference"}), "created_s": 1.0, "not_before_s": 1.0}
    base |= {"expires_s": None, "review_s": 2.0, "pepper_version": 1, "digest": b"secret-digest", "owner": "anna"}
    return KeyRecord(id="LSX3zzV6LQqC", **(base | facts))


def test_keys_without_names() -> None:
    told = keys_told([key(purpose="for anna"), key(owner="", last_used_s=7.0)], NOW_S, lambda person: f"p{len(person)}")
    first, second = told["keys"]
    assert (first["owner"], second["owner"], first["scopes"]) == ("p5", "", "inference models")
    assert second["last_used_s"] == 7.0
    assert "anna" not in json.dumps(told)
    assert "digest" not in json.dumps(told)


def test_an_owner_is_who_the_log_says() -> None:
    (told,) = keys_told([key(owner="ann\u00e9")], NOW_S, lambda person: person.strip())["keys"]
    assert told["owner"] == "ann\\xe9"


def test_keys_that_ended_long_ago() -> None:
    past = [key(expires_s=NOW_S - ENDED_S - 1), key(revoked_s=NOW_S - ENDED_S - 1)]
    held = [key(expires_s=NOW_S - ENDED_S + 1), key(revoked_s=NOW_S)]
    assert len(keys_told([*past, *held], NOW_S, str)["keys"]) == 2


def test_settings() -> None:
    config = Config(public=ListenSettings(unsafe_no_tls=True))
    policy = Policy(teams={"chem": Team(limits=Limits(mode="report"))}, unsafe_trust_all_proxies=True)
    assert settings_told(config, policy) == {
        "unsafe": ["config.yaml: public.unsafe_no_tls", "policy.yaml: unsafe_trust_all_proxies"],
        "report_only": ["policy.yaml: teams.chem.limits.mode"],
    }


def test_hosts() -> None:
    config = Config(
        upstreams=(
            UpstreamSettings(name="gpu", kind="ollama", url="http://user:secret@[::1]:11434/x?secret"),
            UpstreamSettings(name="odd", kind="ollama", url="https://odd.example:99999"),
        ),
        audit=AuditSettings(
            witnesses=(WitnessSettings(url="https://w.example:8446", vkey="w+x"),),
            anchors=(
                AnchorSettings(file="/mnt/x"),
                AnchorSettings(syslog="logs.example:6514"),
                AnchorSettings(http="https://c.example/notes/secret"),
            ),
        ),
        store=StoreSettings(url="redis+unix:///run/redis.sock"),
        console=ConsoleSettings(
            enabled=True,
            oidc=OidcSettings(issuer="https://id.example/realm", client_id="c", client_secret_file="s"),
        ),
        egress=Egress(
            hosts=(EgressHost(host="id.example", proxy="http://proxy.example:3128"), EgressHost(host="w.example"))
        ),
    )
    base = {"audiences": ("a",), "team": "chem"}
    issuers = {
        "a": Issuer(issuer="https://id.example", discovery=True, jwks_hosts=("keys.example",), **base),
        "b": Issuer(issuer="https://b.example", jwks_url="https://b.example:8443/keys", **base),
        "c": Issuer(issuer="https://c.example", jwks_file="keys.json", **base),
    }
    told = hosts_told(config, Policy(teams={"chem": Team()}, issuers=issuers))
    assert [f"{each['what']} {each['host']}" for each in told["hosts"]] == [
        "anchor https://c.example",
        "anchor syslog+tls://logs.example:6514",
        "console sign-in https://id.example",
        "issuer a https://id.example",
        "issuer a https://keys.example",
        "issuer b https://b.example:8443",
        "proxy http://proxy.example:3128",
        "store redis+unix://this machine",
        "upstream gpu http://[::1]:11434",
        "upstream odd https://odd.example",
        "witness https://w.example:8446",
    ]
    assert "secret" not in json.dumps(told)


def test_an_address_that_cannot_be_read_stops_nobody() -> None:
    config = Config(upstreams=(UpstreamSettings(name="odd", kind="ollama", url="https://["),))
    assert hosts_told(config, Policy(teams={})) == {
        "hosts": [{"what": "upstream odd", "host": "an address that cannot be read"}]
    }


def test_models() -> None:
    cards = [ModelCard(name=name, digest="dd" * 32, size_bytes=1, modified_at=0.0, parent=parent) for name, parent in
             (("m:1", ""), ("a:1", "m:1"))]  # fmt: skip
    assert models_told(cards) == {
        "models": [
            {"name": "a:1", "digest": "dd" * 32, "parent": "m:1"},
            {"name": "m:1", "digest": "dd" * 32, "parent": ""},
        ]
    }
