"""Each lack is named, and one is enough."""

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.readiness import Facts, lacks

WELL = Facts(started=True, draining=False, recording=True, serving=True, unkept=(), keyless=(), stale=(), store_away="")


def test_nothing_is_lacking() -> None:
    assert lacks(WELL) == ()


@pytest.mark.parametrize(
    ("fact", "names", "word"),
    [
        ({"started": False, "unkept": ("key sets",)}, ["starting"], "starting"),
        ({"draining": True}, ["draining"], "stopped"),
        ({"recording": False}, ["audit_unwritable"], "audit log"),
        ({"serving": False}, ["no_target"], "no model target"),
        ({"keyless": ("corp", "lab")}, ["issuer_without_keys", "issuer_without_keys"], "corp"),
        ({"store_away": "unreachable"}, ["store_away"], "(unreachable)"),
        ({"stale": ("home",)}, ["keys_stale"], "keys.db"),
        ({"stale": ("store",)}, ["shared_keys_stale"], "other hosts"),
        ({"unkept": ("housekeeping",)}, ["work_ended"], "housekeeping"),
    ],
)
def test_what_is_lacking_is_named(fact: dict[str, Any], names: list[str], word: str) -> None:
    found = lacks(replace(WELL, **fact))
    assert [each.name for each in found] == names
    assert word in found[0].what
    assert all(each.remedy for each in found)


def test_all_that_is_lacking_is_told() -> None:
    found = lacks(replace(WELL, recording=False, serving=False, stale=("home", "store")))
    assert [each.name for each in found] == ["audit_unwritable", "no_target", "keys_stale", "shared_keys_stale"]
