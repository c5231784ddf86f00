"""A letter is one of ours, whole and within bounds, or it is foreign."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.scheduling.queue_letters import (
    MAX_LETTER_BYTES,
    SEAL_BYTES,
    Decided,
    Foreign,
    Go,
    Hail,
    No,
    Seal,
    Stay,
    Told,
)
from policies.admitting.effects import Forecast
from policies.admitting.events import Arrived, BandsChanged, Grew, Resumed, Stepped, TargetLost, TargetReady
from policies.admitting.ticket import BandTerms, Bounds, Step, TargetFacts
from tests.unit.gateway.scheduling.gateways import ticket

SEAL = Seal(b"k" * 32)
FACTS = TargetFacts(id="t", pools=(("m", "", "chat"),), slots=2)
STEP = Step(step_s=0.1, decode_rows=1, prefill_rows=0, busy_slots=1)
EVENTS = (
    Arrived(ticket(1, alone=True), Bounds(1, 1)),
    Resumed(ticket(2), "t", 3),
    Stepped("t", STEP),
    TargetReady(FACTS),
)


def told(*events: Any, **values: Any) -> Told:
    return Told(sender="a", epoch=1, talk=1, seq=0, events=events, **values)


DECISIONS = (Go(1, "t"), Stay(2, Forecast()), No(3, "queue_full", None, Forecast()))
LETTERS = (
    told(*EVENTS, announced=True, asks=(1,)),
    Decided(sender="a", epoch=1, talk=2, seq=3, decisions=DECISIONS),
    Hail(sender="a", epoch=2**53),
)


@pytest.mark.parametrize("letter", LETTERS)
def test_what_is_written_is_read(letter: Any) -> None:
    assert SEAL.read("channel", SEAL.write("channel", letter)) == letter


@pytest.mark.parametrize("letter", LETTERS)
def test_a_letter_of_another_channel_key_or_content_is_foreign(letter: Any) -> None:
    data = SEAL.write("channel", letter)
    for channel, changed in (
        ("other", data),
        ("channel", data[:-1]),
        ("channel", data[:-1] + bytes([data[-1] ^ 1])),
        ("channel", bytes([data[0] ^ 1]) + data[1:]),
        ("channel", b""),
        ("channel", data[:SEAL_BYTES]),
        ("channel", data + b"\0" * MAX_LETTER_BYTES),
    ):
        with pytest.raises(Foreign):
            SEAL.read(channel, changed)
    with pytest.raises(Foreign, match="seal"):
        Seal(b"other").read("channel", data)


BAD_TICKETS = (
    {"arrived_s": 1.0},
    {"arrived_s": float("nan")},
    {"arrived_s": float("-inf")},
    {"expires_s": float("inf")},
    {"expires_s": 1e13},
    {"weight": 0.0},
    {"weight": -1.0},
    {"weight": float("nan")},
    {"promise_s": -1.0},
    {"prompt_tokens": -1},
    {"output_cap": -1},
    {"team": "t" * 600},
    {"blocks": (b"x",) * 9000},
    {"blocks": (b"x" * 600,)},
)
BAD_EVENTS = (
    *(Arrived(ticket(1, **values), Bounds(1, 1)) for values in BAD_TICKETS),
    Resumed(ticket(-1)),
    Grew(1, -1),
    Grew(-1, 1),
    Stepped("t", structs.replace(STEP, step_s=-1.0)),
    Stepped("t", structs.replace(STEP, step_s=float("nan"))),
    BandsChanged((BandTerms("b", -0.5),)),
    TargetReady(structs.replace(FACTS, slots=-1)),
    TargetReady(structs.replace(FACTS, slot_weight=0.0)),
    TargetLost(structs.replace(FACTS, slot_tokens=-1)),
)


@pytest.mark.parametrize("event", BAD_EVENTS)
def test_what_cannot_be_is_foreign_though_it_is_sealed(event: Any) -> None:
    with pytest.raises(Foreign, match="values"):
        SEAL.read("channel", SEAL.write("channel", told(event)))


@pytest.mark.parametrize(
    "plain",
    [
        {"type": "Nobody"},
        {"type": "Hail", "sender": "", "epoch": 1},
        {"type": "Hail", "sender": "a", "epoch": -1},
        {"type": "Hail", "sender": "a"},
        {"type": "Told", "sender": "a", "epoch": 1, "talk": 1, "seq": 0, "events": [{"type": "Left"}]},
        {"type": "Told", "sender": "a", "epoch": 1, "talk": 1, "seq": 0, "events": [{"type": "Tick"}] * 257},
        [],
        1,
    ],
)
def test_what_has_not_the_form_is_foreign_though_it_is_sealed(plain: Any) -> None:
    body = msgspec.msgpack.encode(plain)
    with pytest.raises(Foreign, match="form"):
        SEAL.read("channel", SEAL._mac("channel", body) + body)


@given(st.binary(max_size=200))
def test_any_bytes_are_foreign(data: bytes) -> None:
    with pytest.raises(Foreign):
        SEAL.read("channel", data)


@given(st.binary(max_size=100))
def test_any_sealed_bytes_are_read_or_foreign(body: bytes) -> None:
    with contextlib.suppress(Foreign):
        SEAL.read("channel", SEAL._mac("channel", body) + body)
