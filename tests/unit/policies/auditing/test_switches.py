"""Invariant: a dangerous setting is told wherever it stands, and none is told that is not in force."""

from dataclasses import dataclass, field

from gateway.configuration.settings import Config, ListenSettings, StoreSettings, UpstreamSettings
from policies.auditing.switches import reporting_only, unsafe_switches
from policies.policy import Limits, Policy, Team


def test_the_two_files_as_they_are_at_first() -> None:
    assert unsafe_switches("config.yaml", Config()) == []
    assert unsafe_switches("policy.yaml", Policy(teams={})) == []
    assert reporting_only("policy.yaml", Policy(teams={"chem": Team()})) == []


def test_switches_deep_in_a_file() -> None:
    config = Config(
        public=ListenSettings(unsafe_no_tls=True),
        upstreams=(
            UpstreamSettings(name="a", kind="ollama", url="http://a"),
            UpstreamSettings(name="b", kind="ollama", url="http://b", unsafe_plain_http=True),
        ),
        store=StoreSettings(url="redis://r", on_failure="unsafe_open", unsafe_plain_redis=True),
    )
    assert unsafe_switches("config.yaml", config) == [
        "config.yaml: public.unsafe_no_tls",
        "config.yaml: store.on_failure: unsafe_open",
        "config.yaml: store.unsafe_plain_redis",
        "config.yaml: upstreams.1.unsafe_plain_http",
    ]


def test_bounds_that_only_report() -> None:
    team = Team(limits=Limits(mode="report"), promise_mode="report")
    policy = Policy(teams={"chem": team}, model_limits={"m:1": Limits(mode="report")})
    assert reporting_only("policy.yaml", policy) == [
        "policy.yaml: model_limits.m:1.mode",
        "policy.yaml: teams.chem.limits.mode",
        "policy.yaml: teams.chem.promise_mode",
    ]


def test_values_that_were_made_and_are_not_written() -> None:
    @dataclass
    class Settings:
        unsafe_x: bool = field(default=True, init=False)
        parts: dict[int, bool] = field(default_factory=lambda: {7: True})

    assert unsafe_switches("f", Settings()) == []
