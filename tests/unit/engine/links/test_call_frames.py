import struct
from typing import Any

import pytest

from engine.errors import ContextTooLong, DeadlineExceeded, PrepareFailed
from engine.frames import Ended, Failed, Ready, Step
from engine.interface import Prepared
from engine.links.call_frames import (
    last_events,
    pack_ids,
    prepare_frame,
    prepared_call,
    raise_failed,
    start_frame,
    step_report,
    unpack_ids,
    with_system,
)
from policies.call import Call, Embedded, Final, Format, Message, Sampling, Timings, Usage


def prepared(**fields: Any) -> Prepared:
    call = Call(**{"kind": "chat", "model": "tiny:latest", **fields})
    return Prepared(call=call, prompt_tokens=3, prompt_ids=((1, 2, 3),), max_output_tokens=9, grammar="root ::= x")


def ended(**fields: Any) -> Ended:
    return Ended(**{"id": 1, "reason": "stop", **fields})


def test_ids_are_int32_little_endian() -> None:
    assert pack_ids((1, -1)) == struct.pack("<2i", 1, -1)
    assert unpack_ids(struct.pack("<2i", 7, 49151)) == (7, 49151)
    with pytest.raises(ValueError, match="multiple"):
        unpack_ids(b"123")


def test_a_call_is_handed_to_the_preparer_without_what_it_does_not_need() -> None:
    call = Call(
        kind="chat",
        model="m",
        messages=(Message("user", "hi"),),
        sampling=Sampling(seed=4),
        format=Format("json"),
        max_output_tokens=None,
        cache_scope="s",
    )
    frame = prepare_frame(5, call)
    assert (frame.id, frame.messages, frame.json_format, frame.schema) == (5, call.messages, True, None)
    assert (frame.max_output_tokens, frame.cache_scope) == (0, "s")
    shaped = prepare_frame(6, Call(kind="chat", model="m", format=Format("schema", {"type": "object"})))
    assert (shaped.json_format, shaped.schema) == (False, {"type": "object"})


def test_a_preparers_answer_becomes_a_prepared_call() -> None:
    call = Call(kind="embedding", model="m", inputs=("a", "b"))
    ready = Ready(id=1, token_ids=(pack_ids((1, 2)), pack_ids((3,))), prompt_tokens=3, max_output_tokens=0)
    assert prepared_call(call, ready).prompt_ids == ((1, 2), (3,))
    with pytest.raises(ValueError, match="2 sequences for 1"):
        prepared_call(Call(kind="chat", model="m"), ready)


def test_each_kind_of_failure_has_its_error() -> None:
    with pytest.raises(PrepareFailed) as input_fault:
        raise_failed(Failed(id=1, kind="input", reason="bad_schema", text="no such type"))
    assert (input_fault.value.reason, input_fault.value.text) == ("bad_schema", "no such type")
    with pytest.raises(ContextTooLong) as too_long:
        raise_failed(Failed(id=1, kind="context", reason="long", prompt_tokens=9, limit_tokens=8))
    assert (too_long.value.prompt_tokens, too_long.value.limit_tokens) == (9, 8)
    with pytest.raises(DeadlineExceeded):
        raise_failed(Failed(id=1, kind="timeout", reason="slow"))


def test_a_seed_is_given_only_where_the_caller_named_none() -> None:
    assert start_frame(1, prepared(), seed=77).sampling.seed == 77
    assert (start_frame(1, prepared(), seed=77).fence, start_frame(1, prepared(), 77, fence=9).fence) == (0, 9)
    named = start_frame(1, prepared(sampling=Sampling(seed=0, top_k=3)), seed=77)
    assert (named.sampling.seed, named.sampling.top_k, named.grammar) == (0, 3, "root ::= x")
    assert named.token_ids == (pack_ids((1, 2, 3)),)


def test_the_end_of_a_completion_carries_the_whole_context() -> None:
    end = ended(
        prompt_tokens=3, cached_tokens=1, output_tokens=2, prefill_ns=5, decode_ns=6, token_ids=pack_ids((8, 9))
    )
    (final,) = last_events(end, prepared(kind="completion"))
    assert final == Final("stop", Usage(3, 1, 2), Timings(5, 6), (1, 2, 3, 8, 9))


@pytest.mark.parametrize("fields", [{"kind": "chat"}, {"kind": "completion", "raw": True}])
def test_other_ends_carry_no_context(fields: dict[str, Any]) -> None:
    (final,) = last_events(ended(token_ids=pack_ids((8,))), prepared(**fields))
    assert isinstance(final, Final)
    assert final.context == ()


def test_vectors_come_before_the_end() -> None:
    events = last_events(ended(vectors=(struct.pack("<2f", 0.5, -1.0),)), prepared(kind="embedding"))
    assert events[0] == Embedded(((0.5, -1.0),))
    assert isinstance(events[1], Final)


@pytest.mark.parametrize(
    "end",
    [
        ended(vectors=()),
        ended(vectors=(b"123",)),
        ended(reason=None, vectors=(b"1234",)),
    ],
)
def test_an_end_that_does_not_fit_is_a_value_error(end: Ended) -> None:
    with pytest.raises(ValueError, match=r"vectors for|multiple|without a reason"):
        last_events(end, prepared(kind="embedding"))


def test_a_step_is_reported_without_its_texts() -> None:
    step = Step(
        outputs=(),
        ended=(),
        step_ns=1,
        decode_rows=2,
        prefill_rows=3,
        cached_tokens=4,
        output_tokens=5,
        busy_slots=6,
        slots=7,
    )
    report = step_report(step)
    assert [getattr(report, name) for name in report.__struct_fields__] == [1, 2, 3, 4, 5, 6, 7]


def test_the_models_own_system_message_goes_first_unless_the_caller_brings_one() -> None:
    chat = Call(kind="chat", model="m", messages=(Message("user", "hi"),))
    assert with_system(chat, "S").messages == (Message("system", "S"), Message("user", "hi"))
    own = Call(kind="chat", model="m", messages=(Message("system", "mine"),))
    assert with_system(own, "S") is own
    assert with_system(chat, "") is chat
    plain = Call(kind="completion", model="m", prompt="p")
    assert with_system(plain, "S").system == "S"
    for call in (
        Call(kind="completion", model="m", prompt="p", system=""),
        Call(kind="completion", model="m", prompt="p", raw=True),
        Call(kind="embedding", model="m", inputs=("p",)),
    ):
        assert with_system(call, "S") is call


def test_an_adapter_goes_to_the_worker_and_into_the_salt_of_the_blocks() -> None:
    fields = {"adapter": "sql:1", "cache_scope": "s"}
    start = start_frame(1, prepared(**fields), seed=1)
    assert (start.adapter, start.cache_scope) == ("sql:1", "s")
    salts = {
        prepare_frame(1, prepared(**{**fields, "adapter": adapter}).call).cache_scope for adapter in ("", "a", "b")
    }
    assert len(salts) == 3
    assert "s" in salts
