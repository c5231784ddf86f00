"""What gateways that share a queue write to each other: the letters, and how a foreign or malformed one is known.

A letter is 16 bytes of HMAC-SHA-256 over the channel and the body, and the body in msgpack. Rules:
 (1) Only who holds the pepper can write one: whoever can write in Redis cannot take a place in the queue.
 (2) It decodes strictly into one of four types, within `MAX_LETTER_BYTES`, every number finite and within reach,
     every text short; or it is `Foreign`, which the reader counts and forgets.
 (3) Moments travel as seconds from the writing, because each host has a monotonic clock of its own.
 (4) `talk` names one conversation of a gateway with one who decides, `seq` a letter's place in it, from 0 in either
     direction. A gap, or a letter of another talk, is a lost letter; what follows from that the desks decide.

A letter names teams, models and sizes. No prompt, answer or secret is in it; of a prompt's blocks and of a request's
identity it has short HMACs (`ticket_mask`).
"""

import hashlib
import hmac
import math
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from policies.admitting.effects import Forecast
from policies.admitting.events import Arrived, QueueEvent, Resumed, TargetLost, TargetReady
from policies.admitting.queue_view import QueueView
from policies.admitting.ticket import RefusalReason

MAX_LETTER_BYTES = 4 * 1024 * 1024
MAX_EVENTS = 256
"""In one letter; an announcement is as many letters as it needs."""
SEAL_BYTES = 16
PURPOSE = b"corral shared queue 1\0"
"""The pepper is the key of other hashes too; no text of those begins so."""
FAR = 1e12
LONGEST_TEXT = 512
LONGEST_ROW = 8192

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Foreign(Exception):
    """Bytes that none of our gateways wrote, or that say what cannot be."""


class Go(Struct, frozen=True, tag=True):
    """The ticket's turn: run it on this target."""

    id: Number
    target: Name


class Stay(Struct, frozen=True, tag=True):
    """The ticket waits; what is known of its wait by now."""

    id: Number
    forecast: Forecast


class No(Struct, frozen=True, tag=True):
    """The ticket is turned away."""

    id: Number
    reason: RefusalReason
    retry_after_s: float | None
    forecast: Forecast


Decision = Go | Stay | No


class Told(Struct, frozen=True, tag=True, kw_only=True):
    """A gateway to the one that decides. `announced`: all it has was told by now. `asks`: forecasts it wants anew."""

    sender: Name
    epoch: Number
    talk: Number
    seq: Number
    events: Annotated[tuple[QueueEvent, ...], Meta(max_length=MAX_EVENTS)] = ()
    announced: bool = False
    asks: Annotated[tuple[Number, ...], Meta(max_length=MAX_EVENTS)] = ()
    leaving: bool = False


class Decided(Struct, frozen=True, tag=True, kw_only=True):
    """Who decides to one gateway of its talk.

    `heard` counts the letters of the talk that were taken in. `again`: announce everything anew. `lent` are free slots
    by target that it may give to newcomers unasked while nobody waits; `steps_of` the targets whose steps it tells.
    """

    sender: Name
    epoch: Number
    talk: Number
    seq: Number
    heard: Number = 0
    decisions: Annotated[tuple[Decision, ...], Meta(max_length=LONGEST_ROW)] = ()
    again: bool = False
    lent: Annotated[dict[Name, Number], Meta(max_length=LONGEST_ROW)] = {}
    steps_of: Annotated[tuple[Name, ...], Meta(max_length=LONGEST_ROW)] = ()
    view: QueueView | None = None


class Hail(Struct, frozen=True, tag=True, kw_only=True):
    """Who decides, to everybody; `over`: no longer."""

    sender: Name
    epoch: Number
    over: bool = False


Letter = Told | Decided | Hail

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Letter)


class Seal:
    """Writes and reads letters under the key that all gateways make from the same pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._key = hmac.digest(pepper, PURPOSE, hashlib.sha256)

    def write(self, channel: str, letter: Letter) -> bytes:
        """The letter for `channel` as bytes."""
        body = _encoder.encode(letter)
        return self._mac(channel, body) + body

    def read(self, channel: str, data: bytes) -> Letter:
        """The letter in `data`, which came on `channel`. Raises Foreign."""
        if not SEAL_BYTES < len(data) <= MAX_LETTER_BYTES:
            raise Foreign("size")
        mac, body = data[:SEAL_BYTES], data[SEAL_BYTES:]
        if not hmac.compare_digest(mac, self._mac(channel, body)):
            raise Foreign("seal")
        try:
            letter: Letter = _decoder.decode(body)
        except (msgspec.MsgspecError, RecursionError):
            raise Foreign("form") from None
        if not _within(letter) or (isinstance(letter, Told) and not all(map(_can_be, letter.events))):
            raise Foreign("values")
        return letter

    def _mac(self, channel: str, body: bytes) -> bytes:
        name = channel.encode()
        text = len(name).to_bytes(4, "big") + name + body
        return hmac.digest(self._key, text, hashlib.sha256)[:SEAL_BYTES]


def _within(value: Any) -> bool:
    """Every number in it finite and no larger than `FAR`, every text and row of bounded length."""
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) <= FAR
    if isinstance(value, str | bytes):
        return len(value) <= LONGEST_TEXT
    if isinstance(value, Struct):
        return all(map(_within, msgspec.structs.astuple(value)))
    if isinstance(value, tuple):
        return len(value) <= LONGEST_ROW and all(map(_within, value))
    return not isinstance(value, int) or -FAR <= value < 2**63


def _can_be(event: QueueEvent) -> bool:
    """Whether an event's numbers are such as a queue may be told."""
    match event:
        case Arrived() | Resumed():
            ticket = event.ticket
            counts = (ticket.id, ticket.prompt_tokens, ticket.output_cap)
            return ticket.weight > 0 and ticket.arrived_s <= 0 and min(counts) >= 0 and (ticket.promise_s or 0) >= 0
        case TargetReady() | TargetLost():
            return event.facts.slots >= 0 and event.facts.slot_weight > 0 and event.facts.slot_tokens >= 0
        case _:
            return not _negative(event)


def _negative(value: Any) -> bool:
    if isinstance(value, Struct):
        return any(map(_negative, msgspec.structs.astuple(value)))
    if isinstance(value, tuple):
        return any(map(_negative, value))
    return isinstance(value, int | float) and value < 0
