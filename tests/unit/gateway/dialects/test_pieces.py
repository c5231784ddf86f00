from gateway.dialects.pieces import Piece, Pieces, joined
from policies.call import Embedded, Final, Reasoning, Text, TokenLogprob, ToolCall, ToolCalled

LOGPROB = TokenLogprob("a", b"a", -1.0)


def test_text_is_counted() -> None:
    pieces = Pieces()
    assert pieces.take(Text("日本")) == Piece(text="日本")
    assert pieces.take(Text("x", (LOGPROB,))) == Piece(text="x", logprobs=(LOGPROB,), offset_chars=2)
    assert pieces.chars == 3


def test_calls_are_numbered_and_named() -> None:
    pieces = Pieces()
    pieces.request_id = "r1"
    given = pieces.take(ToolCalled(ToolCall("call_engine", "f", {})))
    made = pieces.take(ToolCalled(ToolCall("", "g", {"a": 1})))
    assert given.calls == ((0, ToolCall("call_engine", "f", {})),)
    ((index, call),) = made.calls
    assert (index, call.name, call.arguments) == (1, "g", {"a": 1})
    assert call.id.startswith("call_")
    assert len(call.id) == len("call_") + 8
    other = Pieces()
    other.request_id = "r2"
    assert other.take(ToolCalled(ToolCall("", "g", {}))).calls[0][1].id != call.id


def test_the_end_adds_nothing() -> None:
    assert Pieces().take(Final("stop")).empty()
    assert Pieces().take(Embedded(((1.0,),))).empty()
    assert Pieces().take(Text("")).empty()
    assert not Pieces().take(Text("", (LOGPROB,))).empty()


def test_joined() -> None:
    pieces = Pieces()
    call = ToolCall("c", "f", {})
    events = (Reasoning("h"), Reasoning("m"), Text("a", (LOGPROB,)), Text("b"), ToolCalled(call))
    assert joined([pieces.take(event) for event in events]) == Piece(
        text="ab", reasoning="hm", calls=((0, call),), logprobs=(LOGPROB,)
    )
    assert joined([]) == Piece()
