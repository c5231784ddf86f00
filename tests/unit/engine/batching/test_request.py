"""The accounts of one request."""

import numpy as np
import pytest

from engine.batching.request import Request, StartRefused, read_prompt
from engine.batching.sampler import TokenSampler
from engine.frames import Output, Start
from policies.call import Sampling
from tests.unit.engine.batching_fake import FakeChain, NoCandidates


def make(stop: tuple[str, ...] = ()) -> Request:
    start = Start(id=4, token_ids=(b"",), sampling=Sampling(stop=stop), max_output_tokens=9, cache_scope="")
    sampler = TokenSampler(NoCandidates(), FakeChain(), greedy=True)
    return Request("o", start, np.array([1, 2, 3], np.int32), sampler, 1000)


def test_a_prompt_is_little_endian_ids_within_the_vocabulary() -> None:
    assert read_prompt(b"\x01\0\0\0\x00\x01\0\0", vocabulary_size=257).tolist() == [1, 256]
    for bad in (b"", b"\x01\0\0", b"\x00\x01\0\0\0"):
        with pytest.raises(StartRefused, match="int32"):
            read_prompt(bad, vocabulary_size=256)
    for bad in (b"\x00\x01\0\0", b"\xff\xff\xff\xff"):
        with pytest.raises(StartRefused, match="outside"):
            read_prompt(bad, vocabulary_size=256)


def test_tokens_whose_text_is_held_are_counted_with_the_next_text() -> None:
    request = make(("end",))
    outputs = []
    for token_id, piece in ((10, b"e"), (11, b"n"), (12, b"ough")):
        request.count_token(2000)
        outputs.append(request.take(token_id, piece, None))

    assert outputs == [(None, False), (None, False), (Output(id=4, text="enough", output_tokens=3), False)]
    assert request.flush() == (None, False)


def test_times_and_counts_of_the_ending() -> None:
    request = make()
    request.cached_tokens = 2
    request.count_token(1500)
    request.take(10, b"a", None)
    request.count_token(1800)
    ended = request.ended("stop", 2500)

    assert (ended.prompt_tokens, ended.cached_tokens, ended.output_tokens) == (3, 2, 2)
    assert (ended.prefill_ns, ended.decode_ns) == (500, 1000)
    assert np.frombuffer(ended.token_ids, "<i4").tolist() == [10]


def test_an_ending_before_the_first_token_is_all_prefill() -> None:
    ended = make().ended(None, 1700, "no room")

    assert (ended.reason, ended.fault, ended.prefill_ns, ended.decode_ns) == (None, "no room", 700, 0)
