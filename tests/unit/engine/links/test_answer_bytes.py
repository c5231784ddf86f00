from pathlib import Path

from engine.frames import MAX_FRAME_BYTES, Ended, Output, Step, encode
from engine.links.answer_bytes import MOST_OUTPUT_CHARACTERS, most_answer_bytes
from policies.call import TokenLogprob
from tests.unit.engine.engine_process_fake import process_plan

TOKEN = "\U0001f600" * 50


def test_the_largest_step_of_all_slots_fits_and_not_much_more() -> None:
    plan = process_plan(Path("w"), slots=8, context_tokens=4096)
    likely = TokenLogprob(TOKEN, TOKEN.encode(), -0.5)
    chosen = TokenLogprob(TOKEN, TOKEN.encode(), -0.5, (likely,) * 20)
    text = "\U0001f600" * MOST_OUTPUT_CHARACTERS
    outputs = tuple(Output(id=each, text=text, output_tokens=1, logprobs=(chosen,) * 50) for each in range(8))
    ended = tuple(Ended(id=each, reason="stop", token_ids=b"0123" * 4096) for each in range(8))
    step = Step(
        outputs=outputs, ended=ended, step_ns=1, decode_rows=8, prefill_rows=0, cached_tokens=0, output_tokens=8,
        busy_slots=0, slots=8,
    )  # fmt: skip
    assert len(encode(step)) <= most_answer_bytes(plan) <= MAX_FRAME_BYTES // 8


def test_vectors_and_the_largest_plans_have_the_bound_of_all_frames() -> None:
    assert most_answer_bytes(process_plan(Path("w"), "embedding")) == MAX_FRAME_BYTES
    assert most_answer_bytes(process_plan(Path("w"), slots=1024, context_tokens=10**6)) == MAX_FRAME_BYTES
