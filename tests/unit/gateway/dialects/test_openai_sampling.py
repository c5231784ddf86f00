from typing import Any

import pytest

from gateway.dialects.fields import read_fields
from gateway.dialects.ollama_options import MAX_OUTPUT_TOKENS
from gateway.dialects.openai_sampling import SamplingRequest, bounded_tokens, include_usage, read_sampling
from policies.call import Sampling
from policies.errors import BadRequest


def read(**fields: Any) -> dict[str, Any]:
    return read_sampling(read_fields(fields, SamplingRequest))


def test_defaults() -> None:
    assert read() == {"sampling": Sampling(temperature=1.0, top_p=1.0), "max_output_tokens": None}
    assert read(temperature=None, stop=None, seed=None, n=None, max_tokens=None) == read()


def test_all_of_them() -> None:
    found = read(
        temperature=0, top_p=0.5, frequency_penalty=-2, presence_penalty=2, seed=-7, stop="end", max_tokens=9, n=1
    )
    assert found["sampling"] == Sampling(
        temperature=0.0, top_p=0.5, frequency_penalty=-2.0, presence_penalty=2.0, seed=2**32 - 8, stop=("end",)
    )
    assert found["max_output_tokens"] == 9
    assert read(stop=["a", "", "b"])["sampling"].stop == ("a", "b")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 2.1),
        ("temperature", -0.1),
        ("top_p", 1.1),
        ("frequency_penalty", 3),
        ("presence_penalty", -3),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("seed", 2**54),
        ("seed", "x"),
        ("stop", [1]),
        ("stop", ["x"] * 17),
        ("n", 2),
        ("stream", 1),
        ("stream_options", []),
    ],
)
def test_refused(field: str, value: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        read(**{field: value})
    assert field in refused.value.text


def test_caps() -> None:
    assert bounded_tokens(None, None) is None
    assert bounded_tokens(5, None) == 5
    assert bounded_tokens(5, 3) == 3
    assert bounded_tokens(2**50) == MAX_OUTPUT_TOKENS


def test_usage_is_asked_for() -> None:
    assert not include_usage(SamplingRequest())
    assert not include_usage(read_fields({"stream_options": {"include_usage": None}}, SamplingRequest))
    assert include_usage(read_fields({"stream_options": {"include_usage": True}}, SamplingRequest))
