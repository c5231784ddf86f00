"""Complaints about ways past the gateway, from the last look of a running gateway or from one made now."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway.backdoor.asking import ask
from gateway.backdoor.back_door import BackDoorWatch, Surroundings
from gateway.backdoor.findings import UNCHECKED
from gateway.backdoor.listening_sockets import Listening, read_listening
from gateway.configuration.settings import BackDoorSettings, Config
from gateway.doctor.complaint import Complaint
from gateway.outbound_clients import OutboundClients
from policies.addresses.egress import ANYWHERE
from policies.addresses.networks import read_address

CHECK = "back door"
SHOWN_ROUTES = 3


def look_now(
    home: Path | None, config: Config | None, listening: Callable[[], Iterable[Listening]] = read_listening
) -> dict[str, Any]:
    """The result of a look made here and now, as a running gateway shows its own."""
    clients = OutboundClients(config.egress if config is not None else ANYWHERE, home or Path())
    around = Surroundings(
        listening=listening,
        own=lambda: _own(config),
        ask=lambda suspect: ask(suspect, clients),
        note=lambda _event, _details: None,
        hold=lambda _held: None,
        error=lambda _event, **_details: None,  # it is told below, and no log line may stand among the answer's
    )
    watch = BackDoorWatch(BackDoorSettings(), config.upstreams if config else (), around)
    asyncio.run(watch.look())
    return watch.shown()


def back_door_complaints(shown: dict[str, Any]) -> Iterator[Complaint]:
    """What `shown`, a look's result, gives to complain of."""
    if not shown["enabled"]:
        yield _complaint(
            "nobody looks", "a model server could be reached past the gateway unseen", "set back_door.enabled"
        )
    elif not shown["looked"]:
        yield _complaint("the first look is not over", "nothing is known yet", "ask again in a minute")
    if not shown.get("complete", True):
        yield _complaint("not all could be asked in time", "what is told here may be old", "ask again in a minute")
    if not shown["table_read"]:
        yield _complaint("/proc/net/tcp cannot be read", "servers of this host go unseen", "let this user read it")
    yield from _open_places(shown["findings"])
    for upstream, reason in sorted(shown["held"].items()):
        if reason == UNCHECKED:
            yield _complaint(
                f"upstream {upstream} did not answer",
                "it is not used until it was seen to refuse who shows no key",
                "start it, or declare it network_isolated: true",
            )


def _open_places(findings: Iterable[dict[str, Any]]) -> Iterator[Complaint]:
    routes = defaultdict(list)
    for each in findings:
        models = "" if each["models"] is None else f", {each['models']} models"
        routes[f"{each['kind']} at {each['address']} port {each['port']}"].append(
            f"{each['route']} ({each['status']}{models})"
        )
    for place, answers in routes.items():
        more = f" and {len(answers) - SHOWN_ROUTES} more" if len(answers) > SHOWN_ROUTES else ""
        yield _complaint(
            f"{place} answers without a key on {', '.join(answers[:SHOWN_ROUTES])}{more}",
            "whoever reaches it passes the gateway by",
            "bind it to 127.0.0.1, close the port, or declare its upstream network_isolated: true",
        )


def _own(config: Config | None) -> list[Listening]:
    """Our listeners as the file names them; a port of 0 is known to the gateway alone."""
    listeners = (config.public, config.admin) if config else ()
    return [Listening(str(read_address(each.address)), each.port) for each in listeners]


def _complaint(what: str, why: str, remedy: str) -> Complaint:
    return Complaint(check=CHECK, what=what, why=why, remedy=remedy)
