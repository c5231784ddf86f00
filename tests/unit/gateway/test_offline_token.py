"""A token judged without the network: as the gateway would, or up to the check that needs it."""

from pathlib import Path

import pytest

from gateway.offline_token import CannotTell, verify_offline
from policies.errors import NotAuthenticated, NotAuthorized
from policies.tokens.issuer import Issuer
from tests.tokens import NOW_S, claims, issuer, jwks, sign


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "keys.json").write_bytes(jwks("rsa-1"))
    return tmp_path


def verify(home: Path, token: str, **values: object):
    issuers: dict[str, Issuer] = {"corp": issuer(**{"jwks_file": "keys.json", **values})}
    return verify_offline(token, issuers, home, NOW_S)


def test_a_good_token_makes_its_principal(home: Path):
    principal = verify(home, sign())
    assert (principal.kind, principal.team, principal.subject) == ("jwt", "one", "ada")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"iss": "https://other.example"}, "jwt_issuer"),
        ({"aud": "another"}, "jwt_audience"),
        ({"exp": int(NOW_S) - 60, "iat": int(NOW_S) - 600}, "jwt_expired"),
    ],
)
def test_the_gateways_refusals_are_these(home: Path, values: dict[str, object], reason: str):
    with pytest.raises(NotAuthenticated) as refusal:
        verify(home, sign(claims(**values)))
    assert refusal.value.reason == reason


def test_another_form_or_type_is_refused_before_any_key_is_looked_for(home: Path):
    with pytest.raises(NotAuthenticated, match="jwt_form"):
        verify(home, "no.token")
    with pytest.raises(NotAuthenticated, match="jwt_algorithm"):
        verify(home, sign(), algorithms=("ES256",), jwks_file="nowhere.json")


def test_a_bearer_without_a_team(home: Path):
    with pytest.raises(NotAuthorized, match="jwt_without_team"):
        verify(home, sign(), team=None, team_claim="team")


def test_keys_that_come_over_the_network_cannot_be_told(home: Path):
    with pytest.raises(CannotTell, match=r"check 6 \(jwt_key\): this issuer's keys come over the network"):
        verify_offline(sign(), {"corp": issuer()}, home, NOW_S)


def test_a_key_file_that_is_gone_or_none(home: Path):
    with pytest.raises(CannotTell, match=r"check 6 .*nowhere\.json cannot be read"):
        verify(home, sign(), jwks_file="nowhere.json")
    (home / "keys.json").write_bytes(b"{}")
    with pytest.raises(CannotTell, match=r"check 6 .*a key set without a list of keys"):
        verify(home, sign())


def test_a_bound_token_needs_its_connection(home: Path):
    bound = sign(claims(cnf={"x5t#S256": "A" * 43}))
    with pytest.raises(CannotTell, match="check 9"):
        verify(home, bound)
