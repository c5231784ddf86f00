"""`corral revoke` and `corral lockdown` from the command line, on a home where no gateway runs."""

import pytest
from msgspec import to_builtins

from tests.unit.gateway.cli.gateway_fake import Gateway
from tests.unit.gateway.queue_views import queue_view


def test_a_person_is_revoked_with_the_keys_they_own(corral):
    made = corral.json("keys", "create", "--team", "default", "--owner", "anna")
    done = corral.json("revoke", "--actor", "anna", "--reason", "left", "--ticket", "T-1")
    assert (done["actor"], done["keys"]) == ("anna", 1)
    [key] = [key for key in corral.json("keys", "list") if key["id"] == made["id"]]
    assert (key["state"], key["revoked_reason"]) == ("revoked", "left")


def test_a_team_and_a_token_say_what_was_done(corral):
    status, out, _ = corral.run("revoke", "--team", "default")
    assert status == 0
    assert out.startswith("team default: what was issued until 20")
    assert out.endswith("is revoked, 1 key among it\n")
    assert corral.run("revoke", "--jti", "t1")[1].startswith("jti t1: ")


@pytest.mark.parametrize("words", [[], ["--actor", "anna", "--team", "default"], ["--actor", ""]])
def test_one_must_be_named(corral, words):
    assert corral.run("revoke", *words)[0] == 2


def test_a_misspelt_team_is_a_fault(corral):
    status, _, err = corral.run("revoke", "--team", "defualt")
    assert (status, err) == (2, "corral: policy.yaml names no team 'defualt'; its teams are: default\n")


@pytest.mark.parametrize("words", [[], ["--all"]])
def test_everybody_is_locked_down_until_it_is_lifted(corral, words):
    assert corral.run("lockdown", *words, "--reason", "fire")[1].startswith("everybody: locked down since 20")
    assert corral.json("lockdown", *words)["locked"] is True
    assert corral.run("lockdown", *words, "--lift")[1] == "everybody: not locked down\n"


def test_a_team_is_locked_down_by_itself(corral):
    assert corral.json("lockdown", "--team", "default")["team"] == "default"
    assert corral.run("lockdown", "--lift")[1] == "everybody: not locked down\n"
    assert corral.run("lockdown", "--team", "default", "--lift")[1] == "team default: not locked down\n"
    assert corral.run("lockdown", "--team", "default", "--all")[0] == 2


@pytest.mark.parametrize(
    ("lockdowns", "said"), [({}, ""), ({"lockdowns": []}, ""), ({"lockdowns": ["*", "blue"]}, "everybody, blue")]
)
def test_the_status_shows_who_is_locked_down(corral, lockdowns, said):
    policy = {"hash": "a" * 64, "author": "anna", "since": "2030-01-31T18:00:00Z", "refusal": ""}
    status = {"ready": True, "audit": True, "models": [], "running": 0, "waiting": 0, "targets": [], "policy": policy}
    corral.home.run.mkdir(exist_ok=True)
    with Gateway(corral.home, {"status": status | lockdowns, "queue": to_builtins(queue_view())}):
        out = corral.run("status")[1]
    assert out.partition("LOCKED DOWN: ")[2].partition("\n")[0] == said
