import json

import pytest
from openai.types import Model

from gateway.dialects.openai_lookups import read_models, read_one_model
from policies.call import ModelCard
from policies.errors import ModelUnknown

OLD = ModelCard(name="old:latest", digest="a" * 64, size_bytes=5, modified_at=1_700_000_000.9)
NEW = ModelCard(name="team/new:1b", digest="b" * 64, size_bytes=6, modified_at=1_750_000_000.0)
WRITTEN = {"id": "old:latest", "object": "model", "created": 1_700_000_000, "owned_by": "library"}


def test_list() -> None:
    found = json.loads(read_models(None, "").answer((OLD, NEW), None).body)
    assert found["object"] == "list"
    assert [model["id"] for model in found["data"]] == ["team/new:1b", "old:latest"]
    assert found["data"][1] == WRITTEN
    assert found["data"][0]["owned_by"] == "team"


def test_one() -> None:
    lookup = read_one_model(None, "old")
    assert (lookup.model, lookup.describe) == ("old", False)
    found = json.loads(lookup.answer((OLD,), None).body)
    assert found == WRITTEN
    Model.model_validate(found)


def test_a_name_that_is_none() -> None:
    with pytest.raises(ModelUnknown):
        read_one_model(None, "../x y")
