import json
from typing import Any

import pytest

from policies.tokens.discovery import key_set_url
from policies.tokens.issuer_url import read_issuer_url
from tests.tokens import ISS, issuer

ASKED = read_issuer_url(ISS + "/.well-known/openid-configuration")


def document(**values: Any) -> bytes:
    fields = {"issuer": ISS, "jwks_uri": "https://id.example/realms/corp/certs", **values}
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def test_the_key_set_of_the_configured_issuer() -> None:
    assert key_set_url(document(), issuer(discovery=True), ASKED).path == "/realms/corp/certs"


def test_another_port_is_the_same_host() -> None:
    assert key_set_url(document(jwks_uri="https://ID.example:8443/k"), issuer(discovery=True), ASKED).port == 8443


def test_a_host_that_the_operator_names() -> None:
    named = issuer(discovery=True, jwks_hosts=("Keys.example",))
    assert key_set_url(document(jwks_uri="https://keys.example/k"), named, ASKED).host == "keys.example"


def test_ad_fs_names_the_issuer_of_access_tokens_elsewhere() -> None:
    adfs = issuer(
        preset="adfs",
        issuer="http://fs.example/adfs/services/trust",
        discovery=True,
        discovery_url="https://fs.example/adfs/.well-known/openid-configuration",
    )
    fields = document(
        issuer="https://fs.example/adfs",
        access_token_issuer="http://fs.example/adfs/services/trust",
        jwks_uri="https://fs.example/adfs/discovery/keys",
    )
    asked = adfs.document_url()
    assert asked is not None
    assert key_set_url(fields, adfs, asked).path == "/adfs/discovery/keys"
    with pytest.raises(ValueError, match="another issuer"):
        key_set_url(fields, issuer(issuer=adfs.issuer, discovery=True, discovery_url=adfs.discovery_url), asked)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"nonsense", "JSONDecodeError"),
        (document(issuer=...), "another issuer"),
        (document(issuer=ISS + "/"), "another issuer"),
        (document(issuer="https://evil.example"), "another issuer"),
        (document(issuer=[ISS]), "another issuer"),
        (document(access_token_issuer=ISS, issuer="x"), "another issuer"),
        (document(jwks_uri=...), "without jwks_uri"),
        (document(jwks_uri=7), "without jwks_uri"),
        (document(jwks_uri="https://evil.example/k"), "jwks_hosts"),
        (document(jwks_uri="https://id.example.evil.example/k"), "jwks_hosts"),
        (document(jwks_uri="https://id.example@evil.example/k"), "https address"),
        (document(jwks_uri="http://id.example/k"), "in clear"),
        (document(jwks_uri="http://127.0.0.1/k"), "jwks_hosts"),
        (document(jwks_uri="http://169.254.169.254/latest"), "in clear"),
        (document(jwks_uri="file:///etc/passwd"), "https address"),
    ],
)
def test_a_document_that_is_not_followed(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        key_set_url(data, issuer(discovery=True), ASKED)


def test_https_never_becomes_http_on_the_way() -> None:
    asked = read_issuer_url("https://localhost/d")
    with pytest.raises(ValueError, match="in clear"):
        key_set_url(document(jwks_uri="http://localhost/k"), issuer(discovery=True), asked)
    clear = read_issuer_url("http://localhost:1/d")
    assert key_set_url(document(jwks_uri="http://localhost:2/k"), issuer(discovery=True), clear).port == 2
