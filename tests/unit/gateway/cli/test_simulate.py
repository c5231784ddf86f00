"""`corral simulate` as an operator runs it: on traces and on a home's own log, with the queue that serves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.audit.audit_files import segment_paths
from gateway.cli.main import main
from tests.unit.gateway.cli.simulated_home import POLICY, make_home, write_log
from tests.unit.gateway.cli.simulated_home import POOL as POOL_OF_HOME
from tests.unit.gateway.simulating.logged_pool import logged_by

POOL = ("--prefill-tokens-per-s", "1300", "--decode-tokens-per-s", "41,25", "--slots", "2", "--workers", "1")
TRACE = "at_s,team,prompt_tokens,output_tokens\n" + "".join(
    f"{n},{('light', 'flood')[n % 2]},{100 + n},{30 + n}\n" for n in range(60)
)
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2023-11-16 18:15:{n:02d}.5000000,200,{20 + n}\n" for n in range(0, 60, 2)
)

NEVER_RAN = (
    "requests that never ran: 1, their lengths drawn from their team's others; one that its caller sent again "
    "counts twice"
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with traces and policies, and no home."""
    (tmp_path / "trace.csv").write_text(TRACE)
    (tmp_path / "azure.csv").write_text(AZURE)
    (tmp_path / "new.yaml").write_text(POLICY)
    (tmp_path / "one.yaml").write_text('teams: {light: {models: ["*"]}}\n')
    return tmp_path


@pytest.fixture
def run(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(files)

    def simulate(*words: str, home: str = "nowhere") -> tuple[int, str, str]:
        status = main(["simulate", *words, "--home", home])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return simulate


def as_data(found: tuple[int, str, str]) -> Any:
    status, out, err = found
    assert (status, err) == (0, "")
    return json.loads(out)


def test_a_trace_against_a_policy_needs_no_home(run: Run) -> None:
    status, out, err = run("--trace", "trace.csv", "--policy", "new.yaml", *POOL)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "traffic:    60 requests in 59 s, traced in trace.csv"
    assert lines[1].endswith("24.4/40 ms a step with 1/2 at once; given by flags")
    assert "not simulated: limits and budgets" in lines[2]
    assert lines[2].endswith("seed 1")
    assert "team                          new.yaml" in lines
    assert "light  first token promised   5.00 s" in lines
    assert any(line.startswith("promises kept over time") for line in lines)


def test_two_policies_stand_side_by_side_and_in_a_picture(run: Run, files: Path) -> None:
    (files / "old.yaml").write_text(POLICY.replace("5", "30"))
    words = ("--trace", "trace.csv", "--policy", "new.yaml", "--against", "old.yaml", "--svg", "p.svg", *POOL)
    status, out, _ = run(*words)
    assert status == 0
    assert "team                          old.yaml" in out
    (promised,) = [line for line in out.splitlines() if line.startswith("light  first token promised")]
    assert promised.split()[-4:] == ["30.00", "s", "5.00", "s"]
    assert (files / "p.svg").read_text().startswith("<svg ")


def test_the_same_seed_gives_the_same_answer(run: Run) -> None:
    words = ("--trace", "trace.csv", "--policy", "new.yaml", "--retries", "2", "--seed", "9", "--json", *POOL)
    data = as_data(run(*words))
    assert (data["seed"], data["retries"], data["requests"]) == (9, 2, 60)
    assert as_data(run(*words)) == data


def test_traces_without_teams_get_theirs(run: Run) -> None:
    words = ("--team", "light=azure.csv", "--team", "flood=azure.csv", "--policy", "new.yaml", "--json", *POOL)
    data = as_data(run(*words))
    teams = data["policies"][0]["figures"]["teams"]
    assert {name: team["callers"] for name, team in teams.items()} == {"light": 30, "flood": 30}
    only = as_data(run("--trace", "azure.csv", "--policy", "one.yaml", "--json", *POOL))
    assert list(only["policies"][0]["figures"]["teams"]) == ["light"]


def test_speed_and_part_are_told(run: Run) -> None:
    words = ("--trace", "trace.csv", "--policy", "new.yaml", "--speed", "2", "--most", "20", "--json", *POOL)
    data = as_data(run(*words))
    assert (data["requests"], data["span_s"]) == (20, 9.5)
    assert data["notes"] == [
        "the requests come 2 times as fast as they did",
        "only the busiest 20 in a row of 60 requests, 9.5 s of 29.5 s; --most takes more",
    ]


def test_the_last_weeks_log_under_the_policy_in_force_and_a_new_one(run: Run, files: Path) -> None:
    make_home(files / "home")
    (files / "new.yaml").write_text(POLICY.replace("flood: {", "flood: {first_token_s: 2, "))
    data = as_data(run("--from-audit", "2023-11-14..2023-11-15", "--policy", "new.yaml", "--json", home="home"))
    assert data["requests"] == 121
    assert data["traffic"] == "logged, to m"
    assert data["source"] == "estimated from these requests' logged times"
    assert (data["model"]["workers"], data["model"]["slots"]) == (2, 4)
    assert data["notes"] == [
        NEVER_RAN,
        "left out, refused by limits before the queue: 1",
    ]
    now, new = data["policies"]
    assert (now["name"], new["name"]) == ("in force", "new.yaml")
    assert (now["promises_s"]["flood"], new["promises_s"]["flood"]) == (None, 2)
    for played in (now, new):
        assert sum(team["callers"] for team in played["figures"]["teams"].values()) == 121


def test_what_is_left_out_of_a_log_is_told(run: Run, files: Path) -> None:
    home = make_home(files / "home")
    ran = logged_by(POOL_OF_HOME, per_s=1, count=40)
    write_log(home / "audit" / "box-1", [structs.replace(each, model="small") for each in ran])
    write_log(home / "audit" / "box-2", [structs.replace(each, embeds=True) for each in ran[:9]])
    *_, segment = segment_paths(home / "audit" / "box-2")
    segment.write_bytes(segment.read_bytes() + b"not a record\n")
    words = ("--from-audit", "2023-11-14..2023-11-15", "--json")
    notes = as_data(run(*words, home="home"))["notes"]
    assert notes[1:] == [
        "left out, being pools of their own: 41 to small; choose one with --model",
        "left out, requests for embeddings: 10",
        "left out, refused by limits before the queue: 3",
        "left out, lines that are no records: 1; 'corral audit verify' says more",
    ]
    small = as_data(run(*words, "--model", "small", home="home"))
    assert (small["requests"], small["traffic"]) == (41, "logged, to small")
    assert "no request of that time to 'none'" in run(*words, "--model", "none", home="home")[2]


def test_a_log_without_refusals_has_nothing_to_draw(run: Run, files: Path) -> None:
    home = files / "home"
    (home / "audit").mkdir(parents=True)
    (home / "config.yaml").write_text("{}")
    (home / "policy.yaml").write_text(POLICY)
    write_log(home / "audit" / "box-0", logged_by(POOL_OF_HOME, per_s=1, count=40), refusals=False)
    assert as_data(run("--from-audit", "2023-11-14..2023-11-15", "--json", home="home"))["notes"] == []


def test_without_a_policy_it_is_the_homes(run: Run, files: Path) -> None:
    make_home(files / "home")
    for words in ((), ("--policy", "home/policy.yaml")):
        data = as_data(run("--from-audit", "2023-11-14..2023-11-15", "--json", *words, home="home"))
        assert [each["name"] for each in data["policies"]] == ["policy.yaml"]


def test_a_policy_in_force_without_the_teams_is_left_out_and_told(run: Run, files: Path) -> None:
    make_home(files / "home")
    (files / "home" / "policy.yaml").write_text("teams: {}")
    data = as_data(run("--trace", "trace.csv", "--policy", "new.yaml", "--json", *POOL, home="home"))
    assert [each["name"] for each in data["policies"]] == ["new.yaml"]
    assert data["notes"][0].startswith("not compared with the policy in force: in force: it has no team 'light'")


def test_policies_of_one_name_are_told_apart(run: Run, files: Path) -> None:
    (files / "old").mkdir()
    (files / "old" / "new.yaml").write_text(POLICY)
    words = ("--trace", "trace.csv", "--policy", "new.yaml", "--against", "old/new.yaml", "--json", *POOL)
    assert [each["name"] for each in as_data(run(*words))["policies"]] == ["old/new.yaml", "new.yaml"]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ((), "give either traces (--trace, --team) or --from-audit FROM..TO"),
        (("--trace", "trace.csv", "--from-audit", "7d..now"), "give either traces"),
        (("--trace", "gone.csv"), "gone.csv: cannot be read: No such file or directory"),
        (("--team", "light"), "--team 'light': give it as NAME=FILE, with a team of the policy"),
        (("--team", "L=azure.csv"), "--team 'L=azure.csv': give it as NAME=FILE"),
        (("--trace", "azure.csv"), "azure.csv:1: team: it names no teams: say whose traffic it is with --team NAME="),
        (("--team", "other=azure.csv"), "new.yaml: it has no team 'other', whose requests the trace holds"),
        (("--trace", "new.yaml"), "new.yaml:1: 'teams:': there is no such column"),
        (("--trace", "bad.csv"), "bad.csv: not UTF-8: save the trace as plain CSV"),
        (("--trace", "trace.csv", "--speed", "0"), "argument --speed: '0' is no number from 0.000001"),
        (("--trace", "trace.csv", "--speed", "fast"), "argument --speed: 'fast' is no number"),
        (("--trace", "trace.csv", "--most", "1"), "argument --most: '1' is no whole number from 2 to 2000000"),
        (("--trace", "trace.csv", "--decode-tokens-per-s", "9,10"), "argument --decode-tokens-per-s: give them"),
        (("--trace", "trace.csv", "--svg", "no/where.svg"), "argument --svg: 'no/where.svg' is no file in a"),
        (("--trace", "trace.csv", "--against", "one.yaml"), "one.yaml: it has no team 'flood'"),
    ],
)
def test_what_is_refused(run: Run, files: Path, words: tuple[str, ...], fault: str) -> None:
    (files / "bad.csv").write_bytes(b"at_s\xff")
    status, out, err = run(*words, "--policy", "new.yaml", *POOL)
    assert (status, out) == (2, "")
    assert err.startswith(f"corral: {fault}")
    assert err.count("\n") == 1


def test_a_picture_that_cannot_be_written_costs_no_answer(run: Run, files: Path) -> None:
    (files / "p.svg").symlink_to(files / "gone" / "p.svg")
    status, out, err = run("--trace", "trace.csv", "--policy", "new.yaml", "--svg", "p.svg", *POOL)
    assert (status, err) == (2, "corral: p.svg: cannot be written: No such file or directory: name another place\n")
    assert out.startswith("traffic: ")


def test_a_policy_with_faults_is_not_played(run: Run, files: Path) -> None:
    (files / "bad.yaml").write_text("teams: {light: {first_token_s: -1, wight: 2}}\n")
    status, _, err = run("--trace", "trace.csv", "--policy", "bad.yaml", *POOL)
    assert status == 2
    assert err.startswith("corral: bad.yaml:1: teams.light")
    assert "see 'corral policy check bad.yaml')" in err
    (files / "bad.yaml").write_text("teams: [\n")
    assert "policy check" not in run("--trace", "trace.csv", "--policy", "bad.yaml", *POOL)[2]


def test_without_a_home_there_is_no_log_and_no_policy(run: Run) -> None:
    assert "no Corral home" in run("--from-audit", "7d..now", "--policy", "new.yaml", *POOL)[2]
    assert "no Corral home" in run("--trace", "trace.csv", *POOL)[2]


def test_long_work_says_how_far_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.progress.FIRST_S", 0.0)
    status, _, err = run("--trace", "trace.csv", "--policy", "new.yaml", *POOL)
    assert status == 0
    assert err.startswith("corral simulate: new.yaml: ")
    assert "% of the time played after 0 s" in err
