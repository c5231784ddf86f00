"""The benchmark of the queue on a real pool, in its least size: what it is told of each request is whole and true."""

import asyncio
from pathlib import Path

import pytest

from bench.pool_admission.capacity import sample
from bench.pool_admission.load import Answered, clients
from bench.pool_admission.site import Pool, Promises, pools
from bench.pool_admission.stories import Line, Story, stories
from tests.e2e.serving import until

pytestmark = pytest.mark.slow
ASKED = 12
AT_ONCE = 6


def test_every_answer_has_its_story_under_both_queues(model_file: Path, tmp_path: Path) -> None:
    with pools(model_file, tmp_path, Promises({"light": None})) as found:
        for pool in found.values():
            told = _told(pool)
            assert len(told) == ASKED
            assert all(each.answer is not None and each.answer.first_token_s for each in told)
            assert all(each.ended_s and each.output_tokens for each in told)
            assert 0 < sum(each.waited for each in told) <= ASKED - 4  # of six at once, two find no slot of four
            assert sum(each.cached_tokens for each in told) < ASKED * 8  # no prefix is shared but the first words


def _told(pool: Pool) -> list[Story]:
    async def ask() -> list[Answered]:
        async with clients(pool) as callers:
            return await callers.together(sample("light", ASKED), AT_ONCE)

    answers = asyncio.run(ask())
    tape: list[Line] = []

    def has_every_end() -> bool:
        tape.extend(pool.tape())
        return sum(line["kind"] == "ended" for line in tape) >= ASKED

    assert until(has_every_end), "the gateway writes it out at each tick"
    return stories(tape, answers)
