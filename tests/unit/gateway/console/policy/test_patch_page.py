"""A patch is tried before it is printed: it changes what was asked and nothing else, or it is no patch."""

import pytest

from gateway.configuration.config import parse_policy
from gateway.console.policy.patch_page import NAME, NoPatch, Path, make_patch
from policies.addresses.egress import Egress, EgressHost
from policies.policy import Policy

TEXT = """\
teams:
  lab:
    models: ["*"]
    limits:
      tokens_per_day: 100  # T-1
  ops: {models: ["m"]}
networks:
  allow: [127.0.0.0/8]
"""


def policy(text: str = TEXT) -> Policy:
    return parse_policy(text.encode(), Path(NAME))


def test_a_patch_changes_what_was_asked():
    made = make_patch(policy(), TEXT, ("teams.lab.limits.tokens_per_day", "200"), {})
    assert [each.text for each in made.changes] == ["teams.lab.limits.tokens_per_day: 100 -> 200"]
    assert "+      tokens_per_day: 200  # T-1\n" in made.patch
    assert made.fragment == ""


def test_a_setting_without_a_place_is_printed_by_itself():
    made = make_patch(policy(), TEXT, ("teams.ops.weight", "2"), {})
    assert (made.patch, made.fragment) == ("", "teams:\n  ops:\n    weight: 2\n")


def test_without_the_text_the_setting_is_printed_by_itself():
    assert make_patch(policy(), None, ("max_queued", "5"), {}).fragment == "max_queued: 5\n"
    assert make_patch(policy(), "a: [", ("max_queued", "5"), {}).fragment == "max_queued: 5\n"


def test_a_text_that_is_not_the_policy_in_force_makes_no_patch():
    other = TEXT.replace("ops", "others")
    assert make_patch(policy(), other, ("teams.lab.weight", "2"), {}).patch == ""


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("teams.lab.limits.tokens_per_day", "0"), "tokens_per_day must be at least 1"),
        (("teams.lab.limits.tokens_per_dy", "5"), "tokens_per_dy"),
        (("teams.lab.limits.tokens_per_day", "100"), "is 100 already"),
        (("teams.lab.limits.tokens_per_day", "[5"), "policy.yaml:6: not valid YAML"),
    ],
)
def test_what_cannot_be_is_one_line(asked: tuple[str, str], told: str):
    with pytest.raises(NoPatch) as refused:
        make_patch(policy(), TEXT, asked, {})
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_value_cannot_bring_a_second_setting():
    made = make_patch(policy(), TEXT, ("networks.allow", "[10.0.0.0/8]"), {})
    assert made.patch == ""
    injected = make_patch(policy(), TEXT, ("limits", "{tokens_per_day: 5}"), {})
    assert all(each.path.startswith("limits.") for each in injected.changes)


ISSUED = (
    TEXT
    + """\
issuers:
  corp:
    issuer: "https://id.example"
    audiences: [a]
    team: lab
    jwks_url: "https://id.example/keys"
"""
)


def test_no_patch_makes_the_gateway_call_whom_config_yaml_does_not_name():
    asked = ("issuers.corp.jwks_url", "https://metadata.internal/keys")
    egress = Egress(hosts=(EgressHost(host="id.example"),))
    with pytest.raises(NoPatch, match=r"calls metadata\.internal:443, which is not under egress\.hosts"):
        make_patch(policy(ISSUED), ISSUED, asked, {}, egress)
    made = make_patch(policy(ISSUED), ISSUED, ("issuers.corp.jwks_url", "https://id.example/new"), {}, egress)
    assert "+    jwks_url: https://id.example/new\n" in made.patch
