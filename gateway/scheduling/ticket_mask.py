"""A ticket as other gateways and Redis may see it, and back.

Rules.
* `owner` is the gateway that holds the caller's connection, whatever the ticket said.
* Hashes of the prompt's blocks and the request's identity become short HMACs under a key that all gateways make from
  the same pepper: equal stays equal, and nobody who reads along learns whether a guessed prompt is among them.
* A pool is what the gateways of one site can reach: its workers' sockets are on that host only. So the site is part of
  a model's name in the queue, and of a target's name unless its server is the same for everybody (`target_name`).
* Moments are seconds of the reader's own clock (`sent`, `received`).
"""

import hashlib
import hmac
from collections.abc import Callable

from msgspec import structs

from policies.admitting.events import Arrived, QueueEvent, Resumed, TargetLost, TargetReady
from policies.admitting.queue_view import QueueView
from policies.admitting.ticket import TargetFacts, Ticket

BLOCK_BYTES = 8
"""Two of a million blocks look alike once in forty million times; then a prompt goes where it is not cached."""
IDENTITY_BYTES = 16
MOST_BLOCKS = 256
"""16,384 tokens of 64 each: beyond it the choice of a target hardly changes."""
PURPOSE = b"corral queue mask 1\0"
AT_SITE = "\N{NO-BREAK SPACE}@"
"""Between a model's name and its site; no model or target has it in its name."""


class Mask:
    """For the tickets of one gateway, `me`, at one `site`. `target_name` gives the queue's name of a target of ours."""

    def __init__(self, pepper: bytes, me: str, site: str, target_name: Callable[[str], str]) -> None:
        self._key = hmac.digest(pepper, PURPOSE, hashlib.sha256)
        self._me = me
        self._site = AT_SITE + site
        self._target_name = target_name
        self._own_name: dict[str, str] = {}

    def ticket(self, ticket: Ticket) -> Ticket:
        """`ticket` as the queue has it."""
        return structs.replace(
            ticket,
            owner=self._me,
            model=ticket.model + self._site,
            blocks=tuple(self._short(each, BLOCK_BYTES) for each in ticket.blocks[:MOST_BLOCKS]),
            identity=self._short(ticket.identity, IDENTITY_BYTES) if ticket.identity else b"",
        )

    def target(self, target: str) -> str:
        """The queue's name of our target."""
        name = self._target_name(target)
        self._own_name[name] = target
        return name

    def own_target(self, name: str) -> str:
        """Our name of a target; the queue's, where it is none of ours."""
        return self._own_name.get(name, name)

    def facts(self, facts: TargetFacts) -> TargetFacts:
        """`facts` as the queue has them."""
        pools = tuple((model + self._site, adapter, kind) for model, adapter, kind in facts.pools)
        return structs.replace(facts, id=self.target(facts.id), pools=pools)

    def plain(self, view: QueueView) -> QueueView:
        """`view` with our own names for what is at our site."""
        return structs.replace(
            view,
            targets=tuple(structs.replace(each, id=self.own_target(each.id)) for each in view.targets),
            pools=tuple(structs.replace(each, model=each.model.removesuffix(self._site)) for each in view.pools),
        )

    def _short(self, value: bytes, length: int) -> bytes:
        return hmac.digest(self._key, value, hashlib.sha256)[:length]


def sent(event: QueueEvent, now_s: float) -> QueueEvent:
    """`event` with its moments as seconds from now."""
    return _moved(event, -now_s)


def received(event: QueueEvent, now_s: float) -> QueueEvent:
    """`event` as it came, with its moments by our clock."""
    return _moved(event, now_s)


def _moved(event: QueueEvent, by_s: float) -> QueueEvent:
    if not isinstance(event, Arrived | Resumed):
        return event
    ticket = event.ticket
    expires_s = None if ticket.expires_s is None else ticket.expires_s + by_s
    return structs.replace(
        event, ticket=structs.replace(ticket, arrived_s=ticket.arrived_s + by_s, expires_s=expires_s)
    )


def masked(event: QueueEvent, mask: Mask) -> QueueEvent:
    """Any event but those of tickets, as the queue shall hear it."""
    if isinstance(event, TargetReady | TargetLost):
        return structs.replace(event, facts=mask.facts(event.facts))
    return event
