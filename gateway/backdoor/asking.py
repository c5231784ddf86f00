"""Asks one suspect, without a credential and with an empty body, whether it works for anybody who comes along.

Nothing that it says is kept but the status of its answer and the number of models it lists.
"""

import contextlib
import socket
from urllib.parse import urlsplit

import msgspec

from gateway.backdoor.engine_kinds import routes_of
from gateway.backdoor.findings import REFUSALS, Finding, Look, Verdict
from gateway.backdoor.suspects import Suspect
from gateway.outbound import Outbound, OutboundFault, OutboundRefused, Way
from gateway.outbound_clients import OutboundClients
from policies.addresses.networks import is_loopback_host

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 5.0
"""An empty body is refused in milliseconds by every server there is."""
MAX_TAGS_BYTES = 4 * 1024 * 1024
TAGS = "/api/tags"


class _Tags(msgspec.Struct):
    """A list of models. Only Ollama has it without `data`; llama-server shows its own on the same route, key or not."""

    models: list[msgspec.Raw]
    data: msgspec.Raw | None = None


async def ask(suspect: Suspect, clients: OutboundClients) -> Look:
    """What the suspect answers on the first of its addresses that answers at all.

    `clients` are for upstreams elsewhere; a server of this machine is asked without leaving it.
    """
    silent = Look(suspect=suspect, verdict="silent")
    for url in suspect.urls:
        with contextlib.suppress(OutboundFault):  # no bundle, or no way there: nothing was asked
            look = await _ask_at(url, suspect, clients)
            if look.verdict != "silent":
                return look
    return silent


async def _ask_at(url: str, suspect: Suspect, clients: OutboundClients) -> Look:
    outbound = _client(url, suspect, clients)
    try:
        return await _ask_all(outbound, suspect)
    finally:
        await outbound.close()


def _client(url: str, suspect: Suspect, clients: OutboundClients) -> Outbound:
    """Raises OutboundFault."""
    if suspect.here:
        if not is_own_address(urlsplit(url).hostname or ""):
            raise OutboundFault("bound to an address that leads to another machine")
        way = Way(unsafe_any_certificate=True)
        return Outbound(url, connect_timeout_s=CONNECT_TIMEOUT_S, idle_timeout_s=ANSWER_TIMEOUT_S, way=way)
    return clients.open(
        url, ca_file=suspect.ca_file, connect_timeout_s=CONNECT_TIMEOUT_S, idle_timeout_s=ANSWER_TIMEOUT_S
    )


def is_own_address(host: str) -> bool:
    """Whether what is sent to the address `host` stays on this machine: its packets would come from there too.

    A socket can be bound to another machine's address (IP_FREEBIND, ip(7)), and nobody may aim our questions. Nothing
    is sent.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((host, 9))
            return bool(asked.getsockname()[0] == host) or is_loopback_host(host)
    except OSError:
        return False


async def _ask_all(outbound: Outbound, suspect: Suspect) -> Look:
    """Every route, until one is not answered: a server that breaks off cannot be found closed."""
    findings: list[Finding] = []
    answered = True
    try:
        for route in routes_of(suspect.kind, certain=suspect.certain):
            status = await _status(outbound, route)
            findings += [] if status in REFUSALS else [_finding(suspect, route, status)]
        if suspect.kind == "ollama" and (models := await _listed_models(outbound)) is not None:
            findings.append(_finding(suspect, TAGS, 200, models))
    except OutboundFault:
        answered = False
    verdict: Verdict = "open" if findings else "closed" if answered else "silent"
    return Look(suspect=suspect, verdict=verdict, findings=tuple(findings))


async def _status(outbound: Outbound, route: str) -> int:
    """Raises OutboundFault, but not for a kept connection that the server closed as we used it again."""
    with contextlib.suppress(OutboundFault):
        return await outbound.status("POST", route, b"", total_s=ANSWER_TIMEOUT_S)
    return await outbound.status("POST", route, b"", total_s=ANSWER_TIMEOUT_S)


async def _listed_models(outbound: Outbound) -> int | None:
    """How many models an Ollama shows to anybody; None when it shows none of its lists. Raises OutboundFault."""
    try:
        body = await outbound.fetch("GET", TAGS, max_body_bytes=MAX_TAGS_BYTES, total_s=ANSWER_TIMEOUT_S)
        tags = msgspec.json.decode(body, type=_Tags)
    except (OutboundRefused, msgspec.MsgspecError, RecursionError):
        return None
    return len(tags.models) if tags.data is None else None


def _finding(suspect: Suspect, route: str, status: int, models: int | None = None) -> Finding:
    return Finding(
        address=suspect.address, port=suspect.port, kind=suspect.kind, route=route, status=status, models=models
    )
