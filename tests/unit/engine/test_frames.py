"""A frame with a count that nobody can have counted is none: its numbers are what callers are charged."""

import msgspec
import pytest

from engine.frames import Ended, Frame, FrameError, FrameReader, Output, Ready, encode


def read(frame: Frame) -> list[Frame]:
    return list(FrameReader(Output | Ended | Ready).feed(encode(frame)))


@pytest.mark.parametrize("count", [0, 2**53 - 1])
def test_a_count_is_read(count: int) -> None:
    ended = Ended(id=1, reason="stop", prompt_tokens=count, cached_tokens=count, output_tokens=count)
    assert read(ended) == [ended]


@pytest.mark.parametrize("count", [-1, 2**53, 2**63])
@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (Output(id=1, text="a", output_tokens=1), "output_tokens"),
        (Ended(id=1, reason="stop"), "output_tokens"),
        (Ended(id=1, reason="stop"), "prompt_tokens"),
        (Ended(id=1, reason="stop"), "cached_tokens"),
        (Ready(id=1, token_ids=(), prompt_tokens=1), "prompt_tokens"),
    ],
)
def test_a_count_below_nothing_or_beyond_all_sums_is_no_frame(frame: Frame, field: str, count: int) -> None:
    with pytest.raises(FrameError, match="not a frame"):
        read(msgspec.structs.replace(frame, **{field: count}))
