from typing import Any

import pytest

from policies.tokens.issuer import Entitlement, Issuer
from policies.tokens.issuer_preset import PRESETS
from tests.tokens import issuer


def test_defaults_are_safe() -> None:
    plain = issuer()
    assert plain.algorithms == ("RS256", "PS256", "ES256", "EdDSA")
    assert plain.taken_typ == ("at+jwt", "application/at+jwt")
    assert not plain.takes_many_audiences
    assert plain.required
    assert (plain.max_lifetime_s, plain.leeway_s, plain.stale_s, plain.min_rsa_bits) == (86400, 30, 86400, 2048)
    assert issuer(team=None, groups={"g": Entitlement(team="two")}).teams == {"two"}


@pytest.mark.parametrize("preset", ["entra", "keycloak", "okta", "adfs"])
def test_presets_take_the_type_that_products_send(preset: Any) -> None:
    product = issuer(preset=preset)
    assert "jwt" in product.taken_typ
    assert product.product is PRESETS[preset]
    assert product.product.marks, "an ID token bears the same type, so something else must tell them apart"
    assert issuer(preset=preset, typ=("AT+JWT",)).taken_typ == ("at+jwt",)


def test_the_operator_has_the_last_word_on_audiences() -> None:
    assert issuer(preset="keycloak").takes_many_audiences
    assert not issuer(preset="keycloak", many_audiences=False).takes_many_audiences
    assert issuer(many_audiences=True).takes_many_audiences


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"issuer": ""}, "exact iss"),
        ({"issuer": "https://id.example/ x"}, "exact iss"),
        ({"issuer": "https://ид.example"}, "exact iss"),
        ({"issuer": "https://id.example\n"}, "exact iss"),
        ({"audiences": ()}, "audiences"),
        ({"audiences": ("a", "")}, "audiences"),
        ({"algorithms": ()}, "algorithms"),
        ({"typ": ()}, "typ"),
        ({"jwks_url": None}, "one source of keys"),
        ({"jwks_url": "http://id.example/keys"}, "jwks_url would fetch signing keys in clear"),
        ({"jwks_url": "nonsense"}, "jwks_url must be an https address"),
        ({"discovery": True, "issuer": "urn:x"}, "discovery_url must be"),
        ({"discovery": True, "discovery_url": "http://id.example/x"}, "discovery_url would"),
        ({"discovery_url": "https://id.example/x"}, "discovery: true only"),
        ({"jwks_file": "keys.json", "ca_file": "ca.pem"}, "ca_file"),
        ({"min_rsa_bits": 1024}, "min_rsa_bits"),
        ({"max_lifetime_s": 0.0}, "max_lifetime_s"),
        ({"max_lifetime_s": float("nan")}, "max_lifetime_s"),
        ({"leeway_s": 31.0}, "leeway_s"),
        ({"leeway_s": -1.0}, "leeway_s"),
        ({"stale_s": 1e9}, "stale_s"),
        ({"team": None}, "nobody a team"),
        ({"base_scopes": ("root",)}, "no scope is called root"),
    ],
)
def test_what_an_operator_may_not_write(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        issuer(**values)


def test_two_sources_of_keys() -> None:
    with pytest.raises(ValueError, match="one source"):
        Issuer(issuer="https://i", audiences=("a",), team="t", jwks_url="https://i/k", discovery=True)


def test_no_scope_at_all_is_a_choice() -> None:
    assert issuer(base_scopes=()).base_scopes == ()
    assert Entitlement(scopes=()).scopes == ()
    with pytest.raises(ValueError, match="no scope"):
        Entitlement(scopes=("everything",))


def test_where_the_discovery_document_lies() -> None:
    assert issuer().document_url() is None
    found = issuer(discovery=True, issuer="https://id.example/realms/corp/").document_url()
    assert found is not None
    assert found.path == "/realms/corp/.well-known/openid-configuration"
    other = issuer(discovery=True, discovery_url="https://other.example/d").document_url()
    assert other is not None
    assert other.host == "other.example"


def test_a_change_of_tables_is_no_change_of_keys() -> None:
    assert issuer().key_source == issuer(team="two", leeway_s=0.0).key_source
    assert issuer().key_source != issuer(jwks_url="https://id.example/other").key_source
    assert issuer().key_source != issuer(stale_s=0.0).key_source
