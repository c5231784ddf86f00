"""Complaints about the console's identity provider, which is asked here and now for what a sign-in needs of it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from gateway.clock import SystemClock
from gateway.configuration.settings import Config
from gateway.console.oidc.provider_link import ProviderLink
from gateway.console.oidc.provider_parts import ClientSecretFault, read_secret
from gateway.doctor.complaint import Complaint
from gateway.outbound_clients import OutboundClients

CHECK = "console"


def sign_in_complaints(home: Path, config: Config) -> Iterator[Complaint]:
    """Of the provider in `console.oidc`; nothing where the console is closed or has none."""
    oidc = config.console.oidc
    if not config.console.enabled or oidc is None:
        return
    try:
        secret = read_secret(home / oidc.client_secret_file)
    except ClientSecretFault as fault:
        remedy = "put the secret that the provider shows for this client into the file, and nothing else"
        yield Complaint(check=CHECK, what=str(fault), why="nobody can sign in through the provider", remedy=remedy)
        return
    clients = OutboundClients(config.egress, home)
    link = ProviderLink(oidc.client(), secret, clients, SystemClock(), lambda _issuer, _cause: None)  # it is told below
    if fault_text := asyncio.run(_examined(link)):
        yield Complaint(
            check=CHECK,
            what=f"the identity provider {oidc.issuer} cannot be used: {fault_text}",
            why="nobody can sign in to the console through it; sessions that are open go on",
            remedy="bring it back, or mend console.oidc (issuer, ca_file, hosts); an API key with the scope admin lets "
            "in meanwhile",
        )


async def _examined(link: ProviderLink) -> str:
    try:
        return await link.examine()
    finally:
        await link.close()
