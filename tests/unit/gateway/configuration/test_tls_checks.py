"""Client certificates need authorities to be judged by, TLS to come in, and names that the policy can mean."""

from gateway.configuration.settings import AdminSettings, Config, ListenSettings, TlsSettings
from gateway.configuration.tls_checks import certificate_misfits, tls_misfits
from policies.certificates.certificate_mapping import CertificateIdentity
from policies.console.roles import RoleGrant
from policies.policy import Policy, Team

ASKS = ListenSettings(client_certificates="required")


def paths(config: Config) -> list[str]:
    return [".".join(map(str, misfit.path)) for misfit in tls_misfits(config)]


def test_what_fits() -> None:
    assert paths(Config()) == []
    assert paths(Config(public=ASKS, tls=TlsSettings(client_ca="tls/clients.pem", client_crl="tls/clients.crl"))) == []
    assert paths(Config(tls=TlsSettings(client_ca="tls/clients.pem"))) == []


def test_what_does_not() -> None:
    in_clear = AdminSettings(client_certificates="optional", unsafe_no_tls=True)
    assert paths(Config(public=ASKS, admin=in_clear)) == ["admin.client_certificates", "public.client_certificates"]
    assert paths(Config(tls=TlsSettings(client_crl="tls/clients.crl"))) == ["tls.client_crl"]


def test_certificates_name_teams_of_the_policy_by_names_that_there_can_be() -> None:
    identities = {
        "dns:app.test": CertificateIdentity(team="red"),
        "App": CertificateIdentity(team="red"),
        "dns:other.test": CertificateIdentity(team="blue"),
    }
    found = list(certificate_misfits(Policy(teams={"red": Team()}, certificates=identities)))
    assert [misfit.path for misfit in found] == [("certificates", "App"), ("certificates", "dns:other.test", "team")]


def test_roles_name_teams_of_the_policy() -> None:
    roles = (
        RoleGrant(role="auditor", groups=("a",), teams=("red",)),
        RoleGrant(role="team-lead", groups=("b",), teams=("red", "blue")),
    )
    [misfit] = certificate_misfits(Policy(teams={"red": Team()}, roles=roles))
    assert (misfit.path, "'blue'" in misfit.text) == (("roles", 1, "teams"), True)
