"""What must fit together where clients show certificates."""

from collections.abc import Iterator

from gateway.configuration.settings import Config
from gateway.configuration.yaml_tree import Misfit
from policies.certificates.certificate_mapping import check_certificate_name
from policies.console.roles import unknown_teams
from policies.policy import Policy


def tls_misfits(config: Config) -> Iterator[Misfit]:
    """Client certificates need TLS to come in, and authorities of our own to be judged by."""
    asked = [name for name in ("public", "admin", "console") if getattr(config, name).client_certificates != "off"]
    for name in asked:
        if getattr(config, name).unsafe_no_tls:
            yield Misfit((name, "client_certificates"), "cannot be shown without TLS: leave unsafe_no_tls out")
    if asked and config.tls.client_ca is None:
        yield Misfit((asked[0], "client_certificates"), "needs tls.client_ca, the authorities that sign them")
    if config.tls.client_crl is not None and config.tls.client_ca is None:
        yield Misfit(("tls", "client_crl"), "is of no use without client_ca")


def certificate_misfits(policy: Policy) -> Iterator[Misfit]:
    """Each name in `certificates` must be one that a certificate can carry, and stand for a team of the policy, as must
    the teams under `roles`.
    """
    for number, team in unknown_teams(policy.roles, policy.teams):
        yield Misfit(("roles", number, "teams"), f"names team {team!r}, which is not under teams")
    for name, identity in policy.certificates.items():
        try:
            check_certificate_name(name)
        except ValueError as fault:
            yield Misfit(("certificates", name), str(fault))
        if identity.team not in policy.teams:
            yield Misfit(("certificates", name, "team"), f"names team {identity.team!r}, which is not under teams")
