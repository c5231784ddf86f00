"""How large a frame of a worker may be: what one step of the planned slots can hold. Pure.

Nobody vouches for a worker, and a gateway keeps a frame in memory until it is whole. Embeddings have vectors, whose
length the plan does not know: for them the bound of all frames stands.
"""

from engine.frames import MAX_FRAME_BYTES
from engine.plan import ProcessPlan

MOST_OUTPUT_CHARACTERS = 8 * 1024
"""Of one request in one step: a token, and a stop string's length that was held back before it."""
CHARACTER_BYTES = 4
LOGPROB_BYTES = 512 * 1024
"""The likeliest tokens beside each that was held back: some hundred with twenty alternatives of 200 bytes."""
TOKEN_BYTES = 4
REST_BYTES = 256 * 1024
"""The frame's own fields, those of the requests in it, and names of adapters."""


def most_answer_bytes(plan: ProcessPlan) -> int:
    """The bound for one frame of the worker of `plan`.

    Each slot may give text and probabilities, and end, with the tokens of its whole context.
    """
    if plan.role == "embedding":
        return MAX_FRAME_BYTES
    slot_bytes = MOST_OUTPUT_CHARACTERS * CHARACTER_BYTES + LOGPROB_BYTES + plan.context_tokens * TOKEN_BYTES
    return min(MAX_FRAME_BYTES, plan.slots * slot_bytes + REST_BYTES)
