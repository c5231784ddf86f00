"""The discovery document's checks, one by one."""

import json
from typing import Any

import pytest

from policies.console.oidc_endpoints import Endpoints, read_endpoints
from policies.tokens.issuer_url import read_issuer_url

ISS = "https://id.example/realms/corp"
ASKED = read_issuer_url(f"{ISS}/.well-known/openid-configuration")
GOOD = {
    "issuer": ISS,
    "authorization_endpoint": f"{ISS}/authorize",
    "token_endpoint": "https://id.example:8443/token",
    "end_session_endpoint": f"{ISS}/logout",
}


def read(hosts: tuple[str, ...] = (), **changes: Any) -> Endpoints:
    document = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return read_endpoints(json.dumps(document).encode(), ISS, ASKED, hosts)


def test_a_sparse_document_is_read_by_the_defaults_of_the_specification() -> None:
    found = read()
    assert found.authorization == "https://id.example:443/realms/corp/authorize"
    assert (found.token.origin, found.token.path) == ("https://id.example:8443", "/token")
    assert found.end_session == "https://id.example:443/realms/corp/logout"
    assert (found.secret_in_form, found.names_issuer) == (False, False)


@pytest.mark.parametrize(
    ("ways", "in_form"),
    [
        (["client_secret_post"], True),
        (["client_secret_post", "client_secret_basic"], False),
        (["private_key_jwt", "client_secret_basic"], False),
    ],
)
def test_the_secret_goes_into_the_header_where_that_is_taken(ways: list[str], in_form: bool) -> None:
    assert read(token_endpoint_auth_methods_supported=ways).secret_in_form is in_form


@pytest.mark.parametrize(("value", "named"), [(True, True), (False, False), ("true", False), (1, False)])
def test_only_a_provider_that_says_so_must_name_itself_on_the_way_back(value: Any, named: bool) -> None:
    assert read(authorization_response_iss_parameter_supported=value).names_issuer is named


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"issuer": ISS + "/"}, "another issuer"),
        ({"issuer": ...}, "another issuer"),
        ({"response_types_supported": ["id_token"]}, "code flow"),
        ({"response_types_supported": "code"}, "no list"),
        ({"code_challenge_methods_supported": ["plain"]}, "S256"),
        ({"code_challenge_methods_supported": []}, "S256"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "neither"),
        ({"authorization_endpoint": ...}, "without authorization_endpoint"),
        ({"token_endpoint": 7}, "without token_endpoint"),
        ({"token_endpoint": "https://evil.example/token"}, "hosts does not name"),
        ({"token_endpoint": "https://id.example@evil.example/token"}, "https address"),
        ({"authorization_endpoint": "https://id.example.evil.example/a"}, "hosts does not name"),
        ({"authorization_endpoint": "https://id.example/a?b=c"}, "without user, query"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "https address"),
        ({"token_endpoint": "http://id.example/token"}, "in clear"),
    ],
)
def test_what_breaks_a_rule_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as refused:
        read(**changes)
    assert "evil" not in str(refused.value)


def test_a_host_that_the_settings_name_may_hold_an_endpoint() -> None:
    assert read(("Tokens.Example",), token_endpoint="https://tokens.example/t").token.host == "tokens.example"


def test_a_loopback_provider_in_clear_is_for_this_machine_only() -> None:
    asked = read_issuer_url("http://127.0.0.1:9/.well-known/openid-configuration")
    places = ("authorization_endpoint", "token_endpoint")
    document = {"issuer": "http://127.0.0.1:9", **dict.fromkeys(places, "http://127.0.0.1:9/x")}
    assert read_endpoints(json.dumps(document).encode(), "http://127.0.0.1:9", asked, ()).token.scheme == "http"
    with pytest.raises(ValueError, match="in clear"):
        read(("127.0.0.1",), token_endpoint="http://127.0.0.1/t")


@pytest.mark.parametrize("place", [..., 7, "https://evil.example/out", "http://id.example/out", "/out"])
def test_an_unfit_end_of_session_is_left_out(place: Any) -> None:
    assert read(end_session_endpoint=place).end_session == ""


@pytest.mark.parametrize("document", [b"", b"[]", b"{", b'{"issuer":"a","issuer":"b"}', b"\xff"])
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_endpoints(document, ISS, ASKED, ())
