from typing import Any

import pytest

from gateway.dialects.thinking import read_effort, read_think
from policies.errors import BadRequest


@pytest.mark.parametrize("value", [None, True, False, "low", "medium", "high", "max"])
def test_think(value: Any) -> None:
    assert read_think(value) == value


def test_think_refused_in_ollamas_words() -> None:
    with pytest.raises(BadRequest) as refused:
        read_think("x")
    assert refused.value.text == ('invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)')
    with pytest.raises(BadRequest):
        read_think(1)


@pytest.mark.parametrize(
    ("effort", "think"),
    [(None, None), ("none", False), ("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"),
     ("xhigh", "max"), ("ultra", "max"), ("max", "max")],
)  # fmt: skip
def test_effort(effort: str | None, think: Any) -> None:
    assert read_effort(effort) == think


def test_effort_refused() -> None:
    with pytest.raises(BadRequest):
        read_effort("extreme")
