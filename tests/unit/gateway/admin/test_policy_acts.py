"""The act that shows the policy in force."""

from pathlib import Path

import pytest

from gateway.configuration.config import read_policy_data
from gateway.keys.key_store import KeyStore
from tests.unit.gateway.admin.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(KeyStore.create(tmp_path / "keys.db"))


async def test_the_policy_is_shown_whole(desk: Desk):
    shown = await desk.do("policy.show")
    assert read_policy_data(shown["policy"]) == desk.policy
    assert shown["hash"] == ""
    assert desk.entries == []


async def test_it_takes_nothing(desk: Desk):
    assert (await desk.refused("policy.show", policy="x")).reason == "bad_argument"
