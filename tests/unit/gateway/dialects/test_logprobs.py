import math

import pytest

from gateway.dialects.logprobs import completion_logprobs, token_logprobs, top_logprobs_of
from policies.call import TokenLogprob
from policies.errors import BadRequest

TOKENS = (
    TokenLogprob("Pa", b"Pa", -0.25, (TokenLogprob("Pa", b"Pa", -0.25), TokenLogprob("Lo", b"Lo", -math.inf))),
    TokenLogprob("ris", b"ris", math.nan),
)


def test_what_is_asked_for() -> None:
    assert top_logprobs_of(False, 0) is None
    assert top_logprobs_of(False, 5) is None
    assert top_logprobs_of(True, 0) == 0
    assert top_logprobs_of(True, 20) == 20


@pytest.mark.parametrize("top", [-1, 21])
def test_range(top: int) -> None:
    with pytest.raises(BadRequest) as refused:
        top_logprobs_of(True, top)
    assert refused.value.text == "top_logprobs must be between 0 and 20"


def test_written_for_chats() -> None:
    assert token_logprobs(TOKENS) == [
        {
            "token": "Pa",
            "logprob": -0.25,
            "bytes": [80, 97],
            "top_logprobs": [
                {"token": "Pa", "logprob": -0.25, "bytes": [80, 97]},
                {"token": "Lo", "logprob": -9999.0, "bytes": [76, 111]},
            ],
        },
        {"token": "ris", "logprob": -9999.0, "bytes": [114, 105, 115], "top_logprobs": []},
    ]


def test_written_for_completions() -> None:
    assert completion_logprobs(TOKENS, 10) == {
        "tokens": ["Pa", "ris"],
        "token_logprobs": [-0.25, -9999.0],
        "top_logprobs": [{"Pa": -0.25, "Lo": -9999.0}, {}],
        "text_offset": [10, 12],
    }
