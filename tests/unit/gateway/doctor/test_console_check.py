"""Who can sign in to the console at all, by the two files."""

from typing import Any

from gateway.configuration.oidc_settings import OidcSettings
from gateway.configuration.settings import Config, ConsoleSettings
from gateway.doctor.console_check import console_complaints
from policies.console.roles import RoleGrant
from policies.policy import Policy, Team

OIDC = OidcSettings(issuer="https://id.example", client_id="corral", client_secret_file="secret")
BY_GROUP = RoleGrant(role="admin", groups=("ops",))
BY_SUBJECT = RoleGrant(role="auditor", subjects=("anna",))
BY_CERTIFICATE = RoleGrant(role="auditor", certificates=("email:anna@example.org",))


def said(*roles: RoleGrant, enabled: bool = True, **console: Any) -> list[str]:
    config = Config(console=ConsoleSettings(enabled=enabled, **console))
    return [each.what for each in console_complaints(config, Policy(teams={"one": Team()}, roles=roles))]


def test_a_closed_console_is_no_matter() -> None:
    assert said(BY_GROUP, enabled=False) == []


def test_a_new_homes_console_for_emergencies_is_no_complaint() -> None:
    assert said() == []


def test_a_way_in_without_any_role_is_said() -> None:
    assert said(oidc=OIDC) == ["policy.yaml gives nobody a role"]
    assert said(client_certificates="optional") == ["policy.yaml gives nobody a role"]


def test_roles_for_people_who_cannot_prove_themselves_are_said() -> None:
    assert said(BY_GROUP, BY_SUBJECT, BY_CERTIFICATE, oidc=OIDC, client_certificates="required") == []
    [certificate] = said(BY_GROUP, BY_CERTIFICATE, oidc=OIDC)
    assert certificate.startswith("roles[1] in policy.yaml names certificates")
    people = said(BY_GROUP, BY_SUBJECT, BY_CERTIFICATE, client_certificates="optional")
    assert [each[:8] for each in people] == ["roles[0]", "roles[1]"]
