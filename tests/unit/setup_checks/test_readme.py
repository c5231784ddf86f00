"""The policies that README.md shows are policies."""

import re
from pathlib import Path

import pytest

from gateway.configuration.config import parse_policy
from setup.places import ROOT

POLICIES = re.findall(r"^```yaml\n(teams:.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_there_is_one() -> None:
    assert POLICIES


@pytest.mark.parametrize("text", POLICIES)
def test_it_can_be_put_in_force(text: str) -> None:
    assert parse_policy(text.encode(), Path("policy.yaml")).teams
