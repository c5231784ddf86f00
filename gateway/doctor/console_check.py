"""Complaints about who can sign in to the console, from the two files alone.

That nobody can but by an API key is no complaint: so is a new home, and each such sign-in is an alarm by itself.
"""

from collections.abc import Iterator

from gateway.configuration.settings import Config
from gateway.doctor.complaint import Complaint
from policies.policy import Policy

CHECK = "console"


def console_complaints(config: Config, policy: Policy) -> Iterator[Complaint]:
    """Nothing where the console is closed."""
    console = config.console
    if not console.enabled:
        return
    proves_people = console.oidc is not None or console.client_certificates != "off"
    if proves_people and not policy.roles:
        yield Complaint(
            check=CHECK,
            what="policy.yaml gives nobody a role",
            why="whoever signs in is told so and sees nothing",
            remedy="name groups, subjects or certificates under roles",
        )
    yield from _roles_without_a_way(config, policy)


def _roles_without_a_way(config: Config, policy: Policy) -> Iterator[Complaint]:
    """Roles for people who could not prove themselves here."""
    ways = {"certificates": config.console.client_certificates != "off", "groups": config.console.oidc is not None}
    remedies = {"certificates": "say console.client_certificates: optional", "groups": "configure console.oidc"}
    for number, grant in enumerate(policy.roles):
        named = {"certificates": bool(grant.certificates), "groups": bool(grant.groups or grant.subjects)}
        for kind, open_way in ways.items():
            if named[kind] and not open_way:
                people = "certificates" if kind == "certificates" else "people of an identity provider"
                yield Complaint(
                    check=CHECK,
                    what=f"roles[{number}] in policy.yaml names {people}, and the console asks for none",
                    why=f"nobody gets the role {grant.role} by it",
                    remedy=f"{remedies[kind]}, or take the names out",
                )
