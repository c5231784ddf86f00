"""What differs between two policies."""

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.config_checks import policy_misfits
from gateway.configuration.config_faults import fit
from gateway.configuration.yaml_tree import Tree
from policies.addresses.networks import Networks
from policies.policy import Band, KeyLimits, Policy, Team
from policies.policy_file.policy_diff import (
    MAX_LISTED,
    MAX_PATH,
    MAX_VALUE,
    MAX_WARNINGS,
    Difference,
    diff_details,
    diff_policies,
    orphan_warnings,
    policy_data,
    teamless_keys,
    walk,
)


@dataclass(frozen=True, kw_only=True)
class Named:
    name: str = ""
    weight: int


BASE = Policy(teams={"default": Team(models=("*",))}, networks=Networks(allow=("127.0.0.0/8",)))


def texts(before: Policy, after: Policy) -> list[str]:
    return [each.text for each in diff_policies(before, after)]


def test_a_value_is_named_by_its_path_in_the_file():
    after = replace(BASE, teams={"default": Team(models=("m",), key_limits=KeyLimits(requests_per_minute=None))})
    assert texts(BASE, after) == [
        'teams.default.models: ["*"] -> ["m"]',
        "teams.default.key_limits.requests_per_minute: 600 -> null",
    ]


def test_teams_that_come_and_go():
    [gone, new] = diff_policies(BASE, replace(BASE, teams={"lab": Team(weight=2.0)}))
    assert (gone.path, gone.after) == ("teams.default", "absent")
    assert gone.before == '{"models": ["*"]}'
    assert new == Difference("teams.lab", "absent", '{"weight": 2.0}')


def test_a_default_written_down_is_no_difference():
    assert diff_policies(BASE, replace(BASE, teams={"default": Team(models=("*",), weight=1.0)})) == ()


def test_what_the_queue_goes_by():
    team = Team(models=("*",), weight=3.0, band="interactive", first_token_s=10.0, promise_mode="report")
    assert texts(BASE, replace(BASE, teams={"default": team})) == [
        "teams.default.weight: 1.0 -> 3.0",
        'teams.default.band: "standard" -> "interactive"',
        "teams.default.first_token_s: null -> 10.0",
        'teams.default.promise_mode: "enforce" -> "report"',
    ]


def test_bands_in_another_order_have_another_rank():
    turned = replace(BASE, bands=dict(reversed(BASE.bands.items())))
    assert turned == BASE
    told = 'bands: ["interactive", "standard", "batch"] -> ["batch", "standard", "interactive"]'
    assert texts(BASE, turned) == [told]


def test_a_new_band_is_told_with_its_rank():
    bands = {"urgent": Band(share=0.2), **BASE.bands}
    assert texts(BASE, replace(BASE, bands=bands)) == [
        'bands.urgent: absent -> {"share": 0.2}',
        'bands: ["interactive", "standard", "batch"] -> ["urgent", "interactive", "standard", "batch"]',
    ]


def test_a_list_that_appears_where_none_was():
    assert texts(BASE, replace(BASE, networks=Networks())) == ['networks.allow: ["127.0.0.0/8"] -> null']


def test_a_long_list_says_what_came_and_what_went():
    many = tuple(f"10.{number}.0.0/16" for number in range(200))
    before, after = (replace(BASE, networks=Networks(allow=each)) for each in (many, (*many[1:], "192.0.2.0/24")))
    assert texts(before, after) == [
        'networks.allow: 200 entries, 1 gone: ["10.0.0.0/16"] -> 200 entries, 1 new: ["192.0.2.0/24"]'
    ]


class TestListsOfMappings:
    """No list of mappings need be in the policy, so the walk itself is asked."""

    def test_names_tell_them_apart(self):
        one, other = Named(name="a", weight=1), Named(name="b", weight=1)
        assert list(walk((one, other), (replace(one, weight=2), other), "issuers")) == [
            Difference("issuers.a.weight", "1", "2")
        ]
        assert list(walk((one,), (one, other), "issuers")) == [
            Difference("issuers.b", "absent", '{"name": "b", "weight": 1}')
        ]

    def test_another_order_is_another_list(self):
        one, other = Named(name="a", weight=1), Named(name="b", weight=1)
        [found] = walk((one, other), (other, one), "issuers")
        assert found.path == "issuers"

    def test_without_names_the_place_tells(self):
        assert list(walk((Named(weight=1), Named(weight=2)), (Named(weight=1), Named(weight=3)), "x")) == [
            Difference("x.1.weight", "2", "3")
        ]

    def test_sets_are_sorted(self):
        assert list(walk(frozenset("ba"), frozenset("c"), "scopes")) == [Difference("scopes", '["a", "b"]', '["c"]')]


def test_values_that_are_cut_never_look_alike():
    before, after = ({"name": "x" * 500 + end} for end in "ab")
    [found] = walk(before, after, "p" * 500)
    assert found.before != found.after
    assert (len(found.path), len(found.before), len(found.after)) == (MAX_PATH, MAX_VALUE, MAX_VALUE)
    assert len(found.text) <= 512


def test_a_team_that_goes_while_its_keys_live_is_warned_of():
    after = Policy(teams={})
    before = Policy(teams={"b": Team(), "a": Team(), "idle": Team()})
    assert orphan_warnings(before, after, {"a": 2, "b": 1, "other": 9, "idle": 0}) == (
        "team a is removed while 2 of its keys are active: they are refused from now on",
        "team b is removed while 1 of its keys are active: they are refused from now on",
    )
    assert orphan_warnings(before, before, {"a": 2}) == ()


def test_keys_of_teams_that_are_not_named_are_warned_of():
    live = {"b": 2, "a": 1, "default": 3, "idle": 0}
    assert teamless_keys(BASE, live) == (
        "teams.a is not named while 1 of its keys are active: under this policy they are refused",
        "teams.b is not named while 2 of its keys are active: under this policy they are refused",
    )


def test_details_are_bounded_and_count_the_rest():
    differences = tuple(Difference(f"p{number}", "1", "2") for number in range(MAX_LISTED + 3))
    details = diff_details(differences, ("w",) * (MAX_WARNINGS + 2))
    assert details["changes"] == MAX_LISTED + 3
    assert details["unlisted"] == 5
    assert details["warning_1"] == "w"
    assert details["change_20"] == "p19: 1 -> 2"
    assert len(details) == 2 + MAX_WARNINGS + MAX_LISTED <= 32
    assert diff_details(differences[:1], ()) == {"changes": 1, "change_1": "p0: 1 -> 2"}


def test_a_policy_as_data_is_the_same_policy_again():
    policy = replace(BASE, teams={"007": Team(networks=Networks(deny=("10.0.0.0/8",)))}, max_queued=7)
    assert fit(Tree(policy_data(policy), {}), Policy, policy_misfits) == policy


TEAMS = st.builds(
    Team,
    models=st.lists(st.sampled_from("abc"), max_size=2).map(tuple),
    weight=st.sampled_from([1.0, 2.0]),
    networks=st.builds(Networks, allow=st.sampled_from([None, (), ("10.0.0.0/8",)])),
)
POLICIES = st.builds(
    Policy,
    teams=st.dictionaries(st.sampled_from("ab"), TEAMS),
    max_queued=st.integers(1, 2),
    networks=st.just(Networks()),
)


@given(POLICIES, POLICIES)
def test_there_is_a_difference_exactly_where_policies_differ(before: Policy, after: Policy):
    found = diff_policies(before, after)
    assert bool(found) == (before != after)
    assert len({each.path for each in found}) == len(found)
    assert {each.path for each in diff_policies(after, before)} == {each.path for each in found}
