"""What `console.oidc` may say."""

from typing import Any

import pytest

from gateway.configuration.oidc_settings import OidcSettings

GOOD: dict[str, Any] = {"issuer": "https://id.example/realms/c", "client_id": "corral", "client_secret_file": "secret"}


def test_a_preset_fills_in_what_is_left_out() -> None:
    client = OidcSettings(**GOOD, preset="adfs").client()
    assert (client.name_claim, client.groups_claim) == ("upn", "group")
    assert "allatclaims" in client.scopes
    assert client.issuer.audiences == ("corral",)
    assert client.issuer.stale_s == 0.0


def test_what_is_said_wins_over_the_preset() -> None:
    said = {
        "scopes": ("openid",),
        "subject_claim": "s",
        "name_claim": "n",
        "groups_claim": "roles",
        "hosts": ("b.example",),
    }
    client = OidcSettings(**GOOD, preset="entra", **said).client()
    assert (client.scopes, client.issuer.subject_claim) == (("openid",), "s")
    assert (client.name_claim, client.groups_claim, client.issuer.jwks_hosts) == ("n", "roles", ("b.example",))


def test_an_issuer_that_ends_in_a_slash_keeps_it() -> None:
    client = OidcSettings(**{**GOOD, "issuer": "https://auth.example/application/o/corral/"}).client()
    document = client.issuer.document_url()
    assert client.issuer.issuer.endswith("/")
    assert document is not None
    assert document.path == "/application/o/corral/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"issuer": "id.example"}, "issuer must be an https address"),
        ({"issuer": "http://id.example"}, "issuer would fetch"),
        ({"issuer": "https://id.example/?x"}, "issuer must be"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\nb"}, "client_id"),
        ({"client_id": "\u00fc"}, "client_id"),
        ({"client_secret_file": ""}, "client_secret_file"),
        ({"scopes": ("profile",)}, "openid"),
        ({"scopes": ("openid", "a b")}, "words"),
        ({"scopes": ("openid", "")}, "words"),
        ({"scopes": ("openid", "\u00fc")}, "words"),
    ],
)
def test_what_cannot_be_meant(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        OidcSettings(**{**GOOD, **changes})
