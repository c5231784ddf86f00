import pytest

from gateway.dialects.model_field import known_model, required_model
from policies.errors import BadRequest, ModelUnknown

NAMES = [
    "m",
    "smollm2:135m",
    "library/m",
    "hf.co/some/m:latest",
    "localhost:5000/ns/m",
    " m ",
    "_m",
    "M-1.5",
    "x:cloud",
]
NO_NAMES = [
    "",
    " ",
    "a b",
    "ns/",
    "/m",
    ":tag",
    "m:",
    "a:b:c",
    "llama3\u20242",
    "../m",
    "m\x00",
    "m\n1",
    "-m",
    "x" * 81,
]


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    assert required_model(name, "") == name
    assert known_model(name) == name


@pytest.mark.parametrize("name", [*NO_NAMES, "a/b/c/d", "n.s/m", "x" * 1_000_000])
def test_no_names(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        required_model(name, "the text")
    assert refused.value.text == "the text"
    with pytest.raises(ModelUnknown) as unknown:
        known_model(name)
    assert unknown.value.model == name
