from typing import Any

import pytest

from gateway.dialects.openai_completions import read_completions
from policies.call import Call, Sampling
from policies.errors import BadRequest, ModelUnknown

ASK = {"model": "m", "prompt": "once"}
SAMPLING = Sampling(temperature=1.0, top_p=1.0)


def call(**fields: Any) -> Call:
    return read_completions(ASK | fields, "").call


def test_raw_continuation() -> None:
    assert call() == Call(kind="completion", model="m", prompt="once", raw=True, sampling=SAMPLING)
    found = call(suffix="end", logprobs=3, max_tokens=4, echo=True)
    assert (found.suffix, found.top_logprobs, found.max_output_tokens) == ("end", 3, 4)
    assert call(logprobs=0).top_logprobs == 0
    assert read_completions(ASK | {"stream": True}, "").renderer.streamed


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"prompt": ["a"]}, 'invalid field "prompt": must be string, not array'),
        ({"prompt": ""}, 'missing field "prompt"'),
        ({"prompt": None}, 'missing field "prompt"'),
        ({"logprobs": 21}, "logprobs must be between 0 and 20"),
        ({"logprobs": True}, 'invalid field "logprobs": must be integer, not boolean'),
        ({"n": 3}, 'invalid field "n": must be 1'),
    ],
)
def test_refused(field: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        call(**field)
    assert refused.value.text == text


def test_no_model() -> None:
    with pytest.raises(ModelUnknown):
        read_completions(None, "")
